"""`python -m extract.download` against a real server: fetched, checked, pinned, unpacked, and never half."""

import dataclasses
import hashlib
import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from extract.backbones import BACKBONES
from extract.download import main
from extract.loading import build, load
from extract.weights import fetch
from store.errors import BadValue
from store.runtime import run_command

NAME = "conv4"


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "PAUSE_SECONDS", 0.0)


@pytest.fixture
def publish(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """`publish("conv4", url=...)`: as if its weights came from there."""

    def change(name: str, **fields: Any) -> None:
        row = BACKBONES[name]
        assert row.weights is not None
        weights = dataclasses.replace(row.weights, **fields)
        monkeypatch.setitem(BACKBONES, name, dataclasses.replace(row, weights=weights))

    return change


def checkpoint(name: str = NAME, seed: int = 0) -> bytes:
    """A file of weights as upstream names them, of the small networks."""
    net = build(BACKBONES[name], given=True).net
    generator = torch.Generator().manual_seed(seed)
    state = {
        f"feature.trunk.{key[0]}.trunk{key[1:]}": torch.rand(value.shape, generator=generator)
        for key, value in net.state_dict().items()
    }
    file = io.BytesIO()
    torch.save({"epoch": 1, "state": state}, file)
    return file.getvalue()


def run(*argv: str) -> int:
    return run_command("extract.download", main, argv)


def test_a_download_is_checked_pinned_and_found(site: Any, publish: Any, tmp_path: Path, capsys: Any):
    site.files["/conv4.tar"] = checkpoint()
    site.drop_after = [100_000]
    publish(NAME, url=f"{site.url}/conv4.tar")
    assert run(NAME, "--weights-root", str(tmp_path), "--json") == 0
    sha256 = hashlib.sha256(site.files["/conv4.tar"]).hexdigest()
    path = tmp_path / "fewshot" / "conv4.tar"
    assert json.loads(capsys.readouterr().out) == [
        {"backbone": NAME, "state": "fetched", "sha256": sha256, "path": str(path), "why": ""}
    ]
    assert (tmp_path / "fewshot" / "conv4.tar.sha256").read_text() == f"{sha256}  conv4.tar\n"
    assert load(NAME, weights_root=str(tmp_path)).weights_sha256 == sha256
    assert sorted(p.name for p in path.parent.iterdir()) == ["conv4.tar", "conv4.tar.sha256"]

    asked = len(site.asked)
    assert run(NAME, "--weights-root", str(tmp_path)) == 0
    assert "present" in capsys.readouterr().out
    assert len(site.asked) == asked


def test_what_changed_after_the_download_is_not_used(site: Any, publish: Any, tmp_path: Path, capsys: Any):
    site.files["/conv4.tar"] = checkpoint()
    publish(NAME, url=f"{site.url}/conv4.tar")
    assert run(NAME, "--weights-root", str(tmp_path)) == 0
    (tmp_path / "fewshot" / "conv4.tar").write_bytes(checkpoint(seed=1))
    with pytest.raises(BadValue, match="it is damaged, or another file; delete it and fetch it again"):
        load(NAME, weights_root=str(tmp_path))
    assert run(NAME, "--weights-root", str(tmp_path)) == 2


def test_upstreams_file_may_not_change_in_silence(site: Any, publish: Any, tmp_path: Path, capsys: Any):
    site.files["/conv4.tar"] = checkpoint()
    publish(NAME, url=f"{site.url}/conv4.tar")
    assert run(NAME, "--weights-root", str(tmp_path)) == 0
    path = tmp_path / "fewshot" / "conv4.tar"
    path.unlink()
    site.files["/conv4.tar"] = checkpoint(seed=1)
    assert run(NAME, "--weights-root", str(tmp_path)) == 2
    assert f"; {path}.sha256 holds the sha256 that came first" in capsys.readouterr().err
    assert not path.exists()
    path.with_name("conv4.tar.sha256").unlink()
    assert run(NAME, "--weights-root", str(tmp_path)) == 0


def test_a_web_page_instead_of_weights_is_put_aside(site: Any, publish: Any, tmp_path: Path, capsys: Any):
    site.files["/conv4.tar"] = b"<!DOCTYPE html><title>Sign in</title>"
    publish(NAME, url=f"{site.url}/conv4.tar")
    assert run(NAME, "--weights-root", str(tmp_path)) == 2
    out, err = capsys.readouterr()
    assert "failed" in out
    assert "it is a web page, so the download went wrong" in err
    assert [path.name for path in (tmp_path / "fewshot").iterdir()] == ["conv4.tar.rejected"]
    site.files["/conv4.tar"] = checkpoint()
    assert run(NAME, "--weights-root", str(tmp_path)) == 0


def test_weights_of_another_network_are_put_aside(site: Any, publish: Any, tmp_path: Path, capsys: Any):
    site.files["/conv4.tar"] = checkpoint("conv6")
    publish(NAME, url=f"{site.url}/conv4.tar")
    assert run(NAME, "--weights-root", str(tmp_path)) == 2
    assert (
        "does not fit conv4: 14 keys of the file are unknown: feature.trunk.4.trunk.0.weight" in capsys.readouterr().err
    )
    assert not (tmp_path / "fewshot" / "conv4.tar").exists()


def test_one_failure_does_not_stop_the_others(site: Any, publish: Any, tmp_path: Path, capsys: Any):
    site.files["/conv6.tar"] = checkpoint("conv6")
    publish("conv4", url=f"{site.url}/conv4.tar")
    publish("conv6", url=f"{site.url}/conv6.tar")
    assert run("conv?", "resnet10", "pixels", "efficientnet_lite0", "--weights-root", str(tmp_path)) == 2
    out, err = capsys.readouterr()
    states = {line.split()[0]: line.split()[1] for line in out.splitlines()[2:]}
    assert states == {
        "conv4": "failed",
        "conv6": "fetched",
        "resnet10": "failed",
        "pixels": "none",
        "efficientnet_lite0": "packaged",
    }
    assert "2 of 5 failed:" in err
    assert "answers 404 Not Found" in err
    assert "resnet10: its weights are not published; put yours at" in err


def archive(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return file.getvalue()


def test_one_archive_serves_every_backbone_in_it(site: Any, publish: Any, tmp_path: Path, capsys: Any):
    site.files["/both.tar.gz"] = archive({"x/conv4.tar": checkpoint(), "x/conv6.tar": checkpoint("conv6")})
    for name in ("conv4", "conv6"):
        publish(name, url=f"{site.url}/both.tar.gz", archive="fewshot/both.tar.gz")
    assert run("conv4", "conv6", "--weights-root", str(tmp_path)) == 0
    assert len(site.asked) == 1
    names = sorted(path.name for path in (tmp_path / "fewshot").iterdir())
    assert names == ["conv4.tar", "conv4.tar.sha256", "conv6.tar", "conv6.tar.sha256"]


def test_a_web_page_instead_of_an_archive_is_put_aside(site: Any, publish: Any, tmp_path: Path, capsys: Any):
    site.files["/both.tar.gz"] = b"<!DOCTYPE html><title>Quota exceeded</title>"
    publish("conv4", url=f"{site.url}/both.tar.gz", archive="fewshot/both.tar.gz")
    assert run("conv4", "--weights-root", str(tmp_path)) == 2
    assert "neither a tar nor a zip archive; fetch it again" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "fewshot").iterdir()] == ["both.tar.gz.rejected"]
    site.files["/both.tar.gz"] = archive({"conv4.tar": checkpoint()})
    assert run("conv4", "--weights-root", str(tmp_path)) == 0
    site.files["/both.tar.gz"] = archive({"conv6.tar": checkpoint("conv6")})
    publish("conv6", url=f"{site.url}/both.tar.gz", archive="fewshot/both.tar.gz")
    publish("resnet10", url=f"{site.url}/both.tar.gz", archive="fewshot/both.tar.gz")
    assert run("resnet10", "--weights-root", str(tmp_path)) == 2
    assert "holds no resnet10.tar, only conv6.tar" in capsys.readouterr().err


def test_an_archive_put_there_by_hand_is_unpacked_and_kept(publish: Any, tmp_path: Path):
    publish("conv4", url="http://files.invalid/x", archive="fewshot/both.tar.gz")
    (tmp_path / "fewshot").mkdir()
    (tmp_path / "fewshot" / "both.tar.gz").write_bytes(archive({"conv4.tar": checkpoint()}))
    assert run("conv4", "--weights-root", str(tmp_path)) == 0
    assert (tmp_path / "fewshot" / "both.tar.gz").exists()


def test_an_archive_that_reaches_out_of_its_folder_is_refused(site: Any, publish: Any, tmp_path: Path, capsys: Any):
    site.files["/a.tar.gz"] = archive({"conv4.tar": checkpoint(), "../../evil": b"x"})
    publish("conv4", url=f"{site.url}/a.tar.gz", archive="fewshot/a.tar.gz")
    assert run("conv4", "--weights-root", str(tmp_path / "root")) == 2
    assert "refused, nothing was unpacked: its member '../../evil' leads out of its folder" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["root"]


def test_the_list_shows_licences_addresses_and_what_is_here(tmp_path: Path, capsys: Any):
    path = tmp_path / "seer" / "seer_regnet32gf.pth"
    path.parent.mkdir()
    path.touch()
    assert run("--list", "--weights-root", str(tmp_path)) == 0
    out = capsys.readouterr().out
    row = next(line for line in out.splitlines() if line.startswith("seer_regnet32gf "))
    assert "SEER License" in row
    assert str(path) in row
    assert "https://dl.fbaipublicfiles.com/vissl/model_zoo/seer_regnet32d/" in row
    assert "SEER License: non-commercial research only" in out
    assert run("--list", "--json") == 0
    assert len(json.loads(capsys.readouterr().out)) == sum(row.weights is not None for row in BACKBONES.values())


def test_models_of_libraries(tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch):
    timm = pytest.importorskip("timm")
    create = timm.create_model
    monkeypatch.setattr(timm, "create_model", lambda name, pretrained, **rest: create(name, pretrained=False, **rest))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "resnet18-f37072fd.pth").write_bytes(b"cut")
    assert run("timm:resnet10t", "torchvision:resnet18", "--weights-root", str(tmp_path)) == 2
    out, err = capsys.readouterr()
    assert "timm's own cache" in out
    assert "that of torchvision:resnet18 is f37072fd: it is damaged, or another file" in err


def test_names_are_needed_and_must_be_known(capsys: Any):
    with pytest.raises(SystemExit):
        main([])
    assert "name backbones, or give --all, --list or --check DATASET" in capsys.readouterr().err
    assert run("swav_resnet5") == 2
    assert "unknown backbone 'swav_resnet5'; nearest: swav_resnet50" in capsys.readouterr().err


def test_help_and_list_load_no_torch():
    code = "import sys; from extract.download import main; main(['--list']); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, stdout=subprocess.DEVNULL).returncode == 0
