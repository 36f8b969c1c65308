from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from extract.datasets import open_dataset, splits_of
from store.errors import BadImage, BadValue


def listed(tmp_path: Path, text: str, *files: str) -> str:
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(tmp_path / file)
    (tmp_path / "list.csv").write_text(text, encoding="utf-8")
    return f"csv:{tmp_path / 'list.csv'}"


def test_splits_and_groups(tmp_path: Path) -> None:
    name = listed(
        tmp_path,
        "path,hospital,label,split\na/1.png,10,猫,test\na/2.png,2,dog,train\nb/1.png,,dog,ood\n\"b, c.png\",2,,train\n",
        "a/1.png", "a/2.png", "b/1.png", "b, c.png",
    )  # fmt: skip
    assert splits_of(name) == ("train", "test", "ood")
    train = open_dataset(name, "train").samples
    assert train.ids == ["a/2.png", "b, c.png"]
    assert list(train.targets) == ["label", "hospital"]
    assert train.targets["label"].classes == ("dog", "猫")
    assert train.label.tolist() == [0, -1]
    assert train.targets["hospital"].classes == ("2", "10")  # numbers by their value
    assert open_dataset(name, "ood").samples.targets["hospital"].index.tolist() == [-1]
    assert open_dataset(name, "test").read(0) == (tmp_path / "a/1.png").read_bytes()


def test_images_of_one_unit_stay_in_one_split(tmp_path: Path) -> None:
    rows = [(f"{i}.png", f"slide{i // 8}") for i in range(160)]
    name = listed(tmp_path, "path,label,unit\n" + "".join(f"{file},x,{unit}\n" for file, unit in rows), *dict(rows))
    found = [open_dataset(name, split).samples.targets["unit"] for split in splits_of(name)]
    units = [{one.classes[i] for i in one.index} for one in found]
    assert [len(one) > 0 for one in units] == [True] * 3
    assert sum(map(len, units)) == len(set.union(*units)) == 20


def test_without_a_split_column_the_path_decides(tmp_path: Path) -> None:
    files = [f"{i}.png" for i in range(40)]
    name = listed(tmp_path, "\ufeffpath,label\n" + "".join(f"{file},x\n" for file in files), *files)
    assert splits_of(name) == ("train", "val", "test")
    parts = [open_dataset(name, split).samples.ids for split in splits_of(name)]
    assert sorted(np.concatenate(parts)) == sorted(files)
    assert len(parts[0]) > len(parts[1])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no column 'path' in its first line; there are: none"),
        ("file,label\n", "no column 'path' in its first line; there are: 'file', 'label'$"),
        ("path, label\n", "no column 'label' in its first line; there are: 'path', ' label'$"),
        ("path;label\n", "there are: 'path;label'; columns are separated by commas"),
        ("path\tlabel\n", "columns are separated by commas"),
        ("path,label\n", "lists no images"),
        ("path,label,path\n", "column 'path' occurs twice"),
        ("path,label,my group\n", "target column name 'my group' cannot be stored"),
        ("path,label\na.png\n", "line 2: not as many cells"),
        ("path,label\na.png,x,y\n", "line 2: not as many cells"),
        ("path,label\na.png,x\nb.png,y\na.png,y\n", "line 4: 'a.png' is in line 2 already"),
        ("path,label\na/b.png,x\n./a//b.png,y\n", "line 3: './a//b.png' is in line 2 already"),
        ("path,label\n../a.png,x\n", r"line 2: '\.\./a\.png' is not a path below"),
        ("path,label\n/etc/passwd,x\n", "line 2: '/etc/passwd' is not a path below"),
        ("path,label\n,x\n", "line 2: '' is not a path below"),
        ("path,label,split\na.png,x,my/split\n", "line 2: split name 'my/split' cannot be stored"),
        ('path,label\n"a.png,x\n', "is not a CSV file in UTF-8"),
    ],
)
def test_what_cannot_be_used_is_named_with_its_line(tmp_path: Path, text: str, why: str) -> None:
    name = listed(tmp_path, text)
    with pytest.raises(BadValue, match=why):
        open_dataset(name, "train")


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadValue, match=r"nowhere\.csv: No such file"):
        splits_of(f"csv:{tmp_path}/nowhere.csv")
    (tmp_path / "list.csv").write_bytes(b"path,label\n\xff.png,x\n")
    with pytest.raises(BadValue, match="is not a CSV file in UTF-8"):
        splits_of(f"csv:{tmp_path}/list.csv")
    name = listed(tmp_path, "path,label,split\na.png,x,train\nb.png,x,train\n", "a.png")
    with pytest.raises(BadImage, match=rf"1 of 2 files are not below {tmp_path}, or .*, the first is 'b\.png'"):
        open_dataset(name, "train")
