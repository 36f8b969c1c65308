from collections.abc import Callable
from pathlib import Path

import pytest

from extract.datasets import open_dataset
from store.errors import BadImage, BadValue

Make = Callable[[str], Path]


def test_splits_are_those_of_wilds(make: Make) -> None:
    root = make("camelyon17")
    hospitals, count = {}, 0
    for split in ("train", "id_val", "val", "test"):
        samples = open_dataset("camelyon17", split, root).samples
        hospital, slide = samples.targets["hospital"], samples.targets["slide"]
        hospitals[split] = {hospital.classes[i] for i in hospital.index}
        assert [hospital.classes[i] for i in hospital.index] == [
            str(int(slide.classes[i]) // 10) for i in slide.index
        ]  # of the made copy
        assert list(samples.targets) == ["label", "hospital", "slide"]
        assert samples.targets["label"].classes == ("normal", "tumor")
        assert slide.classes[:3] == ("0", "1", "10")
        count += len(samples)
    assert hospitals == {"train": {"0", "3", "4"}, "id_val": {"0", "3", "4"}, "val": {"1"}, "test": {"2"}}
    assert count == 120


def test_ids_are_the_files(make: Make) -> None:
    root = make("camelyon17")
    images = open_dataset("camelyon17", "test", root)
    assert images.samples.ids[0] == "patches/patient_044_node_2/patch_patient_044_node_2_x_3520_y_21792.png"
    assert images.samples.label[:4].tolist() == [0, 1, 0, 1]
    assert len(images.read(0)) == images.samples.sizes[0] > 0


def test_what_is_missing_is_named(make: Make, tmp_path: Path) -> None:
    with pytest.raises(BadValue, match=r"metadata.csv does not exist. Get camelyon17_v1.0 \(10 GB\)"):
        open_dataset("camelyon17", "train", tmp_path)
    root = make("camelyon17")
    gone = next((root / "camelyon17/camelyon17_v1.0/patches/patient_044_node_2").iterdir())
    gone.unlink()
    with pytest.raises(BadImage, match=rf"camelyon17/test: 1 of 24 files are not below .*{gone.name}.*--skip-bad"):
        open_dataset("camelyon17", "test", root)
    images = open_dataset("camelyon17", "test", root, allow_absent=True)
    assert len(images.samples) == 24
    assert [images.samples.sizes[row] for row in images.absent] == [0]
    with pytest.raises(BadImage, match="No such file"):
        images.read(images.absent[0])


HEADER = ",patient,node,x_coord,y_coord,tumor,slide,center,split"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("patient,node\n", "no column 'x_coord'; this is not the metadata.csv of WILDS"),
        (f"{HEADER}\n0,../x,0,1,1,0,0,0,0\n", "line 2: every cell"),
        (f"{HEADER}\n0,4,0,1,1,2,0,0,0\n", "line 2: tumor must be 0 or 1"),
        (f"{HEADER}\n0,4,0\n", "line 2: 3 cells, but the first line has 9"),
        (f"{HEADER}\n0,4,0,1,1,0,{'7' * 5000},0,0\n", "line 2: every cell"),
        (f'{HEADER}\n0,"4,0\n', "line 2: a quote is opened and never"),
        ("\udcff,patient\n", "is not a CSV file in UTF-8"),
    ],
)
def test_a_list_that_is_not_that_of_wilds(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "camelyon17").mkdir()
    (tmp_path / "camelyon17/metadata.csv").write_text(text, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(BadValue, match=why):
        open_dataset("camelyon17", "train", tmp_path)
