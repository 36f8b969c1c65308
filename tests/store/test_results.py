"""What was found is printed where it cannot be stored, and may be stored elsewhere."""

import json

import numpy as np
import pytest

import fewshot.cli
import probe.cli
import probe.predict
import probe.search.cli
from store.errors import RootError
from store.local import LocalRoot
from store.results import RESULTS, open_for_results
from store.root import open_root

COMMANDS = {
    "probe": (probe.cli.main, ["--features", "a,b", "--solver", "ridge"]),
    "search": (probe.search.cli.main, ["--features", "a,b", "--confirm", "1", "--solver", "ridge"]),
    "fewshot": (fewshot.cli.main, ["--features", "a", "--split", "test", "--classifier", "nearest", "--ways", "2",
                                   "--shots", "1", "--queries", "2", "--episodes", "4"]),
}  # fmt: skip


@pytest.fixture
def data(root, make_set) -> str:
    noise = np.random.default_rng(0)
    for split, count in (("train", 60), ("val", 30), ("test", 30)):
        y = np.arange(count) % 3
        for backbone in "ab":
            x = np.eye(3)[y] + 0.1 * noise.normal(size=(count, 3))
            make_set(x.astype(np.float32), {"label": y}, split=split, backbone=backbone)
    return root.url


@pytest.fixture
def read_only(data, monkeypatch) -> str:
    whole = LocalRoot.put

    def put(self, key: str, value) -> None:
        if self.url == data:
            raise RootError(f"store {data}: cannot write {key}; it is read-only")
        whole(self, key, value)

    monkeypatch.setattr(LocalRoot, "put", put)
    return data


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_the_table_comes_before_the_error(name, flags, read_only, capsys) -> None:
    main, argv = COMMANDS[name]
    argv = [*argv, "--dataset", "toy", "--store", read_only, *flags]
    with pytest.raises(RootError, match=r"what was found is whole, but its .*records could not be stored: .*read-only"):
        main(argv)
    out = capsys.readouterr().out
    if flags:
        assert json.loads(out)
    else:
        assert any(line.split()[:1] in (["a"], ["a,b"]) for line in out.splitlines())


@pytest.mark.parametrize("name", COMMANDS)
def test_records_go_to_another_store(name, read_only, tmp_path, capsys) -> None:
    main, argv = COMMANDS[name]
    other = str(tmp_path / "mine")
    assert main([*argv, "--dataset", "toy", "--store", read_only, "--records", other]) == 0
    assert open_root(other).list(f"records/{name}")
    assert not set(open_root(read_only).list("")) & set(RESULTS)
    assert capsys.readouterr().out


def test_a_head_is_found_where_it_was_put(read_only, tmp_path, capsys) -> None:
    places = ["--store", read_only, "--records", str(tmp_path / "mine")]
    assert probe.cli.main([*COMMANDS["probe"][1], "--dataset", "toy", *places, "--json"]) == 0
    head = json.loads(capsys.readouterr().out)["head"]
    assert probe.predict.main(["--head", head, *places, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["top1"] == 1


def test_results_of_both_stores_are_found(root, tmp_path) -> None:
    root.put("heads/old", b"old")
    mine = str(tmp_path / "mine")
    with open_for_results(root.url, mine) as both:
        both.put("heads/new", b"new")
        assert both.list("heads") == {"new": 3, "old": 3}
        assert (both.get("heads/old"), both.get("heads/new")) == (b"old", b"new")
        assert (both.size("heads/old"), both.size("heads/none")) == (3, None)
    assert root.list("heads") == {"old": 3}
