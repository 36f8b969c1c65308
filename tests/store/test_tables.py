"""Tables for people and for programs."""

import json

from store.tables import table_or_json, text_table


def test_numbers_stand_to_the_right() -> None:
    assert (
        text_table(["a", "value"], [["x", "1.5"], ["long", "+-20"]])
        == "a     value\n----  -----\nx       1.5\nlong   +-20"
    )


def test_control_characters_in_names_do_not_reach_the_terminal() -> None:
    assert text_table(["\x1b[2J"], [["\x1b[31mred"], ["a\nb"], ["猫"]]).splitlines()[2:] == ["?[31mred", "a?b", "猫"]


def test_json_has_an_object_a_row() -> None:
    assert json.loads(table_or_json(("a", "b"), [("x", 1)], as_json=True)) == [{"a": "x", "b": 1}]
    assert table_or_json(("a",), [("x",)], as_json=False) == "a\n-\nx"
