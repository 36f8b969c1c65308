"""Made episodes and the sequential peer, which the benchmarks use too."""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
import torch


def load(name):
    path = Path(__file__).parents[1] / "benchmarks" / f"{name}.py"
    module = module_from_spec(spec_from_file_location(name, path))
    sys.modules[name] = module
    module.__spec__.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def one_thread():
    """Small tensors on busy cores: several threads would only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def made_features():
    return load("made_episodes").made_features


@pytest.fixture(scope="session")
def made_chunk():
    return load("made_episodes").made_chunk


@pytest.fixture(scope="session")
def predict():
    """`predict(chunk, episode, cosine=...)`: the logits of the sequential loop."""
    return load("sequential_fewshot").predict
