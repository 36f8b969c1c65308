"""The batched training does what the sequential loop does, on the same episodes, weights and batch orders."""

import pytest
import torch

from fewshot.classifiers import baseline
from store.errors import BadValue

CLASSIFIERS = {False: baseline.baseline, True: baseline.baseline_plus_plus}


@pytest.mark.parametrize("cosine", [False, True])
@pytest.mark.parametrize(("way", "shot"), [(5, 1), (5, 5), (3, 2), (12, 3)])
def test_logits_are_those_of_the_sequential_loop(made_chunk, predict, cosine, way, shot):
    chunk = made_chunk(3, way=way, shot=shot, query=8)
    logits_EmW = CLASSIFIERS[cosine](chunk)
    torch.testing.assert_close(logits_EmW[1], predict(chunk, 1, cosine=cosine), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("cosine", [False, True])
def test_large_features_train_alike_too(made_chunk, made_features, predict, cosine):
    features = made_features(dim=512)
    features.x_ND.mul_(2)
    chunk = made_chunk(2, dim=512, features=features)
    torch.testing.assert_close(CLASSIFIERS[cosine](chunk)[1], predict(chunk, 1, cosine=cosine), rtol=1e-3, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("cosine", [False, True])
def test_at_most_one_prediction_in_a_thousand_differs(made_chunk, made_features, predict, cosine):
    chunk = made_chunk(40, dim=640, features=made_features(dim=640, apart=0.15))
    ours_Em = CLASSIFIERS[cosine](chunk).argmax(2)
    theirs_Em = torch.stack([predict(chunk, e, cosine=cosine).argmax(1) for e in range(40)])
    assert (ours_Em != theirs_Em).float().mean() <= 0.001


def test_an_episode_does_not_depend_on_its_neighbours(made_chunk):
    many, few = made_chunk(8), made_chunk(8)
    alone = type(few)(few.features, few.support_En[5:6], few.query_Em[5:6], few.way, few.number_E[5:6], few.settings)
    for classify in CLASSIFIERS.values():
        torch.testing.assert_close(classify(alone)[0], classify(many)[5], rtol=1e-4, atol=1e-4)


def test_the_seed_decides_the_initial_weights(made_chunk):
    first, again, other = (baseline.baseline_plus_plus(made_chunk(2, seed=seed)) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_zero_vectors_have_no_cosine(made_chunk, made_features):
    features = made_features()
    features.x_ND[3] = 0
    with pytest.raises(BadValue, match="1 of 800 features of a are zero vectors"):
        baseline.baseline_plus_plus(made_chunk(2, features=features))
    assert baseline.baseline(made_chunk(2, features=features)).isfinite().all()
