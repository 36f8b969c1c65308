import numpy as np
import pytest

from probe.features import Block, parse_features
from store.errors import BadValue, MissingFeatures


@pytest.fixture
def parse(root, make_set):
    for name in ("a", "run0", "run1", "timm:x"):
        make_set(np.ones((4, 6)), {"label": np.arange(4)}, backbone=name)
    return lambda text: parse_features(root, "toy", "train", text)


def test_options_columns_and_names(parse) -> None:
    assert parse("a, run0:l2,a[2:5]:pca2:l2,a[:3]:raw,a[4:]") == [
        Block("a"),
        Block("run0", steps=("l2",)),
        Block("a", 2, 5, ("pca2", "l2")),
        Block("a", None, 3, ()),
        Block("a", 4, None),
    ]
    assert parse("run{0..1}:l2,timm:x:std,run?") == [
        Block("run0", steps=("l2",)), Block("run1", steps=("l2",)), Block("timm:x"), Block("run0"), Block("run1"),
    ]  # fmt: skip


def test_a_block_written_out_reads_back(parse) -> None:
    text = "a[2:5]:pca2:l2,a[0:3]:raw,a[4:],run0,run1:l2"
    assert ",".join(map(str, parse(text))) == text
    assert parse(",".join(map(str, parse("a[:3]")))) == [Block("a", 0, 3)]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("a[5:2]", r"columns 5 to 2 are none"),
        ("a[1]", r"write name, name\[low:high\]"),
        ("a:pca0", "pca needs at least one component"),
        ("a:l3", "features 'a:l3': 'l3' is none of l2, std, raw, pcaK, and no features 'a:l3' are stored"),
        (" ,", "no feature names"),
    ],
)
def test_mistakes(parse, text, error) -> None:
    with pytest.raises(BadValue, match=error):
        parse(text)
    with pytest.raises(MissingFeatures, match="there is: a, run0, run1"):
        parse("x*")


def test_a_stored_name_that_ends_like_an_option_is_a_name(root, make_set) -> None:
    for name in ("mynets", "mynets:raw", "mynets:pca9", "other:l2"):
        make_set(np.ones((4, 6)), {"label": np.arange(4)}, backbone=name)
    text = "mynets:raw,mynets:raw:raw,mynets:raw:l2,mynets:l2,mynets:pca9[0:4]:pca2,other:l2"
    assert parse_features(root, "toy", "train", text) == [
        Block("mynets:raw"),
        Block("mynets:raw", steps=()),
        Block("mynets:raw", steps=("l2",)),
        Block("mynets", steps=("l2",)),
        Block("mynets:pca9", 0, 4, ("pca2",)),
        Block("other:l2"),
    ]
