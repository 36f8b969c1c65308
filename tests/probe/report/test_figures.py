import xml.etree.ElementTree as ET

import pytest
from PIL import Image

from probe.report.cli import main
from probe.report.figures import cells, figures, pareto
from probe.report.grouping import group
from probe.report.plots import inline, render_svg
from probe.report.rows import read_results
from probe.report.search_figures import read_searches, search_figures
from store.errors import BadValue
from store.records import Record, write_record

NASTY = "<script>alert(1)</script>"
NAMES = {"pixels": 0.4, "a": 0.5, "w2": 0.45, "a,b": 0.6, "a,b,c": 0.7, "$x_i^2$<script>": 0.55}


@pytest.fixture
def filled(root, probed, fewshot):
    for name, top1 in NAMES.items():
        write_record(root, probed(name, top1, per_group={"g1": top1, "g2": 0.3}, group="g",
                                  per_class={"x": top1, "y": 0.3}))  # fmt: skip
    write_record(root, probed("a,b (sub, logits)", 0.58, grid=[]))
    write_record(root, fewshot({"a": 0.3, "a,b": 0.4}))
    return root


def test_every_kind_is_drawn(filled, tmp_path, capsys) -> None:
    assert main(["--store", filled.url, "--figures", str(tmp_path / "out")]) == 0
    told = capsys.readouterr().out.split()
    kinds = {name.rsplit("/", 1)[1].split("-")[0] for name in told}
    assert kinds == {"cost", "transfer", "fewshot", "decay", "difference"}
    assert sum("difference-class" in name for name in told) == sum("difference-group" in name for name in told) == 2
    assert len(set(told)) == len(told) == 2 * 6
    for path in told:
        if path.endswith(".png"):
            with Image.open(path) as image:
                assert len(image.convert("L").getcolors(1 << 16) or []) > 20
        else:
            root = ET.parse(path).getroot()
            assert root.tag.endswith("svg")
            assert "<script" not in ET.tostring(root, encoding="unicode")


def test_names_are_text_in_a_figure_and_colours_are_the_themes(filled) -> None:
    found = {figure.name.split("-")[0]: figure for figure in figures(group(read_results(filled, [])))}
    svg = inline(render_svg(found["decay"].draw), "one", 'a "label" <b>')
    assert svg.startswith('<svg role="img" aria-label="a &quot;label&quot; &lt;b&gt;"')
    assert "$x_i^2$&lt;script&gt;" in svg, "names are no formulas and no markup"
    assert "<style" not in svg
    assert "var(--blue)" in svg
    assert 'id="one-' in svg
    assert "http" not in svg.replace("http://www.w3.org/", "")


def test_the_front_is_what_nothing_cheaper_reaches(filled) -> None:
    (lines,) = [lines for cell, lines in cells(group(read_results(filled, []))).items() if cell[0] == "probe"]
    assert [line.get("features") for line in pareto(lines, "dim")] == ["$x_i^2$<script>", "a,b", "a,b,c"]


def searched(n: int = 3) -> Record:
    """A search record of `n` backbones."""
    square = [[1.0 if i == j else 0.5 for j in range(n)] for i in range(n)]
    candidates = [{"features": f"{NASTY}{i}", "shapley": 0.1 * i, "shapley_interval": [0.1 * i - 0.01, 0.1 * i + 0.01]}
                  for i in range(n)]  # fmt: skip
    metrics = {"candidates": candidates, "num_subsets": 7, "redundancy": {"cka": square, "error_overlap": square}}
    return Record(kind="search", config={"dataset": "toy", "target": "label"}, metrics=metrics)


def test_redundancy_and_contributions_of_a_search(filled, tmp_path, capsys, caplog) -> None:
    write_record(filled, Record(kind="search", config={"dataset": "other"}, metrics={"candidates": 3}))
    write_record(filled, searched())
    assert main(["--store", filled.url, "--figures", str(tmp_path / "out")]) == 0
    told = capsys.readouterr().out
    for name in ("cka-toy.svg", "error-overlap-toy.png", "adds-toy.svg"):
        assert name in told
    assert "<script>" not in (tmp_path / "out" / "cka-toy.svg").read_text()
    skipped: list = []
    assert list(search_figures(read_searches(filled, skipped), skipped)) != []
    assert "no search of ours" in skipped[0][1]


def test_nothing_to_draw(root, probed, tmp_path) -> None:
    write_record(root, probed("a", 0.5, grid=[]))
    with pytest.raises(BadValue, match="no figure: a comparison needs at least two concatenations"):
        main(["--store", root.url, "--figures", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()


def test_each_bar_says_how_many_images_it_rests_on(root, probed) -> None:
    counts = {"x": 3, "y": 250}
    for name, top1 in (("a", 0.5), ("a,b", 0.6)):
        write_record(root, probed(name, top1, per_class={"x": top1, "y": 0.3}, samples_per_class=counts))
    (figure,) = [one for one in figures(group(read_results(root, []))) if one.name.startswith("difference")]
    svg = render_svg(figure.draw)
    assert "x, n 3" in svg
    assert "y, n 250" in svg
    assert "best by validation of its kind" in figure.caption
    assert "n: scored images" in figure.caption
