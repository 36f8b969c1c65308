"""How a split is parted into blocks, and who does which."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from extract import extractor
from extract.config import ExtractConfig
from extract.datasets import open_dataset
from extract.extractor import run
from extract.loading import load
from store import open_features
from store.root import open_root
from tests.extract.conftest import NET, config, stored_bytes


def test_ranks_share_the_blocks_and_the_last_one_commits(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(config(pictures, tmp_path / "one"))
    monkeypatch.setenv("WORLD_SIZE", "2")
    states = []
    for rank in ("1", "0"):
        monkeypatch.setenv("RANK", rank)
        states += [(row.extracted, row.state) for row in run(config(pictures, tmp_path / "two"))]
    assert states == [(24, "unfinished"), (16, "extracted")], "rank 1 does its block and helps with one of rank 0's two"
    assert stored_bytes(tmp_path / "two") == stored_bytes(tmp_path / "one")


def test_ranks_have_a_gpu_each_and_share_the_cores_for_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("store.runtime.num_cores", lambda: 8)
    assert ExtractConfig(backbone=("pixels",)).workers == 8
    for ranks, workers in (("4", 2), ("16", 1)):
        monkeypatch.setenv("LOCAL_WORLD_SIZE", ranks)
        assert ExtractConfig(backbone=("pixels",)).workers == workers
    monkeypatch.setenv("LOCAL_RANK", "3")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(torch.cuda, "set_device", lambda _device: None)
    monkeypatch.setattr(extractor, "pick_device", lambda _name: torch.device("cuda"))
    monkeypatch.setattr(
        extractor, "Network", lambda _load, device, *_: SimpleNamespace(device=device, loaded=load("pixels"))
    )
    assert [net.device for net, _ in extractor.networks(ExtractConfig(backbone=("pixels",)))] == [
        torch.device("cuda", 3)
    ]


def test_short_splits_go_to_different_ranks(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    made = run(config(pictures, tmp_path, split=("train", "test"), block_rows=4096))
    assert [(row.split, row.extracted, row.state) for row in made] == [
        ("train", 0, "unfinished"),
        ("test", 10, "extracted"),
    ]


def test_short_splits_have_several_blocks_and_what_began_in_others_goes_on_in_them(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An earlier version began `pixels` in one block; a run of today fills it beside another set in smaller ones."""
    monkeypatch.setattr("store.writer.FEWEST_ROWS", 4)
    before, after = (config(pictures, tmp_path, block_rows=rows, backbone=("pixels",)) for rows in (40, None))
    images = open_dataset(f"folder:{pictures}", "train")
    ((_, (seen,)),) = extractor.work(open_root(tmp_path), before)
    assert extractor.open_writer(open_root(tmp_path), before, images, seen).choices
    made = run(replace(after, backbone=("pixels", NET)))
    assert [(row.extracted, row.state) for row in made] == [(40, "extracted")] * 2
    x = open_features(str(tmp_path), f"folder:{pictures}", "train", f"pixels,{NET}")
    assert [part.manifest.block_rows for part in x.parts] == [40, 4]
    assert len(x) == 40
