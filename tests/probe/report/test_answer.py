from probe.report.answer import answers, cost_text, number_text
from probe.report.grouping import group
from probe.report.rows import read_results
from store.records import write_record


def test_the_best_its_gain_and_what_is_nearly_as_good(root, probed) -> None:
    for name, top1 in (("a", 0.7), ("b", 0.72), ("a,b", 0.80), ("a,b,c", 0.81)):
        write_record(root, probed(name, top1))
    write_record(root, probed("a,b,d", 0.99, select="oracle"))
    (found,) = answers(group(read_results(root, [])))
    assert found.best.get("features") == "a,b,c", "what was chosen on the test split is not the best"
    assert found.single.get("features") == "b"
    assert round(found.gain, 6) == 9
    assert found.sure
    assert found.thrifty.get("features") == "a,b"
    assert cost_text(found.best)[:2] == [("columns", "12"), ("head parameters", "12")]


def test_a_small_gain_is_not_sure_and_one_network_may_be_best(root, probed) -> None:
    write_record(root, probed("a", 0.7))
    write_record(root, probed("a,b", 0.71))
    write_record(root, probed("a", 0.7, dataset="other"))
    one, two = answers(group(read_results(root, [])))
    assert (one.best.get("features"), one.sure, one.thrifty.get("features")) == ("a,b", False, "a")
    assert (two.best.get("features"), two.gain, two.thrifty) == ("a", None, None)


def test_numbers() -> None:
    assert [number_text(v) for v in (5, 2560, 23508032, 1.5e12, 0.25)] == ["5", "2,560", "23.5 M", "1.5 T", "0.25"]
