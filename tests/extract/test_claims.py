from collections.abc import Iterator

import pytest

from extract.claims import Claims, next_block


class Made:
    """A feature set of `count` blocks that several ranks fill."""

    def __init__(self, count: int, stored: set[int] | None = None) -> None:
        self.count, self.stored = count, set(stored or ())

    def missing(self) -> list[int]:
        return [block for block in range(self.count) if block not in self.stored]

    def has(self, block: int) -> bool:
        return block in self.stored


def test_own_blocks_first_then_the_end_of_the_longest_share() -> None:
    assert next_block(range(8), 1, 4) == 1
    assert next_block(range(8), 1, 4, backwards=True) == 5
    assert next_block([0, 4, 8, 2, 6], 1, 4) == 8
    assert next_block([0, 4, 8, 2, 6], 3, 4) == 6, "rank 1 helps too"
    assert next_block([0, 4, 2], 3, 4) is None, "rank 1 is at the only one that can be spared"
    assert next_block([0, 2], 1, 4) is None, "a share's only block is being done by its owner"
    assert next_block([], 0, 1) is None


def all_blocks(claims: Claims) -> Iterator[int]:
    """As the pipeline takes them, one after the other: each is stored when the next is asked for."""
    yield from (block for block, _ in claims.own())
    while found := next(claims.help(), None):
        yield found[0]


def test_ranks_that_take_turns_do_every_block_once() -> None:
    made = Made(23)
    ranks = [all_blocks(Claims([made], rank, 4)) for rank in range(4)]
    done: list[int] = []
    while ranks:
        for blocks in list(ranks):
            found = next(blocks, None)
            if found is None:
                ranks.remove(blocks)
            else:
                made.stored.add(found)
                done.append(found)
    assert sorted(done) == list(range(23))


@pytest.mark.parametrize("count", [4, 8, 23])
def test_ranks_of_equal_speed_do_not_do_each_others_last_block(count: int) -> None:
    """Each has taken its next block when it stores one, as the pipeline reads ahead."""
    made, done = Made(count), []
    claims = [Claims([made], rank, 2) for rank in range(2)]
    own = [iter(one.own()) for one in claims]
    ahead = [next(blocks, None) for blocks in own]
    while any(ahead):
        after = [next(blocks, None) for blocks in own]
        done += [found[0] for found in ahead if found]
        made.stored.update(done)
        ahead = after
    assert [next(one.help(), None) for one in claims] == [None, None]
    assert sorted(done) == list(range(count))


def test_a_lost_rank_costs_one_block() -> None:
    made = Made(40)
    for rank in (0, 1, 3):  # rank 2 never came
        for block in all_blocks(Claims([made], rank, 4)):
            made.stored.add(block)
    assert made.missing() == [2]
    assert [block for block, _ in Claims([made], 2, 4).own()] == [2]


def test_helpers_that_look_at_the_same_time_do_other_blocks() -> None:
    made, done = Made(40, {block for block in range(40) if block % 4 != 2}), []
    helpers = [Claims([made], rank, 4) for rank in (0, 1, 3)]
    while blocks := [found[0] for one in helpers if (found := next(one.help(), None))]:
        made.stored.update(blocks)
        done += blocks
    assert len(done) == len(set(done)) == 9
    assert made.missing() == [2], "the lost rank was at it"


def test_sets_that_lack_different_blocks_share_the_decoding() -> None:
    sets = [Made(4, {0, 1}), Made(4, {1, 3}), Made(4, {0, 1, 2, 3})]
    assert list(Claims(sets, 0, 1).own()) == [(0, [1]), (2, [0, 1]), (3, [0])]


def test_two_processes_of_one_rank_meet_once() -> None:
    made = Made(20)
    first, second = Claims([made], 0, 1), Claims([made], 0, 1)
    one, two = iter(first.own()), iter(second.own())
    work = 0
    while made.missing():
        blocks = [found[0] for found in (next(one, None), next(two, None)) if found]
        if len(blocks) == 2 and blocks[0] == blocks[1]:
            second.backwards = True
        work += len(blocks)
        made.stored.update(blocks)
    assert work <= 22


def test_what_lost_ranks_left_is_everybodys() -> None:
    made = Made(16, set(range(16)) - {1, 2, 3})
    ranks = [all_blocks(Claims([made], rank, 4, orphans=True)) for rank in (0, 2)]
    assert [next(blocks) for blocks in ranks] == [1, 2], "each begins elsewhere"
    made.stored |= {1, 2}
    assert next(ranks[0]) == 3
    made.stored.add(3)
    assert [next(blocks, None) for blocks in ranks] == [None, None]
