"""The same image twice in the pool is refused, units are kept apart unasked, rows say of how many classes they are."""

import json

import numpy as np
import pytest

from fewshot.cli import main
from store.errors import BadValue
from store.records import read_records

FLAGS = ("--features", "n", "--dataset", "toy", "--ways", "2", "--shots", "1", "--queries", "5", "--episodes", "40")


def noise(n, seed=0):
    return np.random.default_rng(seed).normal(size=(n, 8))


@pytest.fixture
def doubled(root, make_set):
    """Noise: 20 images of train, of which test has five again."""
    label_N = np.arange(20) % 2
    one, two = {"split": "train", "images_N": np.arange(20)}, {"split": "test", "images_N": np.r_[:5, 100:115]}
    make_set(noise(20), {"label": label_N}, backbone="n", **one)
    make_set(np.vstack([noise(20)[:5], noise(15, 1)]), {"label": label_N}, backbone="n", **two)
    return root


def test_the_same_image_twice_is_refused_or_told(doubled, capsys) -> None:
    argv = [*FLAGS, "--store", doubled.url]
    told = r"5 of the 40 images .* first 'test/test/000000.png' = 'train/train/000000.png'.* --allow-duplicates"
    with pytest.raises(BadValue, match=told):
        main(argv)
    assert not list(read_records(doubled, "fewshot"))
    assert main([*argv, "--allow-duplicates"]) == 0
    assert "toy: 5 images of train and test are the same" in capsys.readouterr().out
    (record,) = read_records(doubled, "fewshot")
    assert record.metrics["overlap"] == {"train/test": 5}
    assert main([*argv, "--split", "train"]) == 0


@pytest.fixture
def novel(make_set):
    """`novel(images_N, label_N)` -> a split of 20 images of noise."""

    def make(images_N, label_N=None) -> None:
        label_N = np.arange(20) % 2 if label_N is None else label_N
        make_set(noise(20), {"label": label_N}, backbone="n", split="novel", images_N=images_N)

    return make


def test_twice_in_one_split(root, novel, capsys) -> None:
    novel(np.r_[:19, 3])
    with pytest.raises(
        BadValue, match=r"1 of the 20 images .* first 'novel/novel/000019.png' = 'novel/novel/000003.png'"
    ):
        main([*FLAGS, "--store", root.url])
    assert main([*FLAGS, "--store", root.url, "--allow-duplicates", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["overlap"] == {"novel": 1}


def test_images_that_no_episode_can_draw_are_not_compared(root, novel) -> None:
    novel(np.r_[:19, 3], np.r_[np.arange(19) % 2, -1])
    assert main([*FLAGS, "--store", root.url]) == 0


def test_images_that_were_never_seen_are_not_the_same(root, novel) -> None:
    novel(np.full(20, -1))
    assert main([*FLAGS, "--store", root.url]) == 0


@pytest.fixture
def units(root, make_set):
    """60 units of six images that are nearly the same; the class is a coin for each unit: chance is 50 %."""
    rng = np.random.default_rng(0)
    unit_N = np.repeat(np.arange(60), 6)
    x_ND = rng.normal(size=(60, 8))[unit_N] + 0.01 * rng.normal(size=(360, 8))
    make_set(x_ND, {"label": np.arange(60)[unit_N] % 2, "unit": unit_N}, backbone="n", split="novel")
    return root


def test_units_are_kept_apart_unasked(units, capsys, tmp_path) -> None:
    argv = [*FLAGS, "--shots", "5", "--classifier", "knn", "--episodes", "300", "--store", units.url]
    assert main([*argv, "--json"]) == 0
    apart = json.loads(capsys.readouterr().out)
    assert abs(apart["results"][0]["accuracy"] - 0.5) < 0.06
    assert "no unit is both support and query" in apart["notes"][0]
    file = str(tmp_path / "e.npz")
    assert main([*argv, "--apart", "none", "--json", "--write-episodes", file]) == 0
    leaks = json.loads(capsys.readouterr().out)
    assert leaks["results"][0]["accuracy"] > apart["results"][0]["accuracy"] + 0.05
    assert [record.metrics["apart"] for record in read_records(units, "fewshot")].count("unit") == 1
    read = [*FLAGS[:4], "--store", units.url]
    with pytest.raises(BadValue, match=r"in \d+ of 300 episodes a value of 'unit' is both support and query"):
        main([*read, "--read-episodes", file])
    assert main([*read, "--read-episodes", file, "--apart", "none"]) == 0


def test_rows_of_other_classes_say_so(root, make_set, capsys) -> None:
    y_N = np.repeat(np.arange(5), (9, 9, 30, 30, 30))
    make_set(noise(len(y_N)), {"label": y_N}, dataset="toy", split="novel", backbone="n")
    argv = [*FLAGS, "--shots", "1,5", "--store", root.url]
    assert main(argv) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[4] for line in lines[1:5:1] if line[0] != "-"] == ["classes", "5", "3"]
    assert "episodes are drawn from 5 classes at 1 shots, 3 classes at 5 shots" in "\n".join(lines)
    assert main([*argv, "--json"]) == 0
    assert [row["classes"] for row in json.loads(capsys.readouterr().out)["results"]] == [5, 3]


def test_one_episode_has_no_interval(root, make_set, capsys) -> None:
    make_set(noise(60), {"label": np.arange(60) % 3}, dataset="toy", split="novel", backbone="n")
    assert main([*FLAGS, "--episodes", "1", "--compare", "knn", "nearest", "--store", root.url]) == 0
    assert "+-" not in capsys.readouterr().out
