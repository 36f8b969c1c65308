import json

from probe.report.grouping import group
from probe.report.page import page
from probe.report.page_data import embed, table_data
from probe.report.rows import read_results
from store.records import write_record

NASTY = "<script>alert('x')</script><!--&\u2028"


def test_every_number_has_its_provenance(root, probed) -> None:
    for seed in (0, 1):
        write_record(root, probed("a,b", 0.5 + seed / 10, seed=seed, created=f"2026010{seed + 1}T000000Z"))
    write_record(root, probed("a", 0.4, nll=float("nan")))
    data = table_data(group(read_results(root, [])))
    keys = [column["key"] for column in data["columns"]]
    rows = [dict(zip(keys, row, strict=True)) for row in data["rows"]]
    both, one = sorted(rows, key=lambda row: -row["runs"])
    assert (both["features"], both["accuracy"], both["runs"], both["best"]) == (
        "a, b", 0.55, 2, "best by validation of 2",
    )  # fmt: skip
    assert one["nll"] is None, "JSON has no NaN"
    runs = data["runs"][rows.index(both)]
    assert len({run["facts"][0][1] for run in runs}) == 2, "each run has its own record"
    assert [data["sets"][i].split()[:2] for i in runs[0]["sets"]] == [
        ["train", "a"], ["train", "b"], ["test", "a"], ["test", "b"],
    ]  # fmt: skip
    assert data["sets"][runs[0]["sets"][0]].split()[2] == b"traina".hex()
    assert [data["commands"][i] for i in runs[1]["commands"]] == [
        "python -m extract --backbone a,b --dataset toy",
        "python -m probe --features a,b --dataset toy --seed 1",
    ]
    assert data["versions"] == ["python 3.11, torch 2.6"]
    assert len(data["sets"]) == 4, "what several runs share is told once"


def test_what_stands_in_a_script_element_cannot_end_it() -> None:
    text = embed({"name": NASTY})
    assert not set("<>&") & set(text)
    assert json.loads(text) == {"name": NASTY}


def test_names_are_escaped_everywhere(root, probed) -> None:
    write_record(root, probed(NASTY, 0.5))
    write_record(root, probed(f"{NASTY},b", 0.6, per_class={NASTY: 0.5, "y": 0.1}, worst_group=NASTY, group=NASTY))
    html = page(f"store{NASTY}", read_results(root, []), [], [(f"records/{NASTY}", NASTY)])
    assert "<script>alert" not in html
    assert html.count("<script") == 2
    assert "&lt;script&gt;alert" in html


def test_one_result_is_a_page_too(root, probed) -> None:
    write_record(root, probed("a", 0.5, grid=[]))
    html = page(root.url, read_results(root, []), [], [])
    assert "One network: no concatenation of those tried is better." in html
    assert "A comparison needs at least two concatenations" in html


def test_paired_differences_of_fewshot_are_on_the_page(root, fewshot) -> None:
    record = fewshot({"a": 0.3, NASTY: 0.4}, compare=("a", NASTY))
    found = {"a": "a", "b": NASTY, "on": "nearest", "ways": "5", "shots": "1", "difference": -0.013, "ci95": 0.004}
    record.metrics["differences"] = [found, {"a": 1}, "odd"]
    write_record(root, record)
    html = page(root.url, read_results(root, []), [], [])
    assert "Paired, on the same episodes" in html
    assert "−1.3 ± 0.4" in html
    assert "<script>alert" not in html
    assert "toy · 5-way 1-shot" in html
