"""`make reproduce` itself takes half an hour; here: its commands are real ones, and its table says what it should."""

import importlib
import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import claims
import pictures
import plan

from store.braces import expand_braces
from store.errors import BadValue

CLI = {"extract": "extract.cli", "probe": "probe.cli", "fewshot": "fewshot.cli"}


@pytest.mark.parametrize("kind", claims.KINDS)
def test_every_command_parses_and_uses_only_what_an_earlier_stage_makes(kind: str) -> None:
    made = set()
    for stage in getattr(plan, kind)(1, "csv:base.csv", "csv:novel.csv", Path("r1")):
        before = set(made)
        for command in stage:
            parser = importlib.import_module(CLI.get(command.module, command.module)).build_parser()
            options = vars(parser.parse_args(command.flags))
            asked = [options.get("teachers")]
            if command.module in ("extract", "extract.finetune"):
                asked += [options["backbone"]] if isinstance(options["backbone"], str) else options["backbone"]
            used = {name for text in asked if text for name in expand_braces(text)}
            assert {name.partition("@")[0] for name in used} <= before
            made |= {options["name"]} if options.get("name") else set()
    assert len(made) > plan.NETS


@pytest.mark.parametrize(("kind", "other"), [("fashion", "emoji"), ("emoji", "fashion")])
def test_missing_pictures_are_named_before_any_work(monkeypatch: pytest.MonkeyPatch, kind: str, other: str) -> None:
    monkeypatch.setattr(pictures, "is_present", lambda name: False)
    with pytest.raises(BadValue, match=rf"--download; or do the other half: --only {other}"):
        pictures.check(kind)


def test_the_table_replaces_its_own_section_alone(tmp_path: Path) -> None:
    file = tmp_path / "RESULTS.md"
    file.write_text(f"# Results\n\n## Before\n\nx\n\n{claims.HEADING}\n\nstale\n\n## After\n\ny\n")
    for repeat, gain in enumerate((5.0, 6.0)):
        nets = [f"net-s{seed}" for seed in plan.seeds(repeat)]
        top1 = {**dict.fromkeys(nets, 0.8), ",".join(nets[:2]): 0.80 + gain / 100, ",".join(nets): 0.9, "wide": 0.8,
                "joint": 0.95}  # fmt: skip
        folder = tmp_path / f"fashion-r{repeat}"
        folder.mkdir()
        (folder / "done").touch()
        (folder / "seconds").write_text("300")
        rows = [{"features": name, "top1": value} for name, value in top1.items()]
        (folder / "linear.json").write_text(json.dumps({"rows": rows}))
        for name in (*(f"{net}-tuned" for net in nets), "init-cat", "two-stage"):
            (folder / f"{name}.json").write_text(json.dumps({"top1": 0.7, "rows": [{"top1": 0.7}]}))
    claims.write(tmp_path, 2, file)
    text = file.read_text()
    assert text.startswith("# Results\n\n## Before\n\nx\n\n")
    assert text.endswith("## After\n\ny\n")
    assert "stale" not in text
    assert "10 minutes; its fastest repeat: fashion 300 s)" in text
    assert "| linear probe: CAT2 | 85.50 ± 6.36 | 43.3 |" in text
    assert "| (a) CAT5 > five trained jointly | -5.00 ± 0.00 | no, the opposite (0 of 2 repeats) |" in text
    assert "| (a) CAT2 > one network | +5.50 ± 6.36 | unclear (2 of 2 repeats) |" in text
