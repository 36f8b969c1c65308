"""No value of any flag of any command ends in a traceback, in no end, or beyond the memory: exit codes are 0 and 2."""

import argparse
import importlib
import os
import random
from collections import Counter

import pytest

from tests.sweep import TOP, Case, Found, Sweep

ON = ["--dataset", "DATA", "--store", "store"]
TRAIN = ["--dataset", "DATA", "--epochs", "1", "--batch", "8", "--image-size", "32", "--workers", "1", "--recipe",
         "small", "--backbones", "nets", "--store", "store"]  # fmt: skip
BASES: dict[str, list[list[str]]] = {
    "extract": [["--backbone", "pixels", *ON, "--workers", "1"]],
    "extract.download": [["pixels"]],
    "extract.heads": [["--backbone", "tiny", "--backbones", "nets", "--store", "store"]],
    "extract.doctor": [["--store", "store"]],
    "extract.pretrain": [["--arch", "conv4w0.25", *TRAIN, "--name", "new"]],
    "extract.finetune": [["--backbone", "tiny", *TRAIN, "--name", "new"]],
    "extract.distill": [["--student", "conv4w0.25", "--teachers", "tiny", *TRAIN, "--name", "new"]],
    "extract.bonsai": [["--arch", "conv4w0.25", *TRAIN, "--name", "new"]],
    "probe": [
        ["--features", "pixels", *ON],
        ["--features", "tiny", "--group", "site=x,y", "--objective", "vrex", "--seeds", "0", "--epochs", "2", *ON],
        ["--features", "tiny", "--solver", "sgd", "--epochs", "2", *ON],
        ["--features", "tiny", "--solver", "knn", "--k", "1", *ON],
    ],
    "probe.search": [["--features", "pixels,tiny", "--confirm", "0", *ON]],
    "probe.predict": [["--head", "HEAD", "--store", "store"]],
    "probe.report": [["--store", "store"]],
    "probe.report diff": [["store", "store"]],
    "fewshot": [["--features", "tiny", "--ways", "2", "--shots", "1", "--queries", "2", "--episodes", "4", *ON]],
    "store ls": [["--store", "store"]],
    "store show": [["pixels", "--store", "store"]],
    "store verify": [["--store", "store"]],
    "store rm": [["tiny", "--store", "store", "--yes"]],
    "store gc": [["--store", "store", "--yes"]],
    "store doctor": [["--store", "store"]],
    "store import": [["features.npz", "--split", "train", "--backbone", "taken", *ON]],
    "store export": [["new.npz", "--split", "train", "--features", "pixels", *ON]],
}
"""Command -> arguments with which it runs in a moment; a flag's value comes after them, and counts."""
BROKEN = {"store verify", "store doctor", "extract.doctor"}
"""Commands that exit 1 where they find something broken."""
VALUES = ("", "-1", "0", "1", "nan", "inf", "1e308", "9" * 30, "9" * 5000, "x" * 5000, "\x1b[2J\r\n\t\x07", "\udcff",
          "{" * 40 + "}" * 40, "{0..999999999}", "x{", "../x", ",", "a=b:c:d", "*", "%s")  # fmt: skip
MISSING = None
"""The flag without its value."""
SAMPLE = 60
ONCE = [
    ("extract", [*BASES["extract"][0], f"--views={'9' * 30}"]),
    ("extract.bonsai", [*BASES["extract.bonsai"][0], "--rounds=999999999"]),
    ("probe", [*BASES["probe"][1], "--val=\udcff"]),
    ("probe.report", [*BASES["probe.report"][0], "--html=\x1b[2J\r\n\t\x07"]),
    ("extract.distill", [*BASES["extract.distill"][0], "--temperature=1e308"]),
    ("probe.report", [*BASES["probe.report"][0], "--html="]),
    ("store", ["ls", "--store=\x1b[2J\r\n\t\x07"]),
    ("store", ["gc", "--yes", "--store=\udcff"]),
]
"""Cases that once ended in a traceback, in no end, or with a terminal's control characters on it."""


def parser_of(command: str) -> argparse.ArgumentParser:
    module, _, sub = command.partition(" ")
    if sub == "diff":
        return importlib.import_module("probe.report.compare").build_parser()
    name = f"{module}.cli" if (TOP / module.replace(".", "/") / "cli.py").exists() else module
    parser = importlib.import_module(name).build_parser()
    if not sub:
        return parser
    (choices,) = (a.choices for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    return choices[sub]


def cases() -> list[Case]:
    """Every flag and every argument of every command, with every value."""
    found: list[Case] = []
    for command, bases in BASES.items():
        module, _, sub = command.partition(" ")
        first = [sub] if sub else []
        for base, action in ((base, action) for base in bases for action in parser_of(command)._actions):
            if isinstance(action, argparse._HelpAction):
                continue
            for value in (*VALUES, MISSING):
                if not action.option_strings:
                    words = [] if value is MISSING else [value]
                    found.append((module, [*first, *words, *base[1:]]))
                    continue
                flag = action.option_strings[-1]
                given = [] if value is MISSING else [value] * (action.nargs if isinstance(action.nargs, int) else 1)
                glued = len(given) == 1
                found.append(
                    (module, [*first, *base, f"{flag}={given[0]}"] if glued else [*first, *base, flag, *given])
                )
    return found


def wrong(found: Found) -> list[str]:
    """What fell, one text each."""
    told = []
    for (module, argv), result in found:
        command = f"{module} {argv[0]}" if module == "store" else module
        right = (0, 1, 2) if command in BROKEN else (0, 2)
        text = f"{result['out']}{result['err']}"
        if result["code"] not in right or "Traceback" in text or "\x1b" in text:
            shown = " ".join(word if len(word) < 60 else f"{word[:30]}...({len(word)})" for word in map(repr, argv))
            told.append(
                f"{module} {shown}\n  -> {result['code']} after {result['seconds']:.1f} s\n{result['err'][-1500:]}"
            )
    return told


def test_the_sweep_knows_every_command() -> None:
    modules = {str(path.relative_to(TOP).with_suffix("")).replace("/", ".").removesuffix(".cli")
               for folder in ("store", "extract", "probe", "fewshot") for path in (TOP / folder).rglob("*.py")
               if "def build_parser" in path.read_text()}  # fmt: skip
    assert modules - {"probe.report.compare"} == {command.split()[0] for command in BASES}
    (choices,) = (a.choices for a in importlib.import_module("store.cli").build_parser()._actions
                  if isinstance(a, argparse._SubParsersAction))  # fmt: skip
    assert {f"store {name}" for name in choices} == {command for command in BASES if command.startswith("store ")}


def test_some_values_of_some_flags(swept: Sweep) -> None:
    every = cases()
    bases = [
        (command.split()[0], [*command.split()[1:], *base]) for command, several in BASES.items() for base in several
    ]
    found = swept.run([*bases, *ONCE, *random.Random(0).sample(every, SAMPLE)])
    plain = found[: len(bases)]
    codes = {" ".join([case[0], *case[1]]): result["err"] for case, result in plain if result["code"] != 0}
    assert codes == {}, "the commands that flags are added to run"
    assert wrong(found) == []


@pytest.mark.slow
def test_every_value_of_every_flag(swept: Sweep) -> None:
    found = swept.run(cases(), jobs=os.cpu_count() or 1)
    print(f"{len(found)} cases:", dict(Counter(result["code"] for _, result in found)))
    assert wrong(found) == []
