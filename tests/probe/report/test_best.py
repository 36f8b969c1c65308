"""What no test split chose is called the best; where nothing was validated the words say so."""

import json

import pytest

from probe.report.best import marks, pick, the_best
from probe.report.cli import main
from probe.report.grouping import group
from probe.report.page import page
from probe.report.rows import read_results
from store.records import write_record


@pytest.fixture
def disagreeing(root, probed):
    """Validation is for `a,b`, the test split for `a`; each has the number of the other."""
    write_record(root, probed("a", 0.81, val_top1=0.88))
    write_record(root, probed("a,b", 0.80, val_top1=0.91))
    write_record(root, probed("b", 0.60, val_top1=0.70))
    return root


def lines_of(root):
    return group(read_results(root, []))


def test_validation_chooses(disagreeing) -> None:
    lines = lines_of(disagreeing)
    found = pick(lines)
    assert [line.get("features") for line in found.lines] == ["a,b"]
    assert found.how == "best by validation of 3"
    assert {lines[i].get("features") for i in marks(lines)} == {"a,b"}


def test_every_format_marks_it_and_says_why(disagreeing, capsys) -> None:
    def printed(form: str) -> str:
        assert main(["--store", disagreeing.url, "--format", form]) == 0
        return capsys.readouterr().out

    text, markdown, latex = map(printed, ("text", "markdown", "latex"))
    assert "80.0 ± 2.0*" in text
    assert text.count("*") == 2, "the mark, and what it says"
    assert text.splitlines()[-1] == "* best by validation of 3 (lbfgs top-1)"
    assert "**80.0 ± 2.0**" in markdown
    assert "bold: best by validation of 3 (lbfgs top-1)" in markdown
    assert r"\textbf{80.0 $\pm$ 2.0}" in latex
    assert latex.splitlines()[-1].startswith(r"\par\smallskip{\footnotesize bold: best by validation of 3 (lbfgs")
    assert main(["--store", disagreeing.url, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [(row["features"], row["best_how"]) for row in rows if row["best"]] == [("a,b", "best by validation of 3")]


def test_the_page_names_it_and_what_is_higher_on_test(disagreeing) -> None:
    html = page("s", read_results(disagreeing, []), [], [])
    answer = html[html.index('id="answer"') : html.index('id="results"')]
    assert "Best by validation of 3 results on toy" in answer
    assert '<h1><span title="a,b">' in answer
    assert "<strong>80.0</strong>" in answer
    assert "Highest on test: <b><span" in answer
    assert "with 81.0 %. Validation did not choose it" in answer
    assert "do not test their difference" in answer


def test_without_validation_the_words_say_so(root, probed, fewshot, capsys) -> None:
    write_record(root, probed("a,b (sub, logits)", 0.7, val_top1=None))
    write_record(root, probed("a,c (sub, logits)", 0.8, val_top1=None))
    (one,) = {marks(lines_of(root))[i].how for i in marks(lines_of(root))}
    assert one == "highest on test of 2"
    assert "Highest on test of 2 results, with no validation to choose by" in page("s", read_results(root, []), [], [])
    write_record(root, fewshot({"a": 0.3, "a,b": 0.4}))
    assert main(["--store", root.url]) == 0
    told = capsys.readouterr().out.splitlines()[-1]
    assert told == "* highest on test of 2 (lbfgs top-1, nearest 5-way 1-shot, nearest 5-way 5-shot)"


def test_some_that_were_not_validated_are_counted_and_not_chosen(root, probed) -> None:
    write_record(root, probed("a", 0.5, val_top1=0.6))
    write_record(root, probed("a,b", 0.55, val_top1=0.7))
    write_record(root, probed("a,b (sub, logits)", 0.9, val_top1=None))
    write_record(root, probed("a,b", 0.95, val_top1=None, select="oracle"))
    found = pick(lines_of(root))
    assert (found.lines[0].accuracy, found.how) == (0.55, "best by validation of 2 (2 more were not validated)")


def test_only_what_looked_at_the_test_split(root, probed) -> None:
    write_record(root, probed("a", 0.5, val_top1=None, select="paper"))
    write_record(root, probed("b", 0.6, val_top1=None, select="paper"))
    assert pick(lines_of(root)).how == "highest on test of 2"


def test_equals_are_all_marked_and_the_cheapest_is_named(root, probed) -> None:
    for name, top1 in (("a,b", 0.9), ("a", 0.8), ("b,c", 0.85)):
        write_record(root, probed(name, top1, val_top1=0.7))
    lines = lines_of(root)
    assert len(marks(lines)) == 3
    assert the_best(lines).get("features") == "a"


def test_over_seeds_the_mean_of_validation_counts(root, probed) -> None:
    for seed, (a, b) in enumerate(((0.9, 0.6), (0.5, 0.7))):
        write_record(root, probed("a", 0.9, val_top1=a, seed=seed))
        write_record(root, probed("b", 0.5, val_top1=b + 0.1, seed=seed))
    assert the_best(lines_of(root)).get("features") == "b"


def test_what_splits_share_stands_below_the_table_and_on_the_page(root, probed, capsys) -> None:
    write_record(root, probed("a", 0.9, overlap={"train/test": 3}))
    write_record(root, probed("b", 0.5))
    told = "3 images of train and test are the same, or of one unit"
    for form in ("text", "markdown", "latex"):
        assert main(["--store", root.url, "--format", form]) == 0
        assert f"a: {told}" in capsys.readouterr().out
    html = page("s", read_results(root, []), [], [])
    assert f"<b>Not apart:</b> {told}" in html
    assert html.count(told) == 3, "the answer, the table, the facts of the run"


def test_of_how_many_classes_episodes_are(root, fewshot, capsys) -> None:
    record = fewshot({"a": 0.3, "a,b": 0.4})
    for result in record.metrics["results"]:
        result["classes"] = 12 if result["shots"] == "1" else 9
    write_record(root, record)
    assert main(["--store", root.url]) == 0
    told = "classes that episodes are drawn from: 12 (5-way 1-shot); 9 (5-way 5-shot)"
    assert told in capsys.readouterr().out
    html = page("s", read_results(root, []), [], [])
    assert "5-way 1-shot · of 12 classes" in html
    assert "5-way 5-shot · of 9 classes" in html


def test_records_of_before_are_read_with_the_same_rule_for_the_worst_group(root, probed) -> None:
    found = {"group": "site", "per_group": {"P028": 0.0, "x": 0.7, "y": 0.8}, "worst_group": "P028",
             "worst_group_accuracy": 0.0, "samples_per_group": {"P028": 1, "x": 40, "y": 9}}  # fmt: skip
    write_record(root, probed("a", 0.5, **found, num_classes=3))
    (result,) = read_results(root, [])
    assert [result.get(f"worst_group{rest}") for rest in ("", "_accuracy", "_n")] == ["x", 0.7, 40]
    assert result.get("top5") is None, "of three classes"


def test_one_that_was_validated_beside_others_is_called_so(root, probed) -> None:
    write_record(root, probed("a", 0.5))
    write_record(root, probed("a,b (sub, logits)", 0.9, val_top1=None))
    found = pick(lines_of(root))
    assert (found.lines[0].get("features"), found.how) == ("a", "the only one of 2 with a validation")
    assert "The only one of 2 results with a validation on toy" in page("s", read_results(root, []), [], [])


def test_what_is_nearly_as_good_is_so_on_both_splits(root, probed) -> None:
    write_record(root, probed("a,b,c", 0.80, val_top1=0.80))
    write_record(root, probed("a,b", 0.60, val_top1=0.79))
    html = page("s", read_results(root, []), [], [])
    assert "Nearly as good" not in html[: html.index('id="results"')]
    write_record(root, probed("a", 0.79, val_top1=0.79))
    html = page("s", read_results(root, []), [], [])
    assert "lies, on val too, inside the interval of the best" in html
