"""Advice works: a command that a text of this project tells people to run is one that its parser reads, and runs."""

import argparse
import ast
import contextlib
import importlib
import io
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from store.errors import UserError
from tests.sweep import TOP, Sweep
from tests.test_flag_sweep import BASES, ON, TRAIN, parser_of

COMMAND = re.compile(r"python -m ((?:store|extract|probe|fewshot)\b[^`;\n()]*)")
"""A command in a text, to the end of the line or of the clause."""
ENDS = re.compile(r"(?: makes | make | writes | lists?\b| shows?\b| trains | stores | compares | picks | what | then "
                  r"| there | where |, (?:or|then|and) |: |, as | and (?:run|extract) | wrote|  ).*")  # fmt: skip
"""Where a sentence goes on after the command."""
HOLE = "HOLE"
"""Stands for what is filled in when the text is made."""


def commands_in(text: str) -> Iterator[list[str]]:
    """Every command of a text as words: module, arguments."""
    for found in COMMAND.finditer(text):
        plain = ENDS.sub("", found[1]).strip().rstrip(".,:'\"")
        with contextlib.suppress(ValueError):  # a quote that the cut parted
            yield shlex.split(plain)


def texts_of(path: Path) -> Iterator[str]:
    """Every text in a source file; what is filled in is a HOLE."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else HOLE for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def split_command(words: list[str]) -> tuple[str, list[str]]:
    """(name in BASES, arguments)"""
    name = " ".join(words[:2]) if words[0] == "store" or words[:2] == ["probe.report", "diff"] else words[0]
    return name, words[len(name.split()) :]


def flags_of(parser: argparse.ArgumentParser) -> set[str]:
    return {flag for action in parser._actions for flag in action.option_strings}


def test_every_command_that_a_text_names_has_the_flags_that_it_names() -> None:
    checked, unknown = 0, []
    for path in (path for folder in ("store", "extract", "probe", "fewshot") for path in (TOP / folder).rglob("*.py")):
        for words in (words for text in texts_of(path) for words in commands_in(text) if HOLE not in words[0]):
            name, rest = split_command([word.replace(HOLE, "") for word in words])
            flags = {word.partition("=")[0] for word in rest if word.startswith("--")} - {"--"}
            if name != "store" and (name not in BASES or flags - flags_of(parser_of(name))):
                unknown.append(f"{path.relative_to(TOP)}: python -m {' '.join(words)}")
            checked += 1
    assert unknown == []
    assert checked > 80


MISTAKES: list[tuple[str, list[str]]] = [
    ("probe", ["--features", "nothing", *ON]),
    ("probe", ["--features", "pixel", *ON]),
    ("probe", ["--features", "pixels", "--dataset", "nowhere", "--store", "store"]),
    ("probe", ["--features", "pixels", "--dataset", "photo", "--store", "store"]),
    ("probe", ["--features", "pixels", "--test", "held", *ON]),
    ("probe", ["--features", "pixels", "--target", "lable", *ON]),
    ("probe", ["--features", "pixels", "--target", "unit", *ON]),
    ("probe", ["--features", "pixels", "--solver", "svm", *ON]),
    ("probe", ["--features", "pixels", "--solver", "balanced", *ON]),
    ("probe", ["--features", "tiny", "--solver", "sgd", "--views", "2", *ON]),
    ("probe", ["--features", "pixels", "--group", "site=x", "--objective", "erm", *ON]),
    ("probe", ["--features", "pixels", "--solver", "sgd", "--average", "nobody", *ON]),
    ("probe", ON),
    ("probe.search", ["--features", "pixels,nothing", *ON]),
    ("probe.search", ["--features", "no*", *ON]),
    ("probe.search", ON),
    ("probe.search", ["--features", "pixels,tiny", "--solver", "ridg", *ON]),
    ("probe.predict", ["--head", "nobody", "--store", "store"]),
    ("probe.predict", ["--head", "HEAD", "--store", "store", "--split", "held"]),
    ("probe.predict", ["--head", "HEAD", "--store", "store", "--dataset", "digits"]),
    ("probe.report", ["--store", "empty"]),
    ("probe.report", ["--store", "store", "--columns", "acc"]),
    ("probe.report", ["--store", "store", "--dataset", "digits"]),
    ("probe.report", ["--store", "store", "--where", "kind=train", "--figures", "f"]),
    ("fewshot", ["--features", "nothing", *ON]),
    ("fewshot", ["--features", "pixels", "--classifier", "svm", *ON]),
    ("fewshot", ["--features", "pixels", "--classifier", ",", *ON]),
    ("fewshot", ["--features", "pixels", "--split", "novel", *ON]),
    ("fewshot", ["--features", "pixels", "--transform", "cl2n", *ON]),
    ("fewshot", ["--features", "pixels", "--read-episodes", "features.npz", *ON]),
    ("fewshot", ON),
    ("extract", ["--backbone", "pixel", *ON]),
    ("extract", ["--backbone", "", *ON]),
    ("extract", ["--backbone", "pixels", "--dataset", "openmojis", "--store", "store"]),
    ("extract", ["--backbone", "pixels", "--dataset", "cifar10", "--store", "store"]),
    ("extract", ["--backbone", "pixels", "--dataset", "", "--store", "store"]),
    ("extract", ["--backbone", "swav_resnet50", *ON]),
    ("extract", ["--backbone", "mynets:network", *ON]),
    ("extract", ["--backbone", "pixels", "--split", "held", *ON]),
    ("extract.heads", ["--backbone", "pixels", "--store", "store"]),
    ("extract.heads", ["--backbone", "tiny", "--store", "store"]),
    ("extract.download", ["swav_resnet51"]),
    ("extract.download", ["--check", "cifar"]),
    ("extract.finetune", ["--backbone", "nobody", *TRAIN]),
    ("extract.distill", ["--student", "conv4w0.25", "--teachers", "nobody", *TRAIN]),
    ("extract.distill", ["--student", "conv4w0.25", "--teachers", "pixels", "--loss", "features", *TRAIN]),
    ("extract.bonsai", ["--arch", "conv4w0.25", "--rounds", "1", *TRAIN]),
    ("store", ["ls", "--store", "empty"]),
    ("store", ["show", "nobody", "--store", "store"]),
    ("store", ["show", "--store", "store"]),
    ("store", ["rm", "nobody", "--store", "store"]),
    ("store", ["rm", "--store", "store"]),
    ("store", ["rm", "x", "--store", "empty"]),
    ("store", ["import", "features.npz", "--backbone", "new", "--split", "held", *ON]),
    ("store", ["import", "features.npz", "--backbone", "new", "--split", "val", *ON]),
    ("store", ["export", "new.npz", "--features", "nobody", "--split", "train", *ON]),
    ("store", ["doctor", "--store", "empty"]),
]  # fmt: skip
"""What people get wrong."""


def usage_error(words: list[str]) -> str:
    """What the parser says of a command; empty where it reads it."""
    name, rest = split_command(words)
    told = io.StringIO()
    with contextlib.redirect_stderr(told), contextlib.redirect_stdout(told):
        try:
            parser_of(name).parse_args(rest)
        except SystemExit as stop:
            return told.getvalue() if stop.code else ""
    return ""


def test_what_mistakes_advise_can_be_run(swept: Sweep) -> None:
    found = swept.run(MISTAKES)
    assert [" ".join(case[1]) for case, result in found if "Traceback" in str(result["err"])] == []
    advised: dict[tuple[str, ...], str] = {}
    for (module, argv), result in found:
        for words in commands_in(f"{result['out']}\n{result['err']}"):
            advised.setdefault(tuple(words), f"{module} {' '.join(argv)}\n-> {result['err']}")
    advised.pop(("store",), None)
    assert len(advised) > 20
    assert {words: usage_error(list(words)) for words in advised if usage_error(list(words))} == {}
    generic = re.compile(r"\b(?:NAME|FOLDER|FILE|PATH|COLUMN|A,B)|\.\.\.|efficientnet|download")  # or too slow here
    concrete = [words for words in advised if not generic.search(" ".join(words))]
    again = swept.run([(words[0], list(words[1:])) for words in concrete])
    fell = {
        words: result["err"] for words, (_, result) in zip(concrete, again, strict=True)
        if result["code"] not in (0, 2) or "Traceback" in str(result["err"]) or "all flags:" in str(result["err"])
    }  # fmt: skip
    assert fell == {}
    looks = {"ls", "--list", "--list-datasets"}
    assert [case for case, result in again if looks & {*case[1]} and result["code"]] == []


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A list of 24 pictures of two classes in three splits."""
    rng, lines = np.random.default_rng(0), ["path,label,split"]
    for i in range(24):
        pixels = rng.integers(0, 120, (8, 8, 3)) + 100 * (i % 2)
        Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / f"{i:02d}.png")
        lines.append(f"{i:02d}.png,{'ab'[i % 2]},{('train', 'train', 'val', 'test')[i // 2 % 4]}")
    file = tmp_path / "photos.csv"
    file.write_text("\n".join(lines) + "\n")
    return file


def do(module: str, argv: list[str]) -> str:
    """Run a command here; what it says where it fails."""
    name = f"{module}.cli" if (TOP / module.replace(".", "/") / "cli.py").exists() else module
    try:
        importlib.import_module(name).main(argv)
    except UserError as error:
        return str(error)
    return ""


def follow(module: str, argv: list[str]) -> list[str]:
    """Run a command, and what it advises where it fails, until it succeeds; the advice that was taken."""
    taken: list[str] = []
    while told := do(module, argv):
        advised = list(commands_in(told))
        assert advised, f"no advice: {told}"
        assert shlex.join(advised[-1]) not in taken, f"the same advice again: {told}"
        taken.append(shlex.join(advised[-1]))
        assert do(advised[-1][0], advised[-1][1:]) == "", f"{told}\nadvises what fails"
    return taken


SMALL = ["--ways", "2", "--shots", "1", "--queries", "1", "--episodes", "4"]


@pytest.mark.parametrize(
    ("module", "flags"),
    [
        ("probe", ["--features", "pixels"]),
        ("probe", ["--features", "pixels", "--solver", "sgd", "--epochs", "1", "--views", "3"]),
        ("probe", ["--features", "pixels", "--val", "none"]),
        ("probe.search", ["--features", "pixels,random:conv4w0.25", "--confirm", "0"]),
        ("fewshot", ["--features", "pixels", *SMALL]),
        ("store", ["export", "OUT", "--features", "pixels", "--split", "test"]),
    ],
    ids=" ".join,
)
def test_who_follows_the_advice_gets_there(photos, tmp_path, module, flags) -> None:
    argv = [str(tmp_path / "out.npz") if word == "OUT" else word for word in flags]
    on = ["--dataset", f"csv:{photos}", "--store", str(tmp_path / "store")]
    assert follow(module, [*argv, *on]), "nothing was there at first"


def test_who_follows_the_advice_after_the_list_has_changed_gets_there(photos, tmp_path) -> None:
    on = ["--dataset", f"csv:{photos}", "--store", str(tmp_path / "store")]
    assert do("extract", ["--backbone", "pixels", *on]) == ""
    text = photos.read_text()
    for change in (
        text.replace(",a,", ",c,"),  # a class has another name
        text.replace("00.png,a,train", "00.png,a,val"),  # an image moves
        "\n".join(text.splitlines()[:-1]) + "\n",  # an image goes
        text.replace(",val", ",held"),  # a split has another name
    ):
        photos.write_text(change)
        for module, flags in (("probe", []), ("fewshot", SMALL), ("probe.predict", [])):
            if module == "probe.predict":
                flags = ["--head", min(path.stem for path in (tmp_path / "store" / "heads").iterdir())]  # noqa: PLW2901
            else:
                flags = [*flags, "--features", "pixels"]  # noqa: PLW2901
            follow(module, [*flags, *on])


def test_advice_knows_where_a_trained_backbone_lies(photos, tmp_path) -> None:
    on, nets = ["--dataset", f"csv:{photos}"], ["--backbones", str(tmp_path / "nets")]
    store = ["--store", str(tmp_path / "store")]
    train = ["--arch", "conv4w0.25", "--recipe", "small", "--epochs", "1", "--image-size", "32", "--workers", "1"]
    assert do("extract.pretrain", [*train, *on, *nets, "--batch", "8", "--name", "tiny"]) == ""
    assert do("extract", ["--backbone", "tiny", *on, *nets, *store, "--split", "train"]) == ""
    taken = follow("probe", ["--features", "tiny", "--solver", "sgd", "--epochs", "1", "--views", "2", *on, *store])
    assert all(f"--backbones {tmp_path / 'nets'}" in command for command in taken)
