"""`store verify` finds what is not as it was written; `--repair` leaves only that to be made again."""

import json
import re

import numpy as np
import pytest

from store import open_features
from store.cli import main
from store.errors import DamagedFeatures, FormatError
from store.fingerprint import sha256_json
from tests.conftest import write_set

X = np.random.default_rng(0).normal(size=(100, 4)).astype(np.float32)
LABELS = {"label": np.arange(100) % 3}


def flip(path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def rewrite_manifest(path, **changes) -> None:
    values = json.loads(path.read_text())
    values.pop("manifest_sha256")
    values |= changes
    path.write_text(json.dumps(values | {"manifest_sha256": sha256_json(values)}))


def verify(root, capsys, *argv: str) -> tuple[int, list[dict]]:
    code = main(["verify", "--json", "--store", root.url, *argv])
    return code, json.loads(capsys.readouterr().out)["findings"]


@pytest.fixture
def stored(root, make_set):
    return make_set(X, LABELS, block_rows=32, bad_rows={40: "not an image"})


def block(stored, index: int, array: str = "x"):
    return stored.root.path(f"{stored.folder}/{array}/c.{index}.0")


def test_a_sound_store(root, stored, capsys) -> None:
    assert main(["verify", "--store", root.url]) == 0
    assert capsys.readouterr().out == "1 sets, 4 blocks: all as written\n"


def remove(path) -> None:
    path.unlink()


def truncate(path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


DAMAGES = {
    "flipped bit": (lambda path: flip(path, 17), "does not match its checksum"),
    "truncated": (truncate, "has 509 bytes, needs 516"),
    "missing": (remove, "is missing"),
    "empty": (lambda path: path.write_bytes(b""), "is empty"),
    "flipped checksum": (lambda path: flip(path, 514), "does not match its checksum"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_block_is_found_refused_and_only_it_is_made_again(root, stored, capsys, damage) -> None:
    spoil, what = DAMAGES[damage]
    before = {index: block(stored, index).stat().st_ino for index in (0, 2, 3)}
    spoil(block(stored, 1))
    with pytest.raises(DamagedFeatures, match=f"{what}: rows 32 to 63 are lost. Run `python -m store verify --repair"):
        open_features(root, "toy", "train", "a").read()
    code, found = verify(root, capsys)
    assert code == 1
    assert [finding["rows"] for finding in found] == [[32, 63]]
    assert what in found[0]["what"]
    assert main(["verify", "--store", root.url]) == 1
    told = capsys.readouterr().out
    assert f"python -m store verify --repair {found[0]['name']} --store {root.url}" in told
    assert f"python -m extract --backbone a --dataset toy --split train --store {root.url}" in told

    assert verify(root, capsys, "--repair")[0] == 0
    again = write_set(root, X, LABELS, block_rows=32, bad_rows={40: "not an image"})
    assert {index: block(again, index).stat().st_ino for index in (0, 2, 3)} == before
    assert again.manifest.checksums == stored.manifest.checksums
    assert verify(root, capsys) == (0, [])


def test_a_block_of_another_set_is_found(root, stored, make_set, capsys) -> None:
    other = make_set(X + 1, LABELS, backbone="b", block_rows=32)
    block(stored, 2).write_bytes(block(other, 2).read_bytes())
    code, found = verify(root, capsys, "a")
    assert code == 1
    assert found[0]["rows"] == [64, 95]
    assert "is not the block that was committed" in found[0]["what"]


LIES = {
    "other fields": ({"dim": 5}, "the manifest says \\(100, 5\\)"),
    "another set's": ({"backbone": "b"}, "belongs to toy/train/b"),
    "other samples": ({"samples": "0" * 64}, "are not those of the fingerprint"),
    "other checksums": ({"checksums": "0" * 64}, "checksums is not what the manifest says"),
    "other images": ({"content": "0" * 64}, "hash of the images is not that of the stored"),
    "no bad rows": ({"bad_rows": {}}, r"rows \[40\] do not fit the list of bad rows"),
    "unknown field": ({"odd": 2}, "missing or unknown fields: odd"),
    "other parts": ({"parts": {"weights": "x"}}, "does not belong to its parts"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_manifest_that_lies_is_found_and_written_again(root, stored, capsys, lie) -> None:
    changes, what = LIES[lie]
    rewrite_manifest(root.path(f"{stored.folder}/manifest.json"), **changes)
    code, found = verify(root, capsys)
    assert code == 1
    assert any(re.search(what, finding["what"]) for finding in found), found
    verify(root, capsys, "--repair")
    again = write_set(root, X, LABELS, block_rows=32, bad_rows={40: "not an image"})
    assert again.manifest.content == stored.manifest.content
    assert verify(root, capsys) == (0, [])


def test_a_manifest_edited_by_hand_is_refused(root, stored, capsys) -> None:
    path = root.path(f"{stored.folder}/manifest.json")
    path.write_text(path.read_text().replace('"dim": 4', '"dim": 3'))
    with pytest.raises(FormatError, match=r"manifest.json was changed after it was written: restore it, or"):
        open_features(root, "toy", "train", "a")
    code, found = verify(root, capsys)
    assert (code, found[0]["rows"]) == (1, None)
    path.write_text("{")
    with pytest.raises(FormatError, match=r"manifest.json is not JSON"):
        open_features(root, "toy", "train", "a")
    path.write_text("[]")
    with pytest.raises(FormatError, match=r"manifest.json is not a manifest"):
        open_features(root, "toy", "train", "a")


@pytest.mark.parametrize("part", ["ids/c.0", "sizes/c.0", "offsets/zarr.json", "samples.json"])
def test_damaged_samples_are_found_and_written_again(root, stored, capsys, part) -> None:
    path = root.path(f"samples/toy/train/{stored.manifest.samples}/{part}")
    flip(path, 3)
    code, found = verify(root, capsys)
    assert code == 1
    assert found[0]["rows"] is None
    verify(root, capsys, "--repair")
    write_set(root, X, LABELS, block_rows=32)
    assert verify(root, capsys) == (0, [])


def test_damaged_targets_are_found_and_written_again(root, stored, capsys) -> None:
    folder = root.path(f"samples/toy/train/{stored.manifest.samples}/targets/label")
    current = folder / (folder / "current").read_text()
    (current / "classes.json").write_text('["0", "1", "other"]')
    code, found = verify(root, capsys)
    assert code == 1
    assert "is not what its hash says" in found[0]["what"]
    verify(root, capsys, "--repair")
    write_set(root, X, LABELS, block_rows=32)
    assert verify(root, capsys) == (0, [])
    (folder / "current").write_text("0000")
    with pytest.raises(DamagedFeatures, match="it removes what is damaged and says how to make it again"):
        _ = open_features(root, "toy", "train", "a").samples.label


def test_an_unfinished_set_is_verified_too(root, stored, capsys) -> None:
    root.remove(f"{stored.folder}/manifest.json")
    flip(block(stored, 3), 0)
    code, found = verify(root, capsys)
    assert (code, found[0]["rows"]) == (1, [96, 99])
    verify(root, capsys, "--repair")
    assert not block(stored, 3).exists()
    assert block(stored, 2).exists()


def test_a_set_of_a_newer_version_is_left_alone(root, stored, capsys) -> None:
    """Repair and gc remove what is damaged or half; this is neither."""
    manifest = root.path(f"{stored.folder}/manifest.json")
    rewrite_manifest(manifest, format=2)
    before = manifest.read_bytes()
    assert verify(root, capsys, "--repair") == (0, [])
    main(["gc", "--age", "0", "--yes", "--store", root.url])
    assert manifest.read_bytes() == before
    main(["ls", "--store", root.url])
    assert capsys.readouterr().out.rstrip().endswith("newer")


@pytest.mark.parametrize("name", ["manifest.json", "started.json", "x/zarr.json"])
def test_metadata_that_is_nested_too_deep_is_damaged(root, stored, capsys, name) -> None:
    path = root.path(f"{stored.folder}/{name}")
    path.write_text("[" * 100_000)
    if name == "started.json":
        root.path(f"{stored.folder}/manifest.json").unlink()
    main(["ls", "--store", root.url])
    capsys.readouterr()
    code, findings = verify(root, capsys) if name == "x/zarr.json" else (1, [{}])
    assert (code, len(findings)) == (1, 1)


def test_targets_never_lead_out_of_the_store(root, stored) -> None:
    root.path(f"{stored.folder}").parents[4].joinpath("classes.json").write_text("[]")
    (current,) = root.folder.glob("samples/*/*/*/targets/label/current")
    current.write_text("../../../../../..")
    with pytest.raises(DamagedFeatures, match="targets/label is damaged"):
        open_features(root, "toy", "train", "a").samples.targets["label"]
