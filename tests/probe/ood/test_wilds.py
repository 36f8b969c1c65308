from ast import literal_eval

import numpy as np
import pytest

from probe.cli import main
from store import open_features
from store.errors import BadValue
from store.heads import load_head
from store.records import read_records

CLASSES = {"label": ["normal", "tumor"], "hospital": list("01234")}
SPLITS = {"train": (0, 3), "id_val": (0, 3), "val": (1,), "test": (2,), "mixed": (0, 1, 3)}


@pytest.fixture
def stored(root, make_set):
    rng = np.random.default_rng(0)
    for split, hospitals in SPLITS.items():
        y_N, hospital_N = rng.integers(0, 2, 40), rng.choice(hospitals, 40)
        for backbone in ("a", "b"):
            x = rng.normal(size=(40, 5)) + y_N[:, None]
            targets = {"label": y_N, "hospital": hospital_N}
            make_set(x, targets, dataset="camelyon17", split=split, backbone=backbone, classes=CLASSES)
    return root.url


def argv(stored, folder, *more):
    common = ["--dataset", "camelyon17", "--store", stored, "--objective", "erm,vrex", "--group", "hospital"]
    return [*common, "--epochs", "1", "--penalty", "0,1", "--seeds", "0,1", "--wilds", str(folder), *more]


def test_every_run_has_a_file_that_the_evaluator_finds_and_reads(root, stored, tmp_path) -> None:
    folder = tmp_path / "wilds"
    assert main(argv(stored, folder, "--features", "ERM=a;b", "--features", "a,b")) == 0
    assert sorted(path.name for path in folder.iterdir()) == ["ERM", "a,b"]
    below = folder / "ERM"
    assert sorted(path.name for path in below.iterdir()) == ["erm-iid", "erm-ood", "vrex-iid", "vrex-ood"]
    names = {path.name for path in (below / "vrex-ood").iterdir()}
    assert names == {  # two initialisations with two seeds each: replicates 0 to 3
        f"camelyon17_split:{split}_seed:{n}_epoch:best_pred.csv"
        for split in ("id_val", "val", "test")
        for n in range(4)
    }
    (record,) = (
        r for r in read_records(root, "probe") if (r.metrics["features"], r.metrics["objective"]) == ("b", "vrex")
    )
    run = record.metrics["tunings"]["ood"]["runs"][1]
    lines = (below / "vrex-ood/camelyon17_split:test_seed:3_epoch:best_pred.csv").read_text().splitlines()
    guesses = [literal_eval(line.rstrip()) for line in lines]  # as WILDS' get_predictions does
    x, head = open_features(root, "camelyon17", "test", "b"), load_head(root, run["head"])
    assert guesses == (x.read() @ head.weight.T + head.bias).argmax(1).tolist()
    assert np.mean(guesses == x.samples.label) == pytest.approx(run["top1"])


def test_what_the_evaluator_could_not_read_is_refused(stored, tmp_path) -> None:
    make_group = ["--group", "hospital=0,3:1:2"]
    with pytest.raises(BadValue, match="--wilds: id_val has 22 of the 40 samples of its split, and the evaluator"):
        main([*argv(stored, tmp_path, "--features", "a", "--id-val", "none"), *make_group, "--val", "mixed"])
    with pytest.raises(BadValue, match="--wilds writes predictions of camelyon17's labels"):
        main(["--dataset", "toy", *argv(stored, tmp_path, "--features", "a")[2:]])
    (tmp_path / "file").touch()
    with pytest.raises(BadValue, match=r"--wilds .*file: File exists"):
        main(argv(stored, tmp_path / "file", "--features", "a"))
    with pytest.raises(BadValue, match="--wilds is for --objective"):
        main(["--features", "a", "--wilds", str(tmp_path)])
