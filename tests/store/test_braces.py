import pytest

from store.braces import MOST_NAMES, expand_braces, split_list
from store.errors import BadValue


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("a,b", ["a", "b"]),
        (" a , ,b,", ["a", "b"]),
        ("a{0..2},b{x, y}", ["a0", "a1", "a2", "bx", "by"]),
        ("{a,b}{0..1}", ["a0", "a1", "b0", "b1"]),
        ("x{a,b{1,2}}y", ["xay", "xb1y", "xb2y"]),
        ("a{b}c", ["abc"]),
        ("a{9..8},c", ["c"]),
        ("", []),
    ],
)
def test_expand(text: str, names: list[str]) -> None:
    assert expand_braces(text) == names


def test_items_keep_their_braces() -> None:
    assert split_list("a{x,y}:l2, b[0:2]") == ["a{x,y}:l2", "b[0:2]"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{0..999999999}", f"more than {MOST_NAMES} names"),
        ("{0..99}{0..99}{0..99}{0..99}", f"more than {MOST_NAMES} names"),
        ("a{0..30000}", f"more than {MOST_NAMES} names"),
        ("a{0.." + "9" * 5000 + "}", "too large"),
        ("{" * 3000 + "}" * 3000, "deep"),
        ("a{b,c", "never closed"),
        ("a}b", "closes no"),
        ("a" * 200_000, "too long"),
    ],
)
def test_what_stands_for_too_much_is_refused_at_once(text: str, says: str) -> None:
    with pytest.raises(BadValue, match=says) as refused:
        expand_braces(text)
    assert len(str(refused.value)) < 300


def test_twenty_thousand_commas() -> None:
    assert split_list("," * 20_000) == []
