import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier

from fewshot.classifiers import neighbours
from store.errors import BadValue


@pytest.mark.parametrize("k", [1, 3])
def test_knn_is_sklearns_but_for_ties(made_chunk, k):
    chunk = made_chunk(6, shot=3, neighbours=k)
    scores_EmW = neighbours.knn(chunk)
    for e in range(6):
        x, q = (chunk.features.x_ND[rows[e]].numpy() for rows in (chunk.support_En, chunk.query_Em))
        votes = KNeighborsClassifier(k, algorithm="brute").fit(x, chunk.labels_n.numpy()).predict_proba(q) * k
        clear = np.sort(votes)[:, -1] > np.sort(votes)[:, -2]
        assert clear.mean() > 0.3
        assert np.array_equal(scores_EmW[e].argmax(1).numpy()[clear], votes.argmax(1)[clear])


def test_a_tie_goes_to_the_class_of_the_nearest_image(made_chunk):
    chunk = made_chunk(6, shot=3, neighbours=2)
    ours_Em = neighbours.knn(chunk).argmax(2)
    first_Em = neighbours.knn(made_chunk(6, shot=3, neighbours=1)).argmax(2)
    assert torch.equal(ours_Em, first_Em)  # of two neighbours either both agree or the nearest decides


def test_more_neighbours_than_images(made_chunk):
    with pytest.raises(BadValue, match="--neighbours 16: an episode has only 15 support images"):
        neighbours.knn(made_chunk(1, shot=3, neighbours=16))


def test_matching_is_the_attention_of_matching_networks(made_chunk):
    chunk = made_chunk(3, shot=2)
    logs_EmW = neighbours.matching(chunk)
    support, query = (chunk.features.x_ND[rows[2]].double() for rows in (chunk.support_En, chunk.query_Em))
    cosine = torch.nn.functional.cosine_similarity(query[:, None], support[None], dim=2)
    attention = (100 * cosine.clamp_min(0)).softmax(1)
    share = torch.stack([attention[:, chunk.labels_n == c].sum(1) for c in range(5)], dim=1)
    torch.testing.assert_close(logs_EmW[2].double().exp(), share + 1e-6, rtol=1e-3, atol=1e-6)
