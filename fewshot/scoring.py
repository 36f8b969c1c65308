"""Run classifiers over episodes in chunks: memory stays bounded however many there are."""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib import import_module

import faiss
import numpy as np
import torch

from fewshot.chunk import Chunk, Features
from fewshot.classifiers import CLASSIFIERS
from fewshot.config import Settings
from fewshot.episodes import Episodes, EpisodeSet
from fewshot.starts import EPOCHS
from store.runtime import Progress

FEATURE_BYTES, CHUNK_BYTES, CHUNK_MOST = 1 << 29, 1 << 29, 1024
"""Features held at a time, what classifiers keep beside them, and episodes at a time."""

Load = Callable[[str, np.ndarray], Features]
"""(name, pool rows) -> their features."""
Score = Callable[[Chunk], torch.Tensor]


def find(classifier: str) -> Score:
    module, _, name = CLASSIFIERS[classifier].function.partition(":")
    found: Score = getattr(import_module(f"fewshot.classifiers.{module}"), name)
    return found


def score_sets(
    load: Load,
    members: Mapping[str, int],
    classifiers: Sequence[str],
    sets: Sequence[EpisodeSet],
    settings: Settings,
) -> dict[tuple[str, int], tuple[np.ndarray, float]]:
    """(classifier, which set) -> the accuracy of each of its episodes by number, and the seconds it took.

    Args:
        members: name -> D of what is evaluated: one concatenation, or the members of an ensemble.
    """
    row_bytes = 4 * sum(members.values())
    correct = {(c, i): np.empty(len(s)) for c in classifiers for i, s in enumerate(sets)}
    seconds = dict.fromkeys(correct, 0.0)
    everything = _used([batch for s in sets for batch in s.batches])
    fits = len(everything) * row_bytes <= FEATURE_BYTES
    features = [load(name, everything) for name in members] if fits else []
    total, threads = len(classifiers) * sum(map(len, sets)), torch.get_num_threads()
    with (
        Progress(total, "+".join(members), "episodes") as progress,
        ThreadPoolExecutor(threads, initializer=_one_thread) as pool,
    ):
        for i, batch in ((i, batch) for i, s in enumerate(sets) for batch in s.batches):
            loaded = len(batch) if fits else max(1, FEATURE_BYTES // (row_bytes * batch.rows_per_episode))
            at_once = _chunk_size(batch, max(members.values()), threads)
            for part in batch.pieces(loaded):
                here = features or [load(name, _used([part])) for name in members]
                for classifier in classifiers:
                    began = time.perf_counter()
                    pieces = list(part.pieces(at_once))
                    found = pool.map(partial(_accuracy, find(classifier), here, settings), pieces)
                    for piece, correct_E in zip(pieces, found, strict=True):
                        correct[classifier, i][piece.number_E] = correct_E
                        progress.update(len(piece))
                    seconds[classifier, i] += time.perf_counter() - began
    return {key: (correct[key], seconds[key]) for key in correct}


def _used(batches: Sequence[Episodes]) -> np.ndarray:
    """The pool rows that episodes use, ascending."""
    return np.unique(np.concatenate([rows.ravel() for b in batches for rows in (b.support_EWS, b.query_EWQ)]))


def _one_thread() -> None:
    """Chunks run beside each other; the small tensors of one are not worth several threads."""
    torch.set_num_threads(1)
    faiss.omp_set_num_threads(1)


def _chunk_size(batch: Episodes, dim: int, threads: int) -> int:
    """How many episodes a thread works on: CHUNK_BYTES hold all threads' heads, Gram matrices, orders and scores."""
    way, n = batch.way, batch.support_EWS[0].size
    m = batch.query_EWQ[0].size
    floats: int = 3 * way * dim + 6 * n * (n + way) + EPOCHS * n + m * (n + 4 * way) + 4 * n * way
    return max(1, min(CHUNK_MOST, CHUNK_BYTES // (4 * floats * threads), -(-len(batch) // threads)))


def _accuracy(score: Score, features: Sequence[Features], settings: Settings, episodes: Episodes) -> np.ndarray:
    """The share of query images that each episode gets right, (E,) float64."""
    way, query, device = episodes.way, episodes.query_EWQ.shape[2], features[0].x_ND.device
    support_En, query_Em = (
        torch.from_numpy(features[0].number(rows).reshape(len(episodes), -1)).to(device)
        for rows in (episodes.support_EWS, episodes.query_EWQ)
    )
    chunks = [Chunk(part, support_En, query_Em, way, episodes.number_E, settings) for part in features]
    each = [score(chunk) for chunk in chunks]
    scores_EmW = torch.stack([torch.softmax(scores, 2) for scores in each]).mean(0) if len(each) > 1 else each[0]
    truth_m = torch.arange(way, device=device).repeat_interleave(query)
    correct_E = (scores_EmW.argmax(dim=2) == truth_m).double().mean(dim=1)
    return np.asarray(correct_E.cpu().numpy())
