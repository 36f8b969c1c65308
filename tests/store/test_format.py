"""Format 1 is opened by this and every later version: docs/FORMAT.md, tests/data/format1."""

import hashlib
import json
import re
import shutil
from itertools import pairwise
from pathlib import Path

import google_crc32c
import numpy as np
import pytest

from store import open_features
from store.cli import main
from store.errors import FormatError, MissingFeatures
from store.fingerprint import canonical_json
from store.manifest import FORMAT
from store.records import read_records
from store.root import open_root
from tests.data.format1 import make

HOME = Path(make.__file__).parent / "features"
DOCUMENT = (Path(__file__).parents[2] / "docs" / "FORMAT.md").read_text()


@pytest.mark.parametrize("backbone", make.SETS)
def test_a_set_of_format_1_is_read(backbone) -> None:
    _, dtype, bad = make.SETS[backbone]
    x = open_features(HOME, "toy", "train", backbone)
    keep = np.setdiff1d(np.arange(make.ROWS), list(bad))
    assert np.array_equal(x.read(), make.features("float32")[keep])
    assert (x.parts[0].manifest.dtype, x.parts[0].manifest.format) == (dtype, 1)
    assert list(x.samples.ids) == [make.IDS[row] for row in keep]
    assert x.samples.sizes.tolist() == (keep * 100).tolist()
    assert x.parts[0].manifest.bad_rows == {str(row): why for row, why in bad.items()}


def test_samples_and_targets_of_format_1() -> None:
    samples, made = open_features(HOME, "toy", "train", "torchvision:other").samples, make.samples()
    assert samples.id == made.id == "e846d9a8244376be005f497febd322573de01b78fa0f5911a500e29884002f36"
    assert {name: column.hash for name, column in samples.targets.items()} == {
        name: column.hash for name, column in made.targets.items()
    }
    assert samples.target().classes == ("cat", "dög", "eel")
    assert samples.label.tolist() == [0, 1, 2, 0, 1, 2, 0, 1, 2, -1]


def test_both_sets_join() -> None:
    assert open_features(HOME, "toy", "train", "small,torchvision:other").shape == (9, 6)


def test_fingerprints_of_format_1_do_not_move() -> None:
    found = {path.parents[1].name: path.parent.name for path in HOME.glob("features/toy/train/*/*/manifest.json")}
    root = open_root(HOME)
    for backbone, (backend, dtype, _) in make.SETS.items():
        assert found[backbone.replace(":", "%3A")] == make.writer(root, backbone, backend, dtype).fingerprint.hex


def test_a_store_of_format_1_is_sound(capsys) -> None:
    assert main(["verify", "--store", str(HOME)]) == 0
    assert capsys.readouterr().out == "3 sets, 8 blocks: all as written\n"


def test_an_unfinished_set_of_format_1_is_resumed(tmp_path) -> None:
    shutil.copytree(HOME, tmp_path / "features")
    root = open_root(tmp_path / "features")
    with pytest.raises(MissingFeatures, match="toy/train/half is not finished"):
        open_features(root, "toy", "train", "half")
    writer = make.writer(root, "half", "zarr", "float16")
    assert writer.choices == {"batch_size": 2}
    assert writer.missing() == [1]
    make.fill(writer, [1], {})
    assert writer.commit({})
    assert np.array_equal(open_features(root, "toy", "train", "half").read(), make.features("float32"))


def test_a_record_of_format_1() -> None:
    (record,) = read_records(open_root(HOME), "probe")
    assert (record.metrics, record.created, record.id) == ({"top1": 0.5}, "20261123T210000Z", "00000000")


def test_a_newer_format_is_refused(tmp_path) -> None:
    shutil.copytree(HOME, tmp_path / "features")
    (path,) = (tmp_path / "features").glob("features/toy/train/small/*/manifest.json")
    values = json.loads(path.read_text()) | {"format": FORMAT + 1, "unheard": "of"}
    path.write_text(json.dumps(values))
    with pytest.raises(FormatError, match=f"has format {FORMAT + 1}, this version reads up to {FORMAT}: pip install"):
        open_features(tmp_path / "features", "toy", "train", "small")


def test_the_document_is_enough_to_read_a_set() -> None:
    """What docs/FORMAT.md says, with nothing of ours: another program."""
    folder = next((HOME / "features/toy/train/small").iterdir())
    manifest = json.loads((folder / "manifest.json").read_text())
    claimed = manifest.pop("manifest_sha256")
    assert hashlib.sha256(canonical_json(manifest).encode()).hexdigest() == claimed
    assert hashlib.sha256(canonical_json(manifest["parts"]).encode()).hexdigest() == folder.name
    rows, dim, count = manifest["block_rows"], manifest["dim"], manifest["num_samples"]
    x, checksums = [], []
    for block in range(-(-count // rows)):
        data = (folder / f"x/c.{block}.0").read_bytes()
        body, trailer = data[:-4], data[-4:]
        assert int.from_bytes(trailer, "little") == google_crc32c.value(body)
        checksums.append(trailer)
        x.append(np.frombuffer(body, "<f2").reshape(rows, dim))
    assert hashlib.sha256(b"".join(checksums)).hexdigest() == manifest["checksums"]
    x_ND = np.concatenate(x)
    want = make.features("float16")
    want[7] = np.nan
    assert np.array_equal(x_ND[:count], want, equal_nan=True)
    assert np.isnan(x_ND[count:]).all()
    hashes = b"".join((folder / f"content/c.{block}.0").read_bytes()[:-4] for block in range(3))
    assert hashlib.sha256(hashes[: count * 16]).hexdigest() == manifest["content"]

    below = HOME / "samples/toy/train" / manifest["samples"]
    offsets = np.frombuffer((below / "offsets/c.0").read_bytes()[:-4], "<i8")
    text = (below / "ids/c.0").read_bytes()[:-4]
    ids = [text[a:b].decode() for a, b in pairwise(offsets)]
    sizes = np.frombuffer((below / "sizes/c.0").read_bytes()[:-4], "<i8")
    assert ids == make.IDS
    lines = "".join(f"{name}\0{size}\n" for name, size in zip(ids, sizes, strict=True))
    assert hashlib.sha256(f"motherlode samples 1\n{lines}".encode()).hexdigest() == manifest["samples"]


def test_the_document_names_every_field_of_a_manifest() -> None:
    manifest = json.loads(next(HOME.glob("features/toy/train/small/*/manifest.json")).read_text())
    for name in (*manifest, *manifest["parts"]):
        assert re.search(rf"`{name}`", DOCUMENT), f"docs/FORMAT.md does not tell what {name} is"
    assert f"format {FORMAT}" in DOCUMENT.lower()
