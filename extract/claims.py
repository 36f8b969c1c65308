"""Which block next, when several processes fill the same feature sets without talking to each other.

A rank does the blocks that are its own (block % size == rank), then helps out: it takes the last block of the longest
share that is left, and never the only one of a share, which its owner is at. So every block has an owner, a lost rank
costs one block, and nobody waits.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Protocol, TypeVar


class Filling(Protocol):
    """A feature set that is being written: store/writer.py."""

    def missing(self) -> list[int]: ...
    def has(self, block: int) -> bool: ...


Set = TypeVar("Set", bound=Filling)


def next_block(missing: Collection[int], rank: int, size: int, *, backwards: bool = False) -> int | None:
    """The block that this rank should do next; None: the others have what is left."""
    shares: dict[int, list[int]] = {}
    for block in sorted(missing):
        shares.setdefault(block % size, []).append(block)
    own = shares.pop(rank, [])
    if own:
        return own[-1] if backwards else own[0]
    longest = max(shares.values(), key=len, default=[])
    return longest[-1] if len(longest) > 1 else None


class Claims:
    """Blocks for this rank and the sets that still lack them, until nothing is left to do here."""

    def __init__(self, sets: Sequence[Set], rank: int, size: int) -> None:
        self._sets, self._rank, self._size = sets, rank, size
        self.backwards = False
        """Set when another process turns out to be at the same blocks: going the other way, the two meet once."""

    def __iter__(self) -> Iterator[tuple[int, list[int]]]:
        """Yield (block, indices into `sets`)."""
        given: set[int] = set()  # these are on their way into the store
        left, looked = [set(one.missing()) for one in self._sets], True
        while True:
            block = next_block(set().union(*left), self._rank, self._size, backwards=self.backwards)
            if block is None:
                if looked:
                    return
                left, looked = [set(one.missing()) - given for one in self._sets], True
                continue
            need = [i for i, blocks in enumerate(left) if block in blocks and not self._sets[i].has(block)]
            for blocks in left:
                blocks.discard(block)
            looked = False
            given.add(block)
            if need:
                yield block, need
