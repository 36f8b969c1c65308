from itertools import combinations

import pytest
import torch

from probe.search.lattice import Sweep, tree
from probe.search.memory import walk_bytes
from probe.search.normal import Normal


@pytest.mark.parametrize("dims", [(5, 5, 5, 5, 5, 5), (2, 9, 4, 1, 7), (8, 3)])
def test_a_walk_keeps_what_is_foreseen(dims) -> None:
    """Rooms that one walk leaves behind are all that it took at a time."""
    gen, n, C = torch.Generator().manual_seed(0), 40, 30
    x = [torch.randn(60, dim, generator=gen, dtype=torch.float64) for dim in dims]
    every = range(len(dims))
    gram = {(i, j): x[i].T @ x[j] / 60 for i in every for j in every if i <= j}
    cross = [torch.randn(dim, C, generator=gen, dtype=torch.float64) for dim in dims]
    normal = Normal(dims, gram, cross, torch.zeros(C).double(), None, [], 60)
    wanted = [subset for size in range(1, len(dims) + 1) for subset in combinations(every, size)]
    for order in (sorted(every, key=lambda i: dims[i]), sorted(every, key=lambda i: -dims[i])):
        sweep = Sweep(normal, [torch.randn(dim, n, generator=gen) for dim in dims])
        for weight_decay in (0.1, 1.0):
            sweep(tree(wanted, order), weight_decay, lambda subset, logits: None)
        rooms = [*sweep._rooms.values(), *(room for free in sweep._free.values() for room in free)]
        kept = sum(room.nbytes for room in rooms)
        fixed, each = walk_bytes(dims, C)
        assert 0.3 * (fixed + n * each) < kept <= fixed + n * each
