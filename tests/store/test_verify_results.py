"""`store verify` reads what runs found, and backbones that were trained, too."""

import json

import numpy as np
import pytest

from probe.cli import main as probe_main
from probe.search.cli import main as search_main
from store.cli import main
from store.errors import MissingFeatures
from store.fingerprint import sha256_json
from store.heads import StoredHead, save_head
from store.records import Record, write_record
from tests.store import damage


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A store with something of everything, and a folder of backbones beside it."""
    top = tmp_path_factory.mktemp("verify")
    store = damage.make(top / "s", "zarr")
    probe_main(["--features", "a", "--store", str(store), "--predictions", *damage.PROBE])
    for name in ("net", "net/e1"):
        folder = top / "b" / name
        folder.mkdir(parents=True)
        files = {"weights": b"w", "head": b"h"}
        for kind, data in files.items():
            (folder / f"{kind}.safetensors").write_bytes(data)
        made = {"format": 1, "weights_sha256": sha256(b"w"), "head_sha256": sha256(b"h")}
        (folder / "backbone.json").write_text(json.dumps(made | {"backbone_sha256": sha256_json(made)}))
    return store, top / "b"


def sha256(data: bytes) -> str:
    import hashlib

    return hashlib.sha256(data).hexdigest()


def verify(place, capsys, *argv: str) -> tuple[int, dict]:
    capsys.readouterr()
    code = main(["verify", "--json", "--store", str(place[0]), "--backbones", str(place[1]), *argv])
    return code, json.loads(capsys.readouterr().out)


def test_everything_is_read_and_told(place, capsys) -> None:
    code, read = verify(place, capsys)
    assert (code, read["findings"], read["unchecked"]) == (0, [], [])
    assert read["read"] == {"listings": 2, "records": 5, "heads": 3, "Gram blocks": 5, "predictions": 1, "backbones": 2}
    assert main(["verify", "--store", str(place[0]), "--backbones", str(place[1])]) == 0
    out, err = capsys.readouterr()
    assert out == "9 sets, 21 blocks: all as written\n"
    assert err == "also as written: 2 listings, 5 records, 3 heads, 5 Gram blocks, 1 predictions, 2 backbones\n"
    assert verify(place, capsys, "a")[1]["read"] == {}, "only these sets were asked for"


def test_a_store_of_results_alone_and_one_that_is_not_there(place, tmp_path, capsys) -> None:
    probe_main(["--features", "a", "--store", str(place[0]), "--records", str(tmp_path / "r"), *damage.PROBE])
    capsys.readouterr()
    assert main(["verify", "--store", str(tmp_path / "r")]) == 0
    assert capsys.readouterr().out == "0 sets, 0 blocks: all as written\n"
    with pytest.raises(MissingFeatures, match=r"nothing to verify in .*nowhere: is that the --store"):
        main(["verify", "--store", str(tmp_path / "nowhere"), "--backbones", str(place[1])])


def of(place, kind: str):
    return {
        "record": lambda: next(place[0].glob("records/probe/*.json")),
        "head": lambda: next(place[0].glob("heads/*.npz")),
        "gram": lambda: next(place[0].glob("grams/*/*/*/*/sums.npz")),
        "predictions": lambda: next(place[0].glob("predictions/*.parquet")),
        "backbone.json": lambda: place[1] / "net/e1/backbone.json",
        "weights": lambda: place[1] / "net/weights.safetensors",
        "head of a backbone": lambda: place[1] / "net/head.safetensors",
        "listing": lambda: place[0] / "datasets/toy.json",
        "started.json": lambda: next(place[0].glob("features/toy/train/a/*/started.json")),
    }[kind]()


KINDS = ("record", "head", "gram", "predictions", "backbone.json", "weights", "head of a backbone", "started.json",
         "listing")  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", ["flip", "truncate", "folder"])
def test_a_damaged_result_is_found(place, capsys, kind, how) -> None:
    path = of(place, kind)
    whole = path.read_bytes()
    {"flip": lambda: damage.flip(path, 0.4), "truncate": lambda: path.write_bytes(whole[:-3]),
     "folder": lambda: damage.folder(path)}[how]()  # fmt: skip
    try:
        code, read = verify(place, capsys)
        assert code == 1
        (finding,) = read["findings"]
        assert path.name in finding["name"] + finding["what"]
        advice = ("restore it, or", "made again", "extract --relabel", "store rm", "Is a directory")
        assert any(word in finding["what"] for word in advice), finding
    finally:
        damage.restore({path: whole}, path)


def test_a_damaged_gram_block_is_removed_by_a_repair_and_a_record_is_not(place, capsys) -> None:
    gram, record = of(place, "gram"), of(place, "record")
    whole = {path: path.read_bytes() for path in (gram, record)}
    for path in whole:
        damage.flip(path, 0.4)
    code, read = verify(place, capsys, "--repair")
    assert code == 1, "something is left that no command makes again"
    assert len(read["findings"]) == 2
    assert not gram.exists()
    assert record.exists()
    search_main(["--features", "a,b", "--store", str(place[0]), *damage.SEARCH])
    assert gram.exists()
    damage.restore(whole, record)
    assert verify(place, capsys)[0] == 0
    newest = max((place[0] / "records/search").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    newest.unlink()


def test_what_earlier_versions_wrote_is_unchecked(root, tmp_path, capsys) -> None:
    record = write_record(root, Record(kind="probe", config={}))
    values = json.loads(root.get(record.key))
    del values["sha256"]
    root.put(record.key, json.dumps(values).encode())
    save_head(root, StoredHead(weight=np.zeros((2, 3)), bias=np.zeros(2)), "one")
    (tmp_path / "b/old").mkdir(parents=True)
    (tmp_path / "b/old/backbone.json").write_text(json.dumps({"format": 1, "weights_sha256": sha256(b"w")}))
    (tmp_path / "b/old/weights.safetensors").write_bytes(b"w")
    assert main(["verify", "--store", root.url, "--backbones", str(tmp_path / "b")]) == 0
    err = capsys.readouterr().err
    assert "also as written: 1 records, 1 heads, 1 backbones" in err
    assert f"wrote them without a hash: 2, first {record.key}" in err


def test_a_bad_list_and_what_other_programs_see_of_hdf5(root, make_set, capsys) -> None:
    x, y = np.zeros((100, 4), np.float32), {"label": np.arange(100) % 3}
    stored = make_set(x, y, block_rows=32, bad_rows={40: "not an image"}, backend="hdf5")
    (bad,) = root.list(f"{stored.folder}/bad")
    for key, text in ((f"bad/{bad}", b'{"40": "other"}'), (f"bad/{bad}", b"["), ("x.h5", b"no"), ("x.h5", None)):
        whole = root.get(f"{stored.folder}/{key}")
        root.remove(f"{stored.folder}/{key}")
        if text is not None:
            root.put(f"{stored.folder}/{key}", text)
        capsys.readouterr()
        assert main(["verify", "--store", root.url]) == 1
        assert key in capsys.readouterr().out
        main(["verify", "--repair", "--store", root.url])
        root.put(
            f"{stored.folder}/bad/{bad}", whole if key.startswith("bad") else root.get(f"{stored.folder}/bad/{bad}")
        )
        make_set(x, y, block_rows=32, bad_rows={40: "not an image"}, backend="hdf5")
        assert main(["verify", "--store", root.url]) == 0
    other = make_set(x[:64], {"label": y["label"][:64]}, split="val", block_rows=32, backend="hdf5")
    root.put(f"{stored.folder}/x.h5", root.get(f"{other.folder}/x.h5"))
    assert main(["verify", "train/a", "--store", root.url]) == 1
    assert "x.h5 does not show the blocks" in capsys.readouterr().out
