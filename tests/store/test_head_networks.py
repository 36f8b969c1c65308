"""A head is applied to features of the networks that it was trained on, and of no others."""

import logging

import numpy as np
import pytest

from probe.cli import main as probe_main
from probe.predict import predict_split
from store.errors import BadValue, FormatError
from store.head_networks import check_networks, networks_of
from store.heads import StoredHead, load_head, save_head
from store.records import read_records


@pytest.fixture
def head(root, make_set):
    """The id of a head on features `a` of the dataset one; two/a has the same name and width, and other weights."""
    rng = np.random.default_rng(0)
    for dataset, weights in (("one", "1" * 64), ("two", "2" * 64)):
        for split, count in (("train", 60), ("val", 30), ("test", 30)):
            x = rng.normal(size=(count, 4)).astype(np.float32)
            make_set(x, {"label": np.arange(count) % 3}, dataset=dataset, split=split, backbone="a", weights=weights)
    assert probe_main(["--features", "a", "--dataset", "one", "--store", root.url]) == 0
    return next(iter(read_records(root, "probe"))).metrics["head"]


def test_other_weights_of_the_same_name_and_width_are_refused(root, head) -> None:
    assert predict_split(root, head)["num_scored"] == 30
    with pytest.raises(BadValue, match=f"head {head} was trained on a with other weights than two/test/a"):
        predict_split(root, head, dataset="two")
    with pytest.raises(BadValue, match=f"--average {head} was trained on a with other weights"):
        probe_main(["--features", "a", "--dataset", "two", "--store", root.url, "--solver", "sgd", "--average", head])


def test_what_may_differ_and_what_may_not(make_set, root) -> None:
    made = make_set(np.zeros((6, 2), np.float32), {"label": np.arange(6) % 2}, backbone="a").manifest
    info = {"networks": networks_of([made]), "stored_dataset": "toy"}
    check_networks("head x", info, [made])
    (network,) = info["networks"]
    for part in ("weights", "architecture", "layer", "pooling", "recipe"):
        other = {**info, "networks": [{**network, part: "other"}]}
        with pytest.raises(BadValue, match=f"with other {part} than toy/train/a"):
            check_networks("head x", other, [made])
    check_networks("head x", {"networks": [{**network, "recipe": "other"}], "stored_dataset": "elsewhere"}, [made])
    with pytest.raises(BadValue, match="is for 1 feature sets side by side, not 2"):
        check_networks("head x", info, [made, made])


def test_a_head_that_does_not_know_its_networks_is_applied_with_a_warning(root, head, caplog) -> None:
    known = load_head(root, head)
    info = {key: value for key, value in known.info.items() if key != "networks"}
    old = save_head(root, StoredHead(weight=known.weight, bias=known.bias, arrays=known.arrays, info=info))
    with caplog.at_level(logging.WARNING, "store"):
        assert predict_split(root, old, dataset="two")["num_scored"] == 30
    assert "does not say which networks it is for" in caplog.text


@pytest.mark.parametrize("networks", ["text", [1], [{}], {"a": 1}])
def test_networks_that_cannot_be_read_are_refused(networks, make_set) -> None:
    made = make_set(np.zeros((6, 2), np.float32), {"label": np.arange(6) % 2}).manifest
    with pytest.raises(FormatError, match="head x: what it says of its networks cannot be read"):
        check_networks("head x", {"networks": networks}, [made])
