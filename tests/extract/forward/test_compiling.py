import logging
import time
from pathlib import Path

import pytest
import torch
from torch import nn

from extract.forward import compiling
from extract.forward.compiling import compile_forward, pays, time_limit
from extract.forward.precision import Forward
from extract.images.recipes import RECIPES

CPU, RECIPE = torch.device("cpu"), RECIPES["pixels_16"]


class Slow(nn.Module):
    def __init__(self, seconds: float = 0.02) -> None:
        super().__init__()
        self.seconds = seconds

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        time.sleep(self.seconds)
        return x.flatten(1)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "motherlode/compile"


def compiled_to(monkeypatch: pytest.MonkeyPatch, net: nn.Module) -> list[nn.Module]:
    """Let torch.compile give `net`; what it was called with."""
    asked: list[nn.Module] = []
    monkeypatch.setattr(torch, "compile", lambda given, **_options: (asked.append(given), net)[1])
    return asked


@pytest.mark.parametrize(("seconds", "faster"), [(0.0, True), (0.03, False)])
def test_it_is_measured_once_and_remembered(
    seconds: float, faster: bool, cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked = compiled_to(monkeypatch, Slow(seconds))
    with caplog.at_level(logging.INFO):
        for _ in range(2):
            assert pays(Forward(Slow(), 768, CPU), RECIPE, 4, "slow", 1000) is faster
    assert len(asked) == 1
    assert f"times as fast, {'used' if faster else 'not used'}" in caplog.text
    (file,) = cache.iterdir()
    file.write_text("{")
    assert pays(Forward(Slow(), 768, CPU), RECIPE, 4, "slow", 1000) is faster, "a damaged file is measured again"
    assert pays(Forward(Slow(), 768, CPU), RECIPE, 8, "slow", 1000) is faster, "another shape"
    assert len(asked) == 3


def test_little_work_is_not_worth_a_trial(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = compiled_to(monkeypatch, Slow(0.0))
    assert not pays(Forward(Slow(), 768, CPU), RECIPE, 4, "slow", 599.0)
    assert not asked
    assert not cache.exists()


def test_what_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    compiled_to(monkeypatch, Slow(30.0))
    monkeypatch.setattr(compiling, "LIMIT_SECONDS", 0.1)
    start = time.monotonic()
    assert compile_forward(Forward(Slow(), 768, CPU), RECIPE, 4) is None
    assert time.monotonic() - start < 10
    assert "torch.compile cannot be used, going on without: not done after 0 s" in caplog.text
    with time_limit(0.2):  # an earlier limit does not reach into what comes after it
        time.sleep(0.01)
    time.sleep(0.3)


def test_what_fails_is_said(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def fail(*_args: object, **_options: object) -> None:
        raise RuntimeError("no C++ compiler\nand a long story")

    monkeypatch.setattr(torch, "compile", fail)
    assert compile_forward(Forward(Slow(), 768, CPU), RECIPE, 4) is None
    assert caplog.messages == ["torch.compile cannot be used, going on without: RuntimeError: no C++ compiler"]
    assert not pays(Forward(Slow(), 768, CPU), RECIPE, 4, "slow", 1000), "and remembered"
    caplog.clear()
    assert not pays(Forward(Slow(), 768, CPU), RECIPE, 4, "slow", 1000)
    assert not caplog.messages


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_really_compiled_it_gives_the_same_features() -> None:
    from extract.loading import load

    loaded = load("random:conv4")
    plain = Forward(loaded.net, loaded.dim, CPU)
    fast = compile_forward(plain, loaded.recipe, 4)
    assert fast is not None
    images = list(torch.randint(0, 256, (3, 3, 84, 84), dtype=torch.uint8))
    want, got = plain(images, loaded.recipe, 4), fast(images, loaded.recipe, 4)
    assert abs(got - want).max() <= 1e-4 * abs(want).max()
