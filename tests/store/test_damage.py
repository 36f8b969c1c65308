"""Whatever one damages in a store, no command gives another result without a word.

A case is one file and one damage. A command may say the same as before, refuse with a `UserError`, or name the file in
a warning. `python -m pytest -m slow tests/store/test_damage.py` tries every file, every damage and every command.
"""

import collections
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.store import damage
from tests.store.damage import BROKEN, COMMANDS, SILENT

READ_BY = {
    "features": ("export", "probe", "fewshot", "search", "predict"),
    "samples": ("export", "probe", "fewshot", "search", "predict"),
    "datasets": ("export", "probe", "fewshot", "search", "predict"),
    "records": ("report",),
    "heads": ("predict",),
    "grams": ("search",),
}
"""Top folder -> the commands that read it."""
FLIPS = 3


@pytest.fixture(scope="module", params=["zarr", "hdf5"])
def place(request, tmp_path_factory) -> tuple[str, Path, Path, dict[Path, bytes], dict[str, list[object]]]:
    """(backend, a store, a folder aside, the bytes of its files, what each command says of it while it is whole)"""
    store = damage.make(tmp_path_factory.mktemp("damage") / "s", request.param)
    aside = tmp_path_factory.mktemp("aside")
    aside.joinpath("heads").write_text(" ".join(sorted(path.stem for path in store.glob("heads/*.npz"))))
    whole = {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}
    return request.param, store, aside, whole, {name: command(store, aside) for name, command in COMMANDS.items()}


Case = tuple[Path, str, Callable[[], None], str]


def tried(place, cases: Iterator[Case]) -> collections.Counter[str]:
    """Make each damage, run its command, and put the store back. Fails where a command was silent or broke down."""
    _, store, aside, whole, clean = place
    count, wrong = collections.Counter[str](), []
    for path, name, spoil, command in cases:
        key, near = str(path.relative_to(store)), damage.sibling(store, path)
        spoil()
        try:
            found, words = damage.outcome(command, store, aside, clean[command], key, deleted=name == "delete")
        finally:
            damage.restore(whole, path, near)
        count[found] += 1
        if found in (SILENT, BROKEN):
            wrong.append(f"{found}: {command} after {name} of {key}: {words}")
    assert not wrong, "\n".join(wrong)
    return count


def test_one_command_for_every_damage_of_one_set_and_of_all_results(place) -> None:
    backend, store = place[:2]

    def cases() -> Iterator[Case]:
        for path in damage.files(store):
            top, *rest = path.relative_to(store).parts
            if (top in ("features", "samples") and (rest[1] != "test" or "b" in rest)) or (
                backend == "hdf5" and top != "features"  # the rest is the same in both
            ):
                continue
            for name, spoil in damage.damages(store, path, 1):
                commands = READ_BY[top]
                yield path, name, spoil, commands[zlib.crc32(f"{rest[-2:]}{name}".encode()) % len(commands)]

    count = tried(place, cases())
    assert sum(count.values()) > {"zarr": 300, "hdf5": 90}[backend]
    assert count[damage.TOLD] > sum(count.values()) / 3, "most damages are noticed"


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_every_damage_of_every_file(place, command) -> None:
    store = place[1]
    tried(
        place,
        (
            (path, name, spoil, command)
            for path in damage.files(store)
            for name, spoil in damage.damages(store, path, FLIPS)
        ),
    )


@pytest.mark.slow
def test_a_bit_of_every_byte_of_the_metadata(place) -> None:
    backend, store = place[:2]

    def cases() -> Iterator[Case]:
        for path in damage.files(store):
            top, *rest = path.relative_to(store).parts
            if path.suffix not in ("", ".json") or (top in ("features", "samples") and "b" in rest):
                continue
            if backend == "hdf5" and top != "features":  # the rest is the same in both
                continue
            size = path.stat().st_size
            command = {"records": "report"}.get(top, "export")
            for at in range(size):
                yield path, f"bit of byte {at}", lambda at=at, path=path: flip_byte(path, at), command  # type: ignore[misc]

    tried(place, cases())


def flip_byte(path: Path, at: int) -> None:
    size = path.stat().st_size
    damage.flip(path, (at + 0.5) / max(1, size - 1) if size > 1 else 0)
