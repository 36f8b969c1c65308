"""The command that a record gives is read by the real parser into the settings that the record has."""

import shlex
from dataclasses import asdict

import pytest

from extract.cli import build_parser as extract_parser
from fewshot import cli as fewshot_cli
from fewshot.config import Crossing, Settings, Span
from probe import cli as probe_cli
from probe.config import ProbeConfig
from probe.report.reproduce import commands
from store.records import Record

PROBES = [
    {},
    {"solver": "sgd", "weight_decay": (1e-6, 5e-4), "lr": (0.01,), "seeds": (0, 1), "epochs": 5, "batch_norm": "none"},
    {"solver": "knn", "k": (1, 3), "temperature": 0.1, "target": "sub", "group": "g", "test": "val", "seed": 7},
    {"dataset": "folder:/data/my pets", "store": "s3://b/c", "select": "kfold", "folds": 3, "predictions": True},
    {
        "objective": ("vrex",),
        "solver": "balanced",
        "group": "hospital=0,3,4:1:2",
        "penalty": (0.5, 1.0),
        "anneal": (0, 500),
    },
    {"average": ("ab", "cd"), "memory": 4_000_000_000, "device": "cpu", "views": 3, "solver": "sgd"},
]
FEWSHOTS = [
    {},
    {"ways": Span(0, 0), "shots": (Span(1, 10),), "queries": 5, "classes": ("x y", "z"), "ensemble": True},
    {
        "crossing": Crossing("style", "a", "b"),
        "apart": "emoji",
        "transform": "cl2n",
        "centre": "base",
        "splits": ("val",),
    },
    {
        "settings": Settings(seed=3, neighbours=5, weight_decay=0.1),
        "classifiers": ("knn", "ridge"),
        "compare": ("a", "a,b"),
    },
]


@pytest.mark.parametrize("settings", PROBES)
def test_probe(probed, settings) -> None:
    record = probed("a,b:l2", 0.5, **settings)
    _, command = commands(record)
    words = shlex.split(command)
    assert words[:3] == ["python", "-m", "probe"]
    options = vars(probe_cli.build_parser().parse_args(words[3:]))
    options["solver"] = options["solver"] or ProbeConfig.solver
    read = ProbeConfig(**{k: v for k, v in options.items() if k not in ("json", "list", "records")})
    assert asdict(read) == {**record.config, "features": ["a,b:l2"]}


def test_a_mean_of_heads_is_made_by_sub(probed) -> None:
    assert (
        commands(probed("a,b (sub, logits)", 0.5, sub=True))[1] == "python -m probe --features a,b --dataset toy --sub"
    )


@pytest.mark.parametrize("settings", FEWSHOTS)
def test_fewshot(fewshot, settings) -> None:
    record = fewshot({"a": 0.5, "a,b": 0.6}, **settings)
    _, command = commands(record)
    words = shlex.split(command)
    read = fewshot_cli.read_config(fewshot_cli.build_parser().parse_args(words[3:]))
    assert asdict(read) == record.config


def test_extract(probed) -> None:
    words = shlex.split(commands(probed("a,b", 0.5, dataset="folder:/data/my pets", solver="sgd", views=2))[0])
    assert words[:3] == ["python", "-m", "extract"]
    options = extract_parser().parse_args(words[3:])
    assert options.backbone == ("a", "b") or options.backbone == "a,b" or list(options.backbone) == ["a", "b"]
    assert options.views == 2


def test_a_record_may_name_its_own_command_and_an_unknown_one_has_none() -> None:
    assert commands(Record(kind="train", config={"command": "python -m x"})) == ["python -m x"]
    assert commands(Record(kind="other", config={})) == []


def test_sgd_before_there_was_a_choice_decayed_batch_norm_and_standardised(probed) -> None:
    def older(**settings) -> Record:
        record = probed("a,b:l2", 0.5, **settings)
        return Record(**{**vars(record), "config": {k: v for k, v in record.config.items() if k != "decay_batch_norm"}})

    made = "python -m probe --features a:std,b:l2 --dataset toy --solver sgd --decay-batch-norm"
    assert commands(older(solver="sgd"))[1] == made
    assert (
        commands(probed("a:raw", 0.5, solver="sgd"))[1] == "python -m probe --features a:raw --dataset toy --solver sgd"
    )
    assert commands(older())[1] == commands(probed("a,b:l2", 0.5))[1]
