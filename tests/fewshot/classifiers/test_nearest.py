import faiss
import numpy as np
import pytest
import torch

from fewshot.chunk import Chunk, Features
from fewshot.classifiers import nearest
from store.errors import BadValue


def made_chunk(count=20, way=5, shot=5, query=15, dim=32, x_ND=None):
    rng = np.random.default_rng(0)
    if x_ND is None:
        x_ND = rng.normal(size=(400, dim)).astype(np.float32) + 1
    drawn = np.stack([rng.permutation(len(x_ND))[: way * (shot + query)] for _ in range(count)])
    drawn = torch.from_numpy(drawn.reshape(count, way, shot + query))
    features = Features("a", np.arange(len(x_ND)) * 2, torch.from_numpy(x_ND), lambda row: f"train/{row}.png")
    return Chunk(features, drawn[:, :, :shot], drawn[:, :, shot:])


@pytest.mark.parametrize("shot", [1, 5])
@pytest.mark.parametrize("cosine", [False, True])
def test_predictions_are_those_of_a_faiss_index_of_class_means(shot, cosine):
    chunk = made_chunk(shot=shot)
    scores_EMW = (nearest.cosine if cosine else nearest.euclidean)(chunk)
    x_ND = chunk.x_ND.numpy().copy()
    if cosine:
        faiss.normalize_L2(x_ND)
    for e in range(len(scores_EMW)):
        means = x_ND[chunk.support_EWS[e].numpy()].mean(axis=1)
        if cosine:
            faiss.normalize_L2(means)
        index = faiss.IndexFlatIP(32) if cosine else faiss.IndexFlatL2(32)
        index.add(means)
        score, found = index.search(x_ND[chunk.query_EWQ[e].flatten().numpy()], 1)
        assert np.array_equal(scores_EMW[e].argmax(dim=1).numpy(), found[:, 0])
        best = scores_EMW[e].max(dim=1).values.numpy()
        np.testing.assert_allclose(best if cosine else -best, score[:, 0], rtol=1e-4)


def test_zero_vectors_have_no_cosine():
    x_ND = np.random.default_rng(0).normal(size=(120, 4)).astype(np.float32)
    x_ND[[7, 9]] = 0
    with pytest.raises(BadValue, match=r"2 of 120 features of a are zero vectors.* the first is train/14.png"):
        nearest.cosine(made_chunk(x_ND=x_ND))
    assert nearest.euclidean(made_chunk(x_ND=x_ND)).isfinite().all()
