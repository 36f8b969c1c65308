"""Decode, forward and store, each in its own stage: while one block is written, the next is in the network."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from extract.claims import Claims
from extract.datasets.common import Images
from extract.forward.known import guarded
from extract.forward.precision import Forward
from extract.images.decoding import Decoded, decoded
from extract.images.recipes import Recipe
from extract.reuse import Stored
from store.writer import CONTENT_BYTES, FeatureWriter

clock = time.perf_counter


@dataclass
class Seconds:
    """Where the time went. The three waits add up to the whole; decode and store run beside them."""

    wait_decode: float = 0.0
    forward: float = 0.0
    wait_store: float = 0.0
    store: float = 0.0

    def bottleneck(self) -> str:
        """The stage that the others waited for."""
        return max(
            ("decode", self.wait_decode), ("forward", self.forward), ("store", self.wait_store), key=lambda s: s[1]
        )[0]


@dataclass
class Output:
    """One feature set, its columns of what the network gives, and what it may copy instead."""

    writer: FeatureWriter
    columns: slice
    stored: Stored


@dataclass
class Lane:
    """One backbone on its way through one split: one pass fills the sets of all its taps."""

    outputs: list[Output]
    recipe: Recipe
    forward: Forward
    batch_size: int
    features: np.ndarray = field(default_factory=lambda: np.empty((0, 0), np.float32))
    """(B, sum of D) of the block at hand; NaN where no image went through."""
    pending: list[Decoded] = field(default_factory=list)
    sent: deque[tuple[np.ndarray, Callable[[], np.ndarray]]] = field(default_factory=deque)
    """Batches in the network: rows of the block, and what waits for their features."""
    new: int = 0
    """Of the pending: those that are not copied."""
    filled: int = 0
    extracted: int = 0
    """Images of this run that went through the network."""
    reused: int = 0
    """Images of this run whose features were copied."""

    def missing(self) -> list[int]:
        return sorted(set().union(*(output.writer.missing() for output in self.outputs)))

    def has(self, block: int) -> bool:
        return all(output.writer.has(block) for output in self.outputs)

    def rows(self, block: int) -> range:
        return self.outputs[0].writer.rows(block)

    def write(self, block: int, x_BD: np.ndarray, content: np.ndarray, bad: dict[int, str]) -> bool:
        """Store one block of every set that lacks it. False: another process had stored one first."""
        lack = [output for output in self.outputs if not output.writer.has(block)]
        first = [output.writer.write(block, x_BD[:, output.columns], content, bad) for output in lack]
        return bool(lack) and all(first)

    def start_block(self, rows: int) -> None:
        self.features, self.filled = np.full((rows, self.forward.dim), np.nan, np.float32), 0

    def knows(self, content: bytes) -> bool:
        """Whether the features of these bytes are stored, for every output."""
        return all(content in output.stored for output in self.outputs)

    def add(self, sample: Decoded) -> None:
        self.pending.append(sample)
        self.new += not sample.stored
        if self.new == self.batch_size:
            self.flush()

    def flush(self) -> None:
        """Send what is pending into the network, or copy it; the batch before it is there by then."""
        good = [i for i, sample in enumerate(self.pending) if not (sample.bad or sample.stored)]
        self._copy([i for i, sample in enumerate(self.pending) if sample.stored])
        if good:
            pixels = [self.pending[i].pixels[self.recipe] for i in good]
            with guarded(self.forward.net, f"the network, given {self.batch_size} images,"):
                features = self.forward.start(pixels, self.recipe, self.batch_size)
            self.sent.append((self.filled + np.array(good), features))
            self.collect(leave=1)
        self.filled += len(self.pending)
        self.extracted += self.new
        self.new = 0
        self.pending.clear()

    def _copy(self, known: list[int]) -> None:
        contents = [self.pending[i].content for i in known]
        for output in self.outputs if known else ():
            self.features[self.filled + np.array(known), output.columns] = output.stored.read(contents)
        self.reused += len(known)

    def collect(self, leave: int = 0) -> None:
        """Wait for all batches but the last `leave`."""
        while len(self.sent) > leave:
            rows, features = self.sent.popleft()
            self.features[rows] = features()


@dataclass
class Work:
    """One block and the lanes that lack it."""

    block: int
    rows: range
    lanes: list[Lane]
    content: np.ndarray
    """(B, 16) uint8"""
    bad: dict[int, str] = field(default_factory=dict)

    def add(self, sample: Decoded) -> bool:
        """Hand one sample to every lane, in order; True when the block is whole."""
        first, last = sample.row == self.rows[0], sample.row == self.rows[-1]
        if sample.bad:
            self.bad[sample.row] = sample.bad
        self.content[sample.row - self.rows[0]] = np.frombuffer(sample.content, np.uint8)
        for lane in self.lanes:
            if first:
                lane.start_block(len(self.rows))
            lane.add(sample)
            if last:
                lane.flush()
                lane.collect()
        return last


def fill(
    images: Images,
    lanes: Sequence[Lane],
    claims: Claims,
    *,
    workers: int,
    seconds: Seconds,
    on_sample: Callable[[Decoded], None],
) -> None:
    """Fill the blocks that `claims` hands out. `on_sample` sees every sample and may raise at a bad one.

    What was forwarded when an error came is not stored; blocks that were whole are.
    """

    def blocks(claimed: Iterable[tuple[int, list[int]]]) -> int:
        return _fill_blocks(images, lanes, claims, claimed, workers=workers, seconds=seconds, on_sample=on_sample)

    blocks(claims.own())
    while blocks(claims.help()):
        pass


def _fill_blocks(
    images: Images,
    lanes: Sequence[Lane],
    claims: Claims,
    claimed: Iterable[tuple[int, list[int]]],
    *,
    workers: int,
    seconds: Seconds,
    on_sample: Callable[[Decoded], None],
) -> int:
    """Fill the blocks of `claimed`, which is read ahead; returns how many, once they are stored."""
    works: deque[Work] = deque()
    active: dict[int, list[Lane]] = {}
    block_rows = lanes[0].outputs[0].writer.block_rows
    ahead, done = 2 * max(lane.batch_size for lane in lanes), 0

    def jobs() -> Iterator[tuple[int, list[Recipe]]]:
        for block, need in claimed:
            active[block] = [lanes[i] for i in need]
            rows = lanes[0].rows(block)
            works.append(Work(block, rows, active[block], np.zeros((len(rows), CONTENT_BYTES), np.uint8)))
            recipes = list(dict.fromkeys(lane.recipe for lane in active[block]))
            yield from ((row, recipes) for row in rows)

    def known(row: int, content: bytes) -> bool:
        return all(lane.knows(content) for lane in active[row // block_rows])

    def store(work: Work, features: list[np.ndarray]) -> None:
        start = clock()
        for lane, x_BD in zip(work.lanes, features, strict=True):
            if not lane.write(work.block, x_BD, work.content, work.bad):
                claims.backwards = True
        seconds.store += clock() - start

    with ThreadPoolExecutor(1, "store") as storing:
        stored: Future[None] = storing.submit(lambda: None)
        last = clock()
        for sample in decoded(images, jobs(), workers=workers, ahead=ahead, known=known):
            ready = clock()
            seconds.wait_decode += ready - last
            on_sample(sample)
            whole = works[0].add(sample)
            last = clock()
            seconds.forward += last - ready
            if whole:
                stored.result()  # one block in the network, one on its way to the store
                work, done = works.popleft(), done + 1
                stored = storing.submit(store, work, [lane.features for lane in work.lanes])
                seconds.wait_store += clock() - last
                last = clock()
        stored.result()
        seconds.wait_store += clock() - last
    return done
