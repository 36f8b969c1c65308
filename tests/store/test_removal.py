"""gc and rm remove what is theirs, unneeded and old, and nothing else."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from store import open_features
from store.cli import main
from store.errors import BadValue
from store.local import LocalRoot
from store.removal import collect, find_garbage, remove_samples
from tests.conftest import make_samples
from tests.store.test_commands import half_written, labels, made

OTHER = "ab" * 32


def make_old(root) -> None:
    for path in Path(root.url).rglob("*"):
        os.utime(path, (0, 0), follow_symlinks=False)


def tree(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.fixture
def theirs(tmp_path) -> Path:
    folder = tmp_path / "home"
    for name in ("docs", OTHER):
        (folder / name / "deep").mkdir(parents=True)
        (folder / name / "deep" / "text").write_bytes(b"theirs")
        os.utime(folder / name / "deep" / "text", (0, 0))
    return folder


@pytest.mark.parametrize("place", ["features/toy/train/b", "features/toy/train", "features/toy", "samples/toy/train"])
def test_no_link_is_followed(place, root, make_set, theirs, capsys) -> None:
    kept = make_set(made(9, 1), labels(9), split="val")
    link = root.path(f"{place.replace('toy', 'other')}")
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(theirs)
    for depth in ("a", "a/b"):  # what they have lies at every depth
        shutil.copytree(theirs / OTHER, theirs / depth / OTHER)
    make_old(root)
    before = tree(theirs)
    assert main(["gc", "--yes", "--age", "0", "--store", root.url]) == 0
    assert tree(theirs) == before
    assert link.is_symlink()
    assert "a link, which is never followed" in capsys.readouterr().err
    for name in ("*", f"b@{OTHER[:8]}"):
        with pytest.raises((BadValue, LookupError)):
            main(["rm", name, "--dataset", "other", "--yes", "--store", root.url])
    assert tree(theirs) == before
    assert kept.read().shape == (9, 1)


def test_foreign_folders_are_told_and_left(root, make_set, capsys) -> None:
    kept = make_set(made(9, 1), labels(9))
    samples = f"samples/toy/train/{kept.manifest.samples}"
    for folder in (f"{kept.manifest.key.folder}/notes", "features/toy/train/b/docs", "samples/toy/train/notes"):
        root.put(f"{folder}/deep/text", b"theirs")
    make_old(root)
    before = tree(Path(root.url))
    assert main(["gc", "--yes", "--age", "0", "--store", root.url]) == 0
    assert tree(Path(root.url)) == before
    err = capsys.readouterr().err
    assert err.count("not of this store") == 3
    assert samples not in err


def test_what_is_new_anywhere_below_is_not_old(root) -> None:
    root.put(f"features/toy/train/b/{OTHER}/deep/sub/text", b"1")
    root.put(f"samples/toy/train/{OTHER}/deep/sub/text", b"1")
    root.path(f"features/toy/train/c/{OTHER}/x").mkdir(parents=True)  # nothing tells its age
    assert find_garbage(root, 86400.0).keys == []
    make_old(root)
    assert find_garbage(root, 86400.0).sets == [f"features/toy/train/b/{OTHER}"]


@pytest.mark.parametrize(
    ("damaged", "listed"), [("started.json", False), ("manifest.json", False), ("both", False), ("none", False)]
)
def test_lists_of_committed_sets_stay(damaged, listed, root, make_set, capsys) -> None:
    stored = make_set(made(9, 1), labels(9))
    folder = f"{stored.manifest.key.folder}/{stored.manifest.fingerprint}"
    for name in ("started.json", "manifest.json"):
        if damaged in (name, "both"):
            root.put(f"{folder}/{name}", b"{")
    if damaged == "none":
        root.remove(f"{folder}/started.json")
    samples = f"samples/toy/train/{stored.manifest.samples}"
    make_old(root)
    assert (samples in find_garbage(root, 0).samples) is listed
    assert main(["gc", "--yes", "--age", "0", "--store", root.url]) == 0
    assert f"{samples}/samples.json" in tree(Path(root.url))
    capsys.readouterr()


def test_a_set_that_names_another_list_does_not_cost_its_own(root, capsys) -> None:
    """One digit of the samples id in started.json is another: it is no longer what its fingerprint says."""
    writer = half_written(root)
    samples, started = writer.samples.id, root.path(f"{writer.folder}/started.json")
    del writer
    other = f"{int(samples[0], 16) ^ 1:x}{samples[1:]}"
    started.write_text(started.read_text().replace(samples, other))
    make_old(root)
    assert find_garbage(root, 0).samples == []
    main(["gc", "--yes", "--age", "0", "--store", root.url])
    capsys.readouterr()


def test_a_list_of_an_unreadable_set_is_told(root, make_set, capsys) -> None:
    stored = make_set(made(9, 1), labels(9))
    for name in ("started.json", "manifest.json"):
        root.put(f"{stored.manifest.key.folder}/{stored.manifest.fingerprint}/{name}", b"{")
    make_old(root)
    main(["gc", "--yes", "--age", "0", "--store", root.url])
    assert "perhaps needed" in capsys.readouterr().err


def test_a_run_that_went_on_while_somebody_was_asked_is_left(root) -> None:
    writer = half_written(root)
    del writer
    make_old(root)
    found = find_garbage(root, 60.0)
    assert len(found.sets) == 1
    root.put(f"{found.sets[0]}/x/c.1.0", b"new")
    assert collect(root, found, 60.0) == []


class Killed(BaseException):
    pass


def test_a_list_half_removed_is_written_again(root, make_set, monkeypatch) -> None:
    """Stopped before its k-th removal, for every k: the same samples can be stored and read again."""
    for k in range(20):
        stored = make_set(made(9, 1), labels(9), split="train")
        samples = f"samples/toy/train/{stored.manifest.samples}"
        left = [k]

        def remove(self, key, left=left, whole=LocalRoot.remove) -> None:
            if not left[0]:
                for path in sorted(self.path(key).rglob("c.*"))[:1]:  # in the middle of a tree
                    path.unlink()
                raise Killed
            left[0] -= 1
            whole(self, key)

        with monkeypatch.context() as patch:
            patch.setattr(LocalRoot, "remove", remove)
            try:
                remove_samples(root, samples)
                done = True
            except Killed:
                done = False
        root.remove("features")
        made_again = make_set(made(9, 1), labels(9), split="train")
        assert list(made_again.samples.ids) == list(make_samples("toy", "train", labels(9), {}).ids)
        x = open_features(root, "toy", "train", made_again.manifest.backbone)
        assert np.array_equal(x.samples.targets["label"].index, np.asarray(labels(9)["label"]))
        if done:
            return
    raise AssertionError("removal never ends")
