"""Nothing is lost and nothing half-written is seen: kills, full disks, vanished roots, two writers at once."""

import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import store
from store import exchange, open_features
from store.cli import build_parser, main
from store.commands import gc
from store.errors import BadValue, MissingFeatures, RootError
from tests.store import crash_run

BLOCKS = -(-crash_run.ROWS // crash_run.BLOCK_ROWS)
_ENV = os.environ | {"PYTHONPATH": str(Path(store.__file__).parents[1]), "OMP_NUM_THREADS": "1"}


def start(*argv: str, **options) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, crash_run.__file__, *argv],
        env=_ENV, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options,
    )  # fmt: skip


def run(*argv: str, **options) -> tuple[int, str, str]:
    process = start(*argv, **options)
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


@pytest.fixture
def quick_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one: a kill is a kill on any disk."""
    if not Path("/dev/shm").is_dir():
        yield tmp_path
        return
    folder = Path(tempfile.mkdtemp(dir="/dev/shm", prefix="store-test-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, check=False)
    if made.returncode:
        pytest.skip("mounting a small disk needs root")
    yield folder
    subprocess.run(["umount", folder], check=True)


def remount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True)


def stored_bytes(root: str) -> dict[str, bytes]:
    """Every object of the set but what tells the time."""
    folder = Path(root) / crash_run.open_writer(root).folder
    paths = [path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(".partial")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths if path.name != "manifest.json"}


def check_complete(root: str, want: dict[str, bytes]) -> None:
    assert stored_bytes(root) == want
    x = open_features(root, "toy", "train", "a")
    assert np.array_equal(x.read(), crash_run.features().astype(np.float16))
    assert main(["verify", "--store", root]) == 0


def kill_points(folder: Path) -> list[str]:
    """50 random points of a run: 22 lines of it, 10 of them in its last tenth, 3 within a write, and 25 moments."""
    code, out, err = run(str(folder / "whole"), "--kill-after", f"line:{10**9}", "999")
    lines, _, state = out.split("\n")[0].split()
    assert (code, state) == (0, "finished"), err
    seconds = float(out.split("\n")[1].split()[1])
    rng, count = random.Random(2), int(lines)
    late = [f"line:{rng.randrange(count * 9 // 10, count)}" for _ in range(10)]
    return [*(f"line:{rng.randrange(1, count)}" for _ in range(12)), "torn:1", "torn:20", "torn:99", *late, *(
        f"{rng.uniform(0, seconds):.4f}" for _ in range(25)
    )]  # fmt: skip


def test_killed_at_fifty_points(quick_disk, capsys) -> None:
    whole = str(quick_disk / "reference")
    crash_run.write(whole)
    want = stored_bytes(whole)
    points = kill_points(quick_disk)
    code, out, err = run(str(quick_disk / "killed"), "--kill-after", *points)
    assert code == 0, err
    fates = [line.split()[-1] for line in out.splitlines()]
    assert len(fates) == 50
    assert fates.count("killed") >= 25
    torn = 0
    for i, fate in enumerate(fates):
        root = str(quick_disk / "killed" / str(i))
        torn += len(list(Path(root).rglob("*.partial")))
        done = crash_run.open_writer(root)
        stored = BLOCKS - len(done.missing())
        committed = done.committed
        assert committed or fate == "killed"
        if not committed:
            with pytest.raises(MissingFeatures):
                open_features(root, "toy", "train", "a")
        del done
        assert len(crash_run.write(root)) == BLOCKS - stored, "a rerun makes only what is missing"
        assert open_features(root, "toy", "train", "a").shape == (crash_run.ROWS, crash_run.DIM)
        gc(build_parser().parse_args(["gc", "--age", "0", "--yes", "--store", root]))
        assert not list(Path(root).rglob("*.partial"))
        assert stored_bytes(root) == want
    check_complete(root, want)
    assert torn, "no kill hit the inside of a write"
    capsys.readouterr()


def test_two_processes_write_the_same_set(quick_disk, capsys) -> None:
    """Their features differ in the last digits, as those of two machines do: every block is of one or the other."""
    root = str(quick_disk)
    processes = [start(root, "--noise", str(i / 8), "--seed", str(i)) for i in range(3)]
    for process in processes:
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, out + err
    assert main(["verify", "--store", root]) == 0, capsys.readouterr().out
    x, made = open_features(root, "toy", "train", "a").parts[0], crash_run.features()
    choices = [(made + np.float32(i / 8)).astype(np.float16) for i in range(3)]
    for block in range(BLOCKS):
        rows = x.blocks.rows(block)
        got = x.blocks.read_block(block)
        fine = np.isfinite(got).all(axis=1)
        whose = [i for i in range(3) if np.array_equal(got[fine], choices[i][rows.start : rows.stop][fine])]
        assert len(whose) == 1, f"block {block} is a mixture"
        if block == 2:
            bad = {str(rows[3]): f"noise {whose[0] / 8}"} if whose[0] else {}
            assert x.manifest.bad_rows == bad
            assert fine.sum() == len(rows) - len(bad)
    capsys.readouterr()


def test_a_full_disk(small_disk, capsys) -> None:
    root = str(small_disk)
    code, _, err = run(root)
    assert code == 2
    assert "crash_run: store " in err
    assert "the disk is full: free some room or give another --store, then run the same command again" in err
    assert "Traceback" not in err
    assert not list(small_disk.rglob("*.partial"))
    done = BLOCKS - len(crash_run.open_writer(root).missing())
    assert 0 < done < BLOCKS
    remount(small_disk, "size=9m")
    assert run(root) == (0, f"{BLOCKS - done}\n", "")
    assert main(["verify", "--store", root]) == 0
    capsys.readouterr()


def test_a_file_size_limit(quick_disk) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    code, _, err = run(str(quick_disk), preexec_fn=limit)
    assert code == 2
    assert "the file-size limit is too low (ulimit -f): raise it" in err
    assert run(str(quick_disk)) == (0, f"{BLOCKS}\n", "")


def test_a_read_only_root(small_disk) -> None:
    remount(small_disk, "size=9m")
    root = str(small_disk / "features")
    crash_run.write(root)
    want = stored_bytes(root)
    remount(small_disk, "ro")
    try:
        check_complete(root, want)
        assert run(root) == (0, "0\n", ""), "nothing is missing, so nothing is written"
        other = str(small_disk / "other")
        code, _, err = run(other)
        assert code == 2
        assert f"store {other}: cannot write features/toy/train/a/" in err
        assert "it is read-only: give another --store. What was committed is untouched" in err
        assert main(["ls", "--store", other]) == 0
    finally:
        remount(small_disk, "rw")


def test_a_vanished_root(tmp_path) -> None:
    root = tmp_path / "features"
    writer = crash_run.open_writer(str(root))
    rows = writer.rows(0)
    block = crash_run.features()[:64], np.zeros((len(rows), 16), np.uint8)
    writer.write(0, *block)
    root.rename(tmp_path / "away")
    for use in (lambda: writer.write(1, *block), writer.missing, lambda: writer.commit({})):
        with pytest.raises(RootError, match=r"store .*features is gone: mount or restore it, then run the same"):
            use()
    root.mkdir()
    with pytest.raises(RootError, match="is another folder now"):
        writer.write(1, *block)
    assert not list(root.iterdir()), "nothing is written beside what is gone"
    root.rmdir()
    (tmp_path / "away").rename(root)
    writer.write(1, *block)
    assert writer.missing() == list(range(2, BLOCKS))


def test_a_file_in_the_way(tmp_path) -> None:
    (tmp_path / "features").write_text("not a folder")
    with pytest.raises(RootError, match="a file is in the way of a folder: give another --store"):
        crash_run.write(str(tmp_path / "features"))


X, LABELS = np.arange(300.0, dtype=np.float32).reshape(50, 6), np.arange(50) % 4 - 1


def take_in(root, path, split="train"):
    return exchange.import_file(root, path, "toy", "new", split)[0]


NAMES = np.array([f"{row}.png" for row in range(50)])
SPLITS = np.array(["test", "train"])[(np.arange(50) % 3 > 0).astype(int)]
KILLED = {
    "one split": {"labels": LABELS, "groups": LABELS},
    "two splits": {"labels": LABELS, "split": SPLITS, "ids": NAMES},
    "two splits without ids": {"labels": LABELS, "split": SPLITS},
}


@pytest.mark.parametrize("case", KILLED)
def test_a_killed_import_goes_on(root, tmp_path, case) -> None:
    """Killed at every write, one after the other: the same command finishes, and nothing shows that it was killed."""
    np.savez(tmp_path / "x.npz", features=X, **KILLED[case])
    split = "train" if case == "one split" else None
    rows = {"train": np.arange(50)} if split else {name: np.flatnonzero(name == SPLITS) for name in ("train", "test")}

    class Killed(BaseException):
        pass

    class Dying(type(root)):
        left = 0

        def _write_partial(self, target, data):
            if self.left == 0:
                raise Killed
            self.left -= 1
            return super()._write_partial(target, data)

    for writes in range(0, 1000, 1 if split else 5):
        dying = Dying(Path(root.url))
        dying.left = writes
        try:
            take_in(dying, tmp_path / "x.npz", split)
        except Killed:
            pass
        else:
            break
        take_in(root, tmp_path / "x.npz", split)
        for name, of_split in rows.items():
            made = open_features(root, "toy", name, "new")
            assert np.array_equal(made.read(), X[of_split])
            assert np.array_equal(made.samples.label, LABELS[of_split])
        root.remove("features")
        root.remove("samples")
    assert writes > 10


def test_of_two_imports_at_once_with_other_labels_the_second_is_refused(root, tmp_path, monkeypatch) -> None:
    np.savez(tmp_path / "x.npz", features=X, labels=LABELS)
    np.savez(tmp_path / "y.npz", features=X * 2, labels=LABELS[::-1])
    monkeypatch.setattr(exchange, "_check_once", lambda *_: take_first())

    def take_first() -> None:  # between the check and the writing
        monkeypatch.undo()
        take_in(root, tmp_path / "x.npz")

    with pytest.raises(BadValue, match="has these samples with another 'label': --relabel replaces"):
        take_in(root, tmp_path / "y.npz")
    assert np.array_equal(open_features(root, "toy", "train", "new").samples.label, LABELS)
