import numpy as np
import pytest
import torch

from probe.features import column_ranges, parse_features
from probe.search.grams import Grams, Rows
from probe.search.normal import Source, assemble
from probe.solvers.ridge import targets
from store.concat import open_features
from store.errors import BadFeatures


@pytest.fixture
def open_source(root, make_set):
    """`open_source(split, count)` -> (grams, concat, part of each row); b has a constant column, b and c bad rows."""

    def run(split: str, count: int, dtype: str = "float16"):
        rng = np.random.default_rng(count)
        y_N = np.arange(count) % 4 - (np.arange(count) % 11 == 0)  # some have no class
        x_ND = (rng.normal(size=(count, 14)) * rng.uniform(0.1, 5, 14) + rng.normal(size=14) * 20).astype(dtype)
        x_ND[:, 9] = 3.0
        options = {"split": split, "dtype": dtype, "block_rows": 64}
        targets = {"label": y_N}
        make_set(x_ND[:, :6], targets, backbone="a", **options)
        make_set(x_ND[:, 6:10], targets, backbone="b", bad_rows={5: "truncated"}, **options)
        make_set(x_ND[:, 10:], targets, backbone="c", bad_rows={5: "empty", 70: "empty"}, **options)
        x = open_features(root, "toy", split, "a,b,c")
        target = x.parts[0].samples.target("label")
        part_N = np.where(target.index >= 0, np.arange(count) % 3, -1).astype(np.int16)
        grams = Grams(root, x, Rows(part_N, target))
        grams.make()
        return grams, x, part_N

    return run


def reference(opened, parts, standardise: bool = True) -> tuple[np.ndarray, ...]:
    """Gram and cross of the rows side by side, in float64 from the features themselves."""
    x, y = [], []
    for (_, concat, part_N), chosen in zip(opened, parts, strict=True):
        kept = part_N if concat.rows is None else part_N[concat.rows]
        rows = np.flatnonzero(np.isin(kept, chosen))
        x.append(concat.read(rows).astype(np.float64))
        y.append(concat.samples.label[rows])
    x_ND, y_N = np.concatenate(x), np.concatenate(y)
    x_ND -= x_ND.mean(0)
    if standardise:
        x_ND *= np.where(x_ND.std(0) > 1e-6, 1 / np.maximum(x_ND.std(0), 1e-12), 0).astype(np.float32)
    t_NC = 2.0 * np.eye(4)[y_N] - 1
    return x_ND.T @ x_ND / len(x_ND), x_ND.T @ t_NC / len(x_ND), t_NC.mean(0)


def side_by_side(normal) -> np.ndarray:
    count = len(normal.dims)
    return np.block([[normal.block(i, j).numpy() for j in range(count)] for i in range(count)])


def sources(opened, parts):
    return [
        Source(grams, concat.parts, chosen, np.arange(4))
        for (grams, concat, _), chosen in zip(opened, parts, strict=True)
    ]


@pytest.mark.parametrize("text", ["a,b,c", "a:raw,b:raw,c:raw"])
@pytest.mark.parametrize("parts", [[(0, 1, 2)], [(0, 2)], [(1,)]])
def test_equations_from_blocks_are_those_of_the_rows(root, open_source, text, parts) -> None:
    opened = [open_source("train", 200)]
    blocks = parse_features(root, "toy", "train", text)
    normal = assemble(blocks, column_ranges(opened[0][1], blocks), sources(opened, parts), 4)
    gram, cross, mean_C = reference(opened, parts, ":raw" not in text)
    scale = np.abs(gram).max()
    np.testing.assert_allclose(side_by_side(normal), gram, rtol=1e-6, atol=1e-9 * scale)
    np.testing.assert_allclose(np.concatenate([part.numpy() for part in normal.cross]), cross, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(normal.mean_C.numpy(), mean_C, atol=1e-12)


def test_two_splits_and_any_of_their_folds_add_up(root, open_source) -> None:
    opened = [open_source("train", 200), open_source("val", 90)]
    blocks = parse_features(root, "toy", "train", "a,b,c")
    ranges = column_ranges(opened[0][1], blocks)
    for fold in range(3):
        parts = [tuple(part for part in range(3) if part != fold)] * 2
        normal = assemble(blocks, ranges, sources(opened, parts), 4)
        gram, cross, _ = reference(opened, parts)
        np.testing.assert_allclose(side_by_side(normal), gram, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(np.concatenate([part.numpy() for part in normal.cross]), cross, rtol=1e-6, atol=1e-9)


def test_prepared_rows_are_centred_and_standardised(root, open_source) -> None:
    opened = [open_source("train", 200)]
    blocks = parse_features(root, "toy", "train", "a,b:raw,c[1:3]")
    ranges = [(0, 6), (0, 4), (1, 3)]
    normal = assemble(blocks, ranges, sources(opened, [(0, 1, 2)]), 4)
    _, concat, part_N = opened[0]
    rows = np.flatnonzero(part_N[concat.rows] >= 0)
    x = normal.prepare(torch.from_numpy(concat.read(rows)[:, [*range(10), 11, 12]])).double() - torch.cat(normal.mean)
    assert float(x.mean(0).abs().max()) < 1e-5
    np.testing.assert_allclose((x.T @ x / len(x)).numpy(), side_by_side(normal), rtol=1e-4, atol=1e-4)


def test_alignment_is_linear_cka(root, open_source) -> None:
    opened = [open_source("train", 200)]
    blocks = parse_features(root, "toy", "train", "a,b,c")
    normal = assemble(blocks, column_ranges(opened[0][1], blocks), sources(opened, [(0, 1, 2)]), 4)
    gram, _, _ = reference(opened, [(0, 1, 2)])
    a, b = slice(0, 6), slice(6, 10)
    norm = np.linalg.norm
    cka = norm(gram[a, b]) ** 2 / (norm(gram[a, a]) * norm(gram[b, b]))
    found = normal.alignment()
    np.testing.assert_allclose([found[0, 1], found[1, 0], *found.diagonal()], [cka, cka, 1, 1, 1], rtol=1e-9)


def test_targets_are_those_of_the_ridge_solver(root, open_source, data_of) -> None:
    opened = [open_source("train", 200)]
    _, concat, part_N = opened[0]
    rows = np.flatnonzero(part_N[concat.rows] >= 0)
    y_N = concat.samples.label[rows]
    blocks = parse_features(root, "toy", "train", "a,b,c")
    normal = assemble(blocks, column_ranges(concat, blocks), sources(opened, [(0, 1, 2)]), 4)
    t_NC = targets(data_of(concat.read(rows), y_N, 4), torch.from_numpy(y_N.astype(np.int64)))
    np.testing.assert_allclose(normal.mean_C.numpy(), t_NC.double().mean(0).numpy(), atol=1e-12)


def test_a_feature_that_is_no_number_is_refused(root, open_source) -> None:
    grams, concat, _ = open_source("train", 200)
    read = concat.parts[0].read
    concat.parts[0].read = lambda rows: np.where(np.arange(6) == 2, np.nan, read(rows))
    root.remove("grams")
    blocks = parse_features(root, "toy", "train", "a,b,c")
    grams.make()
    with pytest.raises(BadFeatures, match="features a: 1 columns hold NaN or infinity"):
        assemble(blocks, column_ranges(concat, blocks), sources([(grams, concat, None)], [(0,)]), 4)
