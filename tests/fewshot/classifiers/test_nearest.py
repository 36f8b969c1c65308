import faiss
import numpy as np
import pytest

from fewshot.classifiers import nearest
from store.errors import BadValue


@pytest.mark.parametrize("shot", [1, 5])
@pytest.mark.parametrize("cosine", [False, True])
def test_predictions_are_those_of_a_faiss_index_of_class_means(made_chunk, shot, cosine):
    chunk = made_chunk(20, shot=shot)
    scores_EmW = (nearest.cosine if cosine else nearest.euclidean)(chunk)
    x_ND = chunk.features.x_ND.numpy().copy()
    if cosine:
        faiss.normalize_L2(x_ND)
    for e in range(20):
        means = x_ND[chunk.support_En[e].numpy()].reshape(5, shot, -1).mean(axis=1)
        if cosine:
            faiss.normalize_L2(means)
        index = faiss.IndexFlatIP(64) if cosine else faiss.IndexFlatL2(64)
        index.add(means)
        score, found = index.search(x_ND[chunk.query_Em[e].numpy()], 1)
        assert np.array_equal(scores_EmW[e].argmax(dim=1).numpy(), found[:, 0])
        best = scores_EmW[e].max(dim=1).values.numpy()
        np.testing.assert_allclose(best if cosine else -best, score[:, 0], rtol=1e-4)


def test_zero_vectors_have_no_cosine(made_chunk, made_features):
    features = made_features()
    features.x_ND[[7, 9]] = 0
    with pytest.raises(BadValue, match=r"2 of 800 features of a are zero vectors.* the first is train/7.png"):
        nearest.cosine(made_chunk(2, features=features))
    assert nearest.euclidean(made_chunk(2, features=features)).isfinite().all()
