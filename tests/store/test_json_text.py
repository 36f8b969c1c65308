import pytest

from store.json_text import parse_json


def test_what_is_nested_too_deep_is_no_json() -> None:
    assert parse_json('[[{"a": 1}]]') == [[{"a": 1}]]
    with pytest.raises(ValueError, match="nested too deep"):
        parse_json("[" * 10**6)
