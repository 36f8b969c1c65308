import numpy as np
import pytest
import torch

from fewshot import scoring
from fewshot.chunk import Features
from fewshot.classifiers import CLASSIFIERS
from fewshot.config import Settings, Span
from fewshot.episodes import draw_set
from fewshot.lists import Lists, Rows
from store.samples import Targets


@pytest.fixture
def sets():
    rows = Rows.of(np.arange(800).reshape(20, 40) * 2)  # every second row of the pool
    lists = Lists(Targets("label", tuple(map(str, range(20))), np.zeros(1)), rows, rows, paired=True)
    return [draw_set(lists, Span(3, 4), Span(shot, shot), 6, 16, 1, seed=0) for shot in (1, 2)]


@pytest.fixture
def load(made_features):
    made = {name: made_features(dim=dim, seed=seed) for name, dim, seed in (("a", 16, 0), ("b", 24, 1))}
    asked = []

    def load(name, rows):
        asked.append(len(rows))
        return Features(name, rows, made[name].x_ND[torch.from_numpy(rows) // 2], str)

    load.asked = asked
    return load


def test_results_do_not_depend_on_chunks_nor_on_what_is_held(sets, load, monkeypatch):
    names = ["nearest", "knn", "baseline++", "logistic"]
    members = {"a": 16, "b": 24}
    whole = scoring.score_sets(load, members, names, sets, Settings())
    assert len(load.asked) == 2
    monkeypatch.setattr(scoring, "CHUNK_MOST", 7)
    monkeypatch.setattr(scoring, "FEATURE_BYTES", 4 * 40 * 80)
    parts = scoring.score_sets(load, members, names, sets, Settings())
    assert len(load.asked) > 6
    assert max(load.asked[2:]) <= 80
    for key, (correct_E, _) in whole.items():
        np.testing.assert_allclose(correct_E, parts[key][0], atol=0.05)
        assert correct_E.mean() == pytest.approx(parts[key][0].mean(), abs=1e-3)


def test_chunks_get_smaller_as_episodes_get_larger(sets):
    batch = sets[0].batches[0]
    assert scoring._chunk_size(batch, 64, 1) == len(batch)
    assert scoring._chunk_size(batch, 64, 2) == -(-len(batch) // 2)
    assert scoring._chunk_size(batch, 1 << 24, 2) == 1


def test_every_classifier_is_found():
    assert all(callable(scoring.find(name)) for name in CLASSIFIERS)
