import json
import shlex

import pytest

from extract import bonsai, distill, finetune, heads, pretrain
from extract.cli import build_parser as extract_parser
from fewshot.cli import build_parser as fewshot_parser
from probe.cli import build_parser as probe_parser
from probe.report.cli import main
from probe.report.layout import index_of
from probe.report.layouts import LAYOUTS
from probe.report.paper import paper_numbers
from probe.report.rows import read_results
from store.records import Record, write_record

ENTRIES = [entry for layout in LAYOUTS.values() for section in layout.sections for entry in section.entries]


def test_the_papers_numbers() -> None:
    numbers = paper_numbers()
    assert len(numbers) == 321
    exact = numbers["camelyon17_test_acc", "IID-tune/vREx", "CAT20"]
    assert (exact.value, exact.spread, exact.exact, exact.tolerance) == (76.4, 0.5, True, None)
    read_off = numbers["supervised_linear_probe", "inat18", "cat10"]
    assert (read_off.value, read_off.exact, read_off.tolerance) == (49.65, False, 0.1)


def test_every_entry_is_a_number_of_the_paper_once() -> None:
    keys = [entry.paper for entry in ENTRIES]
    assert set(keys) <= paper_numbers().keys()
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize("name", LAYOUTS)
def test_without_records_each_row_says_what_makes_it(root, capsys, name) -> None:
    assert main(["--store", root.url, "--layout", name]) == 0
    text = capsys.readouterr().out
    for section in LAYOUTS[name].sections:
        for entry in section.entries:
            assert f"{entry.number.value:.2f}" in text
            assert all(command in text for command in entry.commands)
            assert bool(entry.commands) == bool(entry.match)


def test_ours_beside_the_papers(root, probed, capsys) -> None:
    features = "supervised_resnet50_run0,supervised_resnet50_run1"
    for seed, top1 in enumerate((0.75, 0.77)):
        write_record(root, probed(features, top1, dataset="cifar100", solver="sgd", seed=seed))
    write_record(root, probed(features, 0.9, dataset="cifar100", solver="ridge"))
    write_record(root, probed(features, 0.9, dataset="cifar100", target="coarse", solver="sgd"))
    layout = LAYOUTS["supervised"]
    assert layout.measured(index_of(read_results(root, []))) == 1
    assert main(["--store", root.url, "--layout", "supervised", "--json"]) == 0
    cells = json.loads(capsys.readouterr().out)["sections"][0]["cells"]
    (cell,) = [cell for cell in cells if cell["ours"]]
    assert (cell["row"], cell["column"], cell["paper"]["value"]) == ("cat2", "cifar100", 76.10)
    assert cell["ours"]["accuracy"] == pytest.approx(0.76)
    assert (cell["ours"]["runs"], cell["commands"]) == (2, [])
    assert cell["difference"] == pytest.approx(76 - 76.10)
    assert main(["--store", root.url, "--layout", "supervised"]) == 0
    text = capsys.readouterr().out
    assert "−0.1" in text
    assert "cat2 is made by" in text, "of the other datasets"


PARSERS = {
    "extract": extract_parser,
    "extract.pretrain": pretrain.build_parser,
    "extract.finetune": finetune.build_parser,
    "extract.distill": distill.build_parser,
    "extract.bonsai": bonsai.build_parser,
    "extract.heads": heads.build_parser,
    "probe": probe_parser,
    "fewshot": fewshot_parser,
}


def test_commands_are_what_the_parsers_read() -> None:
    for command in dict.fromkeys(command for entry in ENTRIES for command in entry.commands):
        words = shlex.split(command)
        assert words[:2] == ["python", "-m"]
        PARSERS[words[2]]().parse_args(words[3:])


def test_every_number_of_the_paper_is_in_a_layout() -> None:
    assert {entry.paper for entry in ENTRIES} == paper_numbers().keys()


def test_repeats_by_other_networks_and_the_best_of_several(root, probed, fewshot) -> None:
    for seed, top1 in enumerate((0.9, 0.92)):
        write_record(root, probed(f"cifar10-wd0-s{seed}", top1, dataset="cifar10", solver="sgd"))
    write_record(root, fewshot({"cub-snapshots@e120": 0.5, "cub-snapshots@e200": 0.6}, dataset="cub"))
    index = index_of(read_results(root, []))
    found = {entry.paper: entry.find(index) for entry in ENTRIES}
    line = found["L2_wd_linear_probe", "cifar10", "wd=0"]
    assert (line.accuracy, len(line.results)) == (pytest.approx(0.91), 2)
    assert found["fewshot_ResNet18", "CUB_5w1s", "best_single_snapshot"] is None, "by another classifier"


def test_objectives_do_not_stand_in_for_each_other(root, probed) -> None:
    record = probed("a,b", 0.7, objective=("vrex",), group="hospital", solver="balanced", label="CAT2",
                    dataset="camelyon17")  # fmt: skip
    tuned = {"top1": 0.7, "top1_std": 0.03, "runs": [{}] * 5}
    metrics = {**record.metrics, "objective": "vrex", "tunings": {"iid": tuned}}
    write_record(root, Record(**{**vars(record), "metrics": metrics}))
    index = index_of(read_results(root, []))
    ours = {entry.column for entry in ENTRIES if entry.find(index)}
    assert ours == {"IID-tune/vREx"}
