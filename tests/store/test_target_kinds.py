"""Numbers and several labels in one cell are told from classes, and classes are not taken for them."""

import logging

import pytest

from store.errors import BadValue
from store.target_kinds import check_classes, warn_of_no_classes

MEASURED = [f"{i / 7:.4f}" for i in range(60)]


@pytest.mark.parametrize(
    "classes",
    [MEASURED, [f"{i}e-3" for i in range(80)], [*MEASURED, "unknown"], [name.replace(".", ",") for name in MEASURED]],
)
def test_numbers_are_no_classes(classes: list[str], caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(
        BadValue, match=rf"'size' has {len(classes)} different numbers such as .*: these are no classes"
    ):
        check_classes("size", classes)
    with caplog.at_level(logging.WARNING, "store"):
        warn_of_no_classes("size", classes)
    assert "these are no classes" in caplog.text


@pytest.mark.parametrize(
    "classes",
    [
        [str(i) for i in range(1000)],
        [f"{i}.0" for i in range(100)],
        ["0.5", "1.5", "2.5"],
        [f"n{i:08d}" for i in range(1000)],
        [*MEASURED, *[f"word{i}" for i in range(60)]],
        ["a|b", "c|d"],
        ["cat; kitten", "dog; puppy"],
        ["crane, bird", "crane, machine"],
        [],
    ],
)
def test_classes_are_classes(classes: list[str], caplog: pytest.LogCaptureFixture) -> None:
    check_classes("size", classes)
    warn_of_no_classes("size", classes)
    assert not [one for one in caplog.records if one.levelname == "WARNING"]


@pytest.mark.parametrize("classes", [["crack", "crack|poly", "poly"], ["a|b", "b|c"], ["x;y", "x"]])
def test_several_labels_in_one_are_told(classes: list[str], caplog: pytest.LogCaptureFixture) -> None:
    column = f"c{len(classes)}{classes[0]}"
    check_classes(column, classes)
    assert f"target {column!r} has classes that hold several labels, such as " in caplog.text
