import json
import subprocess
import sys

import numpy as np
import pytest

from fewshot.classifiers import CLASSIFIERS
from fewshot.cli import main
from store.errors import BadValue, MissingFeatures, UnknownName, UserError
from store.records import read_records


def clusters(counts, dim=16, seed=0, apart=2.0, classes_seed=99):
    """Features and labels: `counts[c]` images of class c around a centre of its own."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(classes_seed).normal(size=(len(counts), dim)) * apart
    y = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    return (centres[y] + rng.normal(size=(len(y), dim))).astype(np.float32), y


@pytest.fixture
def stored(root, make_set):
    """Two backbones over train, val, test of a made `openmoji` with a subcategory column."""
    names = [f"class{i}" for i in range(8)]
    for split, count in (("train", 20), ("val", 7), ("test", 9)):
        for backbone, apart in (("a", 1.0), ("b", 0.5)):
            x, y = clusters([count] * 8, seed=count, apart=apart)
            make_set(
                x, {"label": y % 2, "subcategory": y}, dataset="openmoji", split=split, backbone=backbone,
                classes={"subcategory": names},
            )  # fmt: skip
    return root


def run(stored, capsys, *args):
    assert main(["--store", stored.url, *args]) == 0
    return capsys.readouterr().out


def test_the_defaults_are_the_protocol_of_chen_et_al(stored, capsys):
    found = json.loads(run(stored, capsys, "--features", "a", "--features", "a,b", "--json"))
    assert found["splits"] == ["train", "val", "test"]
    assert found["target"] == "subcategory"
    assert "train, val, test together" in found["notes"][0]
    rows = found["results"]
    assert [(r["features"], r["classifier"], r["shots"]) for r in rows] == [
        ("a", "nearest", "1"), ("a", "nearest", "5"), ("a,b", "nearest", "1"), ("a,b", "nearest", "5"),
    ]  # fmt: skip
    for row in rows:
        assert (row["ways"], row["queries"], row["episodes"]) == ("5", 15, 600)
        assert 0.2 < row["accuracy"] < 1
        assert 0 < row["ci95"] < 0.02
    assert rows[1]["accuracy"] > rows[0]["accuracy"]


def test_table_and_record(stored, capsys):
    text = run(stored, capsys, "--features", "a", "--episodes", "20")
    header = text.splitlines()[1].split()
    assert header == [
        "features",
        "classifier",
        "ways",
        "shots",
        "accuracy",
        "95",
        "%",
        "episodes",
        "seconds",
    ]
    assert text.splitlines()[3].split()[:4] == ["a", "nearest", "5", "1"]
    (record,) = read_records(stored, "fewshot")
    assert record.key in text
    assert [f["split"] for f in record.features] == ["train", "val", "test"]
    assert set(record.targets) == {"train:subcategory", "val:subcategory", "test:subcategory"}
    assert record.metrics["results"][0]["episodes"] == 20


def test_a_novel_split_is_the_default(root, make_set, capsys):
    for split in ("base", "novel"):
        x, y = clusters([20] * 6)
        make_set(x, {"label": y}, dataset="mini", split=split)
    found = json.loads(run(root, capsys, "--features", "a", "--dataset", "mini", "--episodes", "10", "--json"))
    assert found["splits"] == ["novel"]
    assert found["target"] == "label"
    assert found["notes"] == []


def test_errors(stored, capsys):
    store = ["--store", stored.url]
    with pytest.raises(MissingFeatures, match="python -m extract --backbone c --dataset openmoji --split train"):
        main([*store, "--features", "a,c"])
    with pytest.raises(MissingFeatures, match="openmoji/novel/a has no features"):
        main([*store, "--features", "a", "--split", "novel"])
    with pytest.raises(UnknownName, match="unknown classifier 'nearst'; nearest: nearest"):
        main([*store, "--features", "a", "--classifier", "nearst"])
    with pytest.raises(BadValue, match="only 8 classes of column 'subcategory' have images here; give --ways 8"):
        main([*store, "--features", "a", "--ways", "9"])
    with pytest.raises(BadValue, match="--shots 'x': give a number as 5, or a range as 5-20"):
        main([*store, "--features", "a", "--shots", "x"])
    with pytest.raises(BadValue, match="--ways '1': the numbers must be at least 2"):
        main([*store, "--features", "a", "--ways", "1"])


def test_an_error_exits_2_without_a_traceback(stored):
    done = subprocess.run(
        [sys.executable, "-m", "fewshot", "--store", stored.url, "--features", "zz"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("fewshot: openmoji/train/zz has no features")
    assert "Traceback" not in done.stderr


def test_help_and_list_load_no_torch(capsys):
    code = (
        "import sys; from fewshot.cli import build_parser, main; build_parser().format_help(); main(['--list']); "
        "assert not {'torch', 'numpy', 'faiss', 'zarr'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_every_classifier_and_the_ensemble(stored, capsys):
    args = ["--features", "a", "--features", "a,b", "--ensemble", "--classifier", ",".join(CLASSIFIERS)]
    found = json.loads(run(stored, capsys, *args, "--episodes", "8", "--shots", "2", "--json"))
    rows = {(r["features"], r["classifier"]): r for r in found["results"]}
    assert set(rows) == {(f, c) for f in ("a", "a,b", "ensemble(a,b)") for c in CLASSIFIERS}
    assert {r["dim"] for key, r in rows.items() if key[0] == "ensemble(a,b)"} == {32}
    assert all(0.25 < row["accuracy"] <= 1 for row in rows.values())
    for name in ("a", "a,b"):
        assert rows[name, "protonet"]["accuracy"] == rows[name, "nearest"]["accuracy"]


def test_paired_differences(stored, capsys):
    found = json.loads(run(stored, capsys, "--compare", "a", "a,b", "--episodes", "50", "--shots", "1", "--json"))
    first, second = found["results"]
    (difference,) = found["differences"]
    assert (difference["a"], difference["b"], difference["on"]) == ("a", "a,b", "nearest")
    assert difference["difference"] == pytest.approx(second["accuracy"] - first["accuracy"])
    assert 0 < difference["ci95"] < first["ci95"] + second["ci95"]
    text = run(stored, capsys, "--features", "a", "--compare", "nearest", "knn", "--episodes", "50", "--shots", "1,5")
    assert [line.split()[:4] for line in text.splitlines() if line.startswith("knn - nearest")] == [
        ["knn", "-", "nearest", "a"], ["knn", "-", "nearest", "a"],
    ]  # fmt: skip


def test_the_same_episodes_from_a_file(stored, capsys, tmp_path):
    path, flags = str(tmp_path / "e.npz"), ["--features", "b", "--json"]
    drawn = ["--ways", "3-6", "--shots", "1-3", "--episodes", "30", "--seed", "5"]
    wrote = json.loads(run(stored, capsys, *flags, *drawn, "--write-episodes", path))
    read = json.loads(run(stored, capsys, *flags, "--read-episodes", path))
    assert [r["accuracy"] for r in read["results"]] == [r["accuracy"] for r in wrote["results"]]
    assert (read["results"][0]["ways"], read["results"][0]["shots"]) == ("3-6", "1-3")
    assert "episodes of" in read["notes"][0]


def test_repeats_give_a_standard_deviation(stored, capsys):
    args = ["--features", "a", "--repeats", "5", "--episodes", "20", "--shots", "1"]
    (row,) = json.loads(run(stored, capsys, *args, "--json"))["results"]
    assert row["episodes"] == 100
    assert 0 < row["std"] < 0.1
    assert "std" in run(stored, capsys, *args).splitlines()[1].split()


def test_support_and_query_of_other_groups(root, make_set, capsys):
    """The classes swap their places between the two styles, so what one style teaches is wrong in the other."""
    x, y = clusters([40] * 4, apart=4.0)
    style = np.arange(160) % 2
    label = np.where(style == 0, y, (y + 1) % 4)
    make_set(x, {"label": label, "style": style}, dataset="emoji", classes={"style": ["google", "twitter"]})
    flags = [
        "--features",
        "a",
        "--dataset",
        "emoji",
        "--ways",
        "4",
        "--shots",
        "5",
        "--queries",
        "5",
        "--episodes",
        "50",
    ]
    across = json.loads(run(root, capsys, *flags, "--group", "style=google:twitter", "--json"))
    within = json.loads(run(root, capsys, *flags, "--json"))
    assert across["results"][0]["accuracy"] < 0.05 < 0.3 < within["results"][0]["accuracy"]
    assert across["notes"] == ["support from style google, query from twitter"]


def test_cl2n_says_where_the_mean_is_from(root, make_set, capsys):
    for split, seed in (("base", 1), ("novel", 2)):
        x, y = clusters([30] * 6, seed=seed, classes_seed=seed, apart=1.0)
        make_set(x + 30, {"label": y}, dataset="mini", split=split)
    flags = [
        "--features",
        "a",
        "--dataset",
        "mini",
        "--classifier",
        "nearest-cosine",
        "--episodes",
        "50",
        "--shots",
        "5",
    ]
    plain = json.loads(run(root, capsys, *flags, "--json"))
    centred = json.loads(run(root, capsys, *flags, "--transform", "cl2n", "--json"))
    assert centred["notes"] == ["features are centred on the mean of base, none of which is evaluated, then normalised"]
    assert centred["results"][0]["accuracy"] > plain["results"][0]["accuracy"]
    own = json.loads(run(root, capsys, *flags, "--transform", "cl2n", "--centre", "novel", "--json"))
    assert "whose images are evaluated too (transductive)" in own["notes"][0]
    with pytest.raises(
        BadValue, match=r"base and train have no features or are evaluated .* give --centre SPLIT \(base, novel\)"
    ):
        main(["--store", root.url, *flags, "--split", "base", "--transform", "cl2n"])


def test_more_errors(stored):
    flags = ["--store", stored.url, "--features", "a"]
    for args, text in (
        (["--compare", "a", "knn"], "--compare a knn: give two features or two classifiers"),
        (["--ensemble"], "--ensemble needs --features with at least two backbones, a,b"),
        (
            ["--group", "style=google"],
            "--group 'style=google': give a column and two of its groups, as style=",
        ),
        (["--group", "style=x:y"], "unknown target column of openmoji/train 'style'; there are: label, subcategory"),
        (["--transform", "pca"], "--transform 'pca': one of none, l2n, cl2n"),
        (["--centre", "base"], "--centre base belongs to --transform cl2n"),
        (["--episodes", "0"], "--episodes 0: at least 1"),
        (["--seed", "-1"], "--seed -1: at least 0"),
        (["--shots", ","], "--shots names no number"),
        (["--shots", "9" * 5000], "--shots '99999999999999999999'...: the most is"),
        (["--classifier", ""], "--classifier names none"),
        (["--episodes", "999999999"], "--episodes 999999999 --repeats 1 --ways 5 --shots 1 --queries 15 would draw"),
        (["--weight-decay", "0"], "--weight-decay 0: at least 1e-30"),
        (["--device", "tpu9"], "--device 'tpu9': give auto, cpu, cuda or cuda:1"),
        (["--classes", "class1,clas2"], "unknown class 'clas2'; nearest: class2"),
        (["--target", "lable"], "unknown target column of openmoji/train 'lable'; nearest: label"),
    ):
        with pytest.raises(UserError) as error:
            main([*flags, *args])
        assert str(error.value).startswith(text)
    with pytest.raises(BadValue, match="give --features A,B,C"):
        main(["--store", stored.url])


def test_flags_that_contradict_each_other_or_say_nothing(stored, tmp_path):
    file = ("--read-episodes", str(tmp_path / "e.npz"))
    for args, text in (
        ((*file, "--write-episodes", "x.npz"), "--read-episodes and --write-episodes: nothing is drawn"),
        ((*file, "--ways", "3"), "--ways: the episodes of --read-episodes have their own"),
        ((*file, "--group", "style=a:b"), "--group: the episodes of --read-episodes have their own"),
        ((*file, "--repeats", "2"), "--repeats: the episodes of"),
        (("--neighbours", "3"), "--neighbours is for --classifier knn: to nearest it says nothing"),
        (
            ("--classifier", "knn,baseline", "--weight-decay", "1"),
            "--weight-decay is for --classifier logistic and ridge",
        ),
        (("--compare", "a", "a"), "--compare a a: both are the same"),
        (("--centre", "train"), "--centre train belongs to --transform cl2n"),
    ):
        with pytest.raises(BadValue, match=text):
            main(["--store", stored.url, "--features", "a", *args])


def test_episodes_from_a_file_have_the_classes_of_the_file(stored, capsys, tmp_path):
    path, flags = str(tmp_path / "e.npz"), ["--features", "b", "--json"]
    run(stored, capsys, *flags, "--ways", "2", "--episodes", "5", "--target", "label", "--write-episodes", path)
    assert json.loads(run(stored, capsys, *flags, "--read-episodes", path))["target"] == "label"
    with pytest.raises(BadValue, match=r"--target subcategory: the episodes of .* are of classes by 'label'"):
        main(["--store", stored.url, *flags, "--target", "subcategory", "--read-episodes", path])


def test_columns_and_steps_are_refused_by_name(stored):
    for name in ("a:l2", "a[0:4]", "a[2:]:std", "b,a:pca3"):
        with pytest.raises(
            BadValue, match=r"few-shot takes whole backbones as they are stored, without .*--transform l2n"
        ):
            main(["--store", stored.url, "--features", name])
