from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from extract.cli import main as extract
from extract.datasets import open_dataset, splits_of
from extract.pretrain import main as pretrain
from fewshot.cli import main as fewshot
from probe.cli import main as probe
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
        ("where,label\n", "no column 'path' in its first line; there are: 'where', 'label'$"),
        ("file,image,label\n", "no column 'path' in its first line; there are: .*; rename 'file', 'image'"),
        ("path,category\n", "no column 'label' in its first line; there are: 'path', 'category'; rename 'category'"),
        ("path|label\n", r"there are: 'path\|label'; columns are separated by commas, semicolons or tabs"),
        ("path,label,Label\n", "the columns 'label' and 'Label' both mean label; rename one of them"),
        ("path,label\n", "lists no images"),
        ("path,label,path\n", "column 'path' occurs twice"),
        ("path,label,my group\n", "target column name 'my group' cannot be stored"),
        ("path,label\na.png\n", "line 2: 1 cells, but the first line has 2 columns"),
        ("path,label\na.png,x,y\n", "line 2: 3 cells, but the first line has 2 columns"),
        ("path,label\na.png,x\nb.png,y\na.png,y\n", "line 4: 'a.png' is in line 2 already"),
        ("path,label\na/b.png,x\n./a//b.png,y\n", "line 3: './a//b.png' is in line 2 already"),
        ("path,label\n../a.png,x\n", r"line 2: '\.\./a\.png' is not a path below"),
        (
            "path,label\n/etc/passwd,x\n",
            "line 2: '/etc/passwd' is not a path below.*put the list into a folder that they are all below",
        ),
        ("path,label\n,x\n", "line 2: '' is not a path below"),
        ("path,label,split\na.png,x,my/split\n", "line 2: split name 'my/split' cannot be stored"),
        ('path,label\nb.png,x\n"a.png,x\nc.png,x\n', "line 3: a quote is opened and never closed"),
        ("path,label\nb.png,x\na.png," + "x" * 140_000, "line 3: field larger than field limit"),
        ("path,label\nb.png,x\na\0.png,x\n", "line 3: a NUL byte"),
        ("path,label,split\na.png,x,train\nb.png,x,\n", "line 3: its split is empty, others are not"),
        ("path,label,split\na.png,x,val\nb.png,x,Valid\n", "'val' and 'Valid' both mean the split val"),
        ("path,label\nC:\\data\\a.png,x\n", "line 2: 'C:/data/a.png' is not a path below"),
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


def test_what_windows_and_spreadsheets_write(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    text = "Image_Path;LABEL;Split\r\na\\1.png ;cat\u00a0;Train\r\n a\\2.png;cat;valid\r\n;;\r\na\\3.png;dog;Train \r\n"
    listed(tmp_path, "", "a/1.png", "a/2.png", "a/3.png")
    for coding in ("utf-8", "utf-8-sig", "utf-16"):
        (tmp_path / f"{coding}.csv").write_bytes(text.encode(coding))
        name = f"csv:{tmp_path / coding}.csv"
        assert splits_of(name) == ("train", "val")
        train, val = (open_dataset(name, split).samples for split in ("train", "val"))
        assert (train.ids, val.ids) == (["a/1.png", "a/3.png"], ["a/2.png"])
        assert train.targets["label"].classes == val.targets["label"].classes == ("cat", "dog")
        assert (train.label.tolist(), val.label.tolist()) == ([0, 1], [0])
    for told in (
        "utf-16.csv: its columns are taken as separated by semicolons",
        "utf-16.csv: 4 cells have blanks around their text, which are left out",
        "utf-16.csv: by their names, Image_Path is path, LABEL is label, Split is split",
        "utf-16.csv: by their names, Train is train, valid is val",
    ):
        assert told in caplog.text
    (tmp_path / "bare.csv").write_bytes("path,label\n".encode("utf-16-le"))
    with pytest.raises(BadValue, match="line 1: a NUL byte, so it is not a CSV file in UTF-8; save it as such"):
        splits_of(f"csv:{tmp_path / 'bare.csv'}")


def test_the_row_numbers_of_pandas_are_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for header in (",path,label", "Unnamed: 0,path,label"):
        name = listed(tmp_path, f"{header}\n0,a.png,cat\n1,b.png,\n", "a.png", "b.png")
        found = [open_dataset(name, split, allow_absent=True).samples for split in splits_of(name)]
        assert all(list(samples.targets) == ["label"] for samples in found)
    assert "1 columns without a name are left out; pandas writes its row numbers so" in caplog.text
    assert "index=False" in caplog.text


def test_absolute_paths_below_the_file_are_relative_ones(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    text = f"path,label,split\n{tmp_path}/a.png,cat,train\n{tmp_path}/link/b.png,dog,train\n"
    name = listed(tmp_path, text, "a.png", "b.png")
    assert open_dataset(name, "train").samples.ids == ["a.png", "link/b.png"]
    again = open_dataset(f"csv:{tmp_path}/link/list.csv", "train")
    assert again.samples.ids == ["a.png", "b.png"]
    assert again.read(0) == (tmp_path / "a.png").read_bytes()
    listed(tmp_path, f"path,label\n{tmp_path}/../a.png,x\n")
    with pytest.raises(BadValue, match=r"line 2: .* is not a path below"):
        splits_of(name)


def test_class_names_of_any_kind(tmp_path: Path) -> None:
    digits, odd = "7" * 5000, "../<b>x</b>\x1b[31m|/"
    name = listed(tmp_path, f"path,label,split\na.png,{digits},train\nb.png,{odd},train\nc.png,12,train\n")
    assert open_dataset(name, "train", allow_absent=True).samples.targets["label"].classes == (odd, "12", digits)
    listed(tmp_path, f"path,label,split\na.png,{digits},train\nb.png,12,train\n")
    assert open_dataset(name, "train", allow_absent=True).samples.targets["label"].classes == ("12", digits)


def test_a_class_that_looks_like_no_label_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    name = listed(tmp_path, "path,label,split\na.png,nan,train\nb.png,cat,train\n", "a.png", "b.png")
    assert open_dataset(name, "train").samples.targets["label"].classes == ("cat", "nan")
    assert "'nan' is a class like any other; an image without a label has an empty cell" in caplog.text


def test_thousands_of_columns(tmp_path: Path) -> None:
    columns = [f"c{i}" for i in range(3000)]
    rows = "".join(f"{i}.png,x,train{',1' * 3000}\n" for i in range(40))
    name = listed(tmp_path, f"path,label,split,{','.join(columns)}\n{rows}", *[f"{i}.png" for i in range(40)])
    assert list(open_dataset(name, "train").samples.targets) == ["label", *columns]


def test_a_list_that_changed_is_read_again(tmp_path: Path) -> None:
    for classes in (("cat", "dog"), ("dog", "cat")):
        name = listed(
            tmp_path, "path,label,split\n" + "".join(f"{c}.png,{c},{'train'}\n" for c in classes), "cat.png", "dog.png"
        )
        assert open_dataset(name, "train").samples.ids == [f"{c}.png" for c in classes]


def test_patients_in_several_splits_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = [f"{i}.png" for i in range(60)]
    rows = [f"{file},x,{i // 6},{i % 2}" for i, file in enumerate(files)]
    name = listed(tmp_path, "path,label,Patient_ID,hospital\n" + "\n".join(rows), *files)
    splits_of(name)
    assert "of 10 values of 'Patient_ID' are in more than one split, first '0'; images of one" in caplog.text
    assert "hospital" not in caplog.text
    caplog.clear()
    listed(tmp_path, "path,label,patient,unit\n" + "\n".join(f"{row[:-1]}{i // 6}" for i, row in enumerate(rows)))
    splits_of(name)
    assert not [one for one in caplog.records if one.levelname == "WARNING"]


def test_measured_numbers_are_extracted_but_nothing_is_trained_on_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [f"{i}.png" for i in range(60)]
    rows = "".join(f"{file},{i / 7:.3f},{('train', 'test')[i % 2]}\n" for i, file in enumerate(files))
    name, store = listed(tmp_path, f"path,label,split\n{rows}", *files), str(tmp_path / "store")
    flags = ["--dataset", name, "--store", store]
    assert extract(["--backbone", "pixels", *flags]) == 0
    assert "'label' has 60 different numbers such as 0.143: these are no classes" in caplog.text
    for command, more in ((probe, []), (fewshot, ["--ways", "2", "--shots", "1", "--queries", "1"])):
        with pytest.raises(BadValue, match="these are no classes, and nothing here predicts numbers yet"):
            command(["--features", "pixels", *flags, *more])
    with pytest.raises(BadValue, match="these are no classes"):
        pretrain(["--arch", "conv4w0.25", "--dataset", name, "--epochs", "1", "--backbones", store])
    capsys.readouterr()
