"""Which block next, when several processes fill the same feature sets without talking to each other.

A rank does the blocks that are its own (block % size == rank), then helps out: it takes the block that is furthest from
its owner, the second helper the next, and never the first one of a share, which its owner is at. So every block has an
owner, a lost rank leaves one block (orphans.py), and nobody waits. Own blocks may be asked for ahead of time; help is
chosen when the own ones are stored, by what is missing then: chosen ahead, ranks of equal speed would do each other's
last block too.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Protocol, TypeVar


class Filling(Protocol):
    """A feature set that is being written: store/writer.py."""

    def missing(self) -> list[int]: ...
    def has(self, block: int) -> bool: ...


Set = TypeVar("Set", bound=Filling)


def next_block(missing: Collection[int], rank: int, size: int, *, backwards: bool = False) -> int | None:
    """The block that this rank should do next; None: others have what is left."""
    shares: dict[int, list[int]] = {}
    for block in sorted(missing):
        shares.setdefault(block % size, []).append(block)
    own = shares.pop(rank, [])
    if own:
        return own[-1] if backwards else own[0]
    spare = sorted(
        ((ahead, block) for share in shares.values() for ahead, block in enumerate(share) if ahead), reverse=True
    )
    helper = sum(other not in shares for other in range(rank))  # those whose share is done look at the same list
    return spare[helper][1] if helper < len(spare) else None


class Claims:
    """Blocks for this rank and the sets that still lack them: first `own`, then `help` until it has none.

    With `orphans`, whoever had the rest is lost: all that is missing is this rank's own, and each begins elsewhere.
    """

    def __init__(self, sets: Sequence[Set], rank: int, size: int, *, orphans: bool = False) -> None:
        self._sets, self._rank, self._size, self._orphans = sets, rank, size, orphans
        self.backwards = False
        """Set when another process turns out to be at the same blocks: going the other way, the two meet once."""

    def own(self) -> Iterator[tuple[int, list[int]]]:
        """Yield (block, indices into the sets) of this rank's share."""
        missing = self._missing()
        if self._orphans:
            every = sorted(set().union(*missing))
            start = len(every) * self._rank // self._size
            found = ((block, self._need(block, missing)) for block in (*every[start:], *every[:start]))
            yield from ((block, need) for block, need in found if need)
            return
        left = {block for block in set().union(*missing) if block % self._size == self._rank}
        while (block := next_block(left, self._rank, self._size, backwards=self.backwards)) is not None:
            left.remove(block)
            if need := self._need(block, missing):
                yield block, need

    def help(self) -> Iterator[tuple[int, list[int]]]:
        """Yield one block of another's share, or of the own where one got lost; nothing where there is none to do."""
        missing = self._missing()
        while (block := next_block(set().union(*missing), self._rank, self._size)) is not None:
            if need := self._need(block, missing):
                yield block, need
                return
            missing = self._missing()  # it was stored just now

    def _missing(self) -> list[set[int]]:
        return [set(one.missing()) for one in self._sets]

    def _need(self, block: int, missing: Sequence[set[int]]) -> list[int]:
        return [i for i, blocks in enumerate(missing) if block in blocks and not self._sets[i].has(block)]
