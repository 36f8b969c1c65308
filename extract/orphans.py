"""What a rank that died leaves: the first block of its share, which nobody else may take while it may be at it.

At the end of its own work a rank looks on for as long as two blocks take here. Where nothing comes any more, whoever
had the rest is lost, and those who look on do it.
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import replace

from extract.config import ExtractConfig
from extract.extractor import run
from extract.outcome import Made
from store.keys import FeatureKey
from store.root import Root, open_root
from store.runtime import size
from store.writer import rows_of_block

log = logging.getLogger("extract")

LEAST_SECONDS, UNKNOWN_SECONDS = 5.0, 60.0
"""To look on without anything new: at least, and where this rank has done no block by which to tell."""


def run_to_the_end(config: ExtractConfig) -> list[Made]:
    """As `extractor.run`; with several ranks, what a lost one left too."""
    start = time.monotonic()
    made = run(config)
    if size() == 1 or not _left(made):
        return made
    root = open_root(config.store)
    blocks = max(
        (-(-row.extracted // (config.block_rows or rows_of_block(row.num_samples))) for row in made), default=0
    )
    patience = max(LEAST_SECONDS, 2 * (time.monotonic() - start) / blocks) if blocks else UNKNOWN_SECONDS
    log.info("waiting for other processes, which are at the rest of %d feature sets", len(_left(made)))
    if not _look_on(root, made, patience):
        return [replace(row, state="complete") if row.state == "unfinished" else row for row in made]
    log.warning("nothing has come for %.0f s: another process was lost, and its rest is done here", patience)
    again = run(config, orphans=True)
    for old, new in zip(made, again, strict=True):
        new.extracted, new.reused = old.extracted + new.extracted, old.reused + new.reused
        new.state = new.state if old.state == "unfinished" else old.state
    return again


def _left(made: Sequence[Made]) -> list[Made]:
    return [row for row in made if row.state == "unfinished"]


def _look_on(root: Root, made: Sequence[Made], patience: float) -> bool:
    """Wait while blocks of others come; True: none has come for so many seconds, and some are missing."""
    folders = [f"{FeatureKey(row.dataset, row.split, row.backbone).folder}/{row.fingerprint}" for row in _left(made)]
    before, since = -1, time.monotonic()
    while folders := [folder for folder in folders if root.size(f"{folder}/manifest.json") is None]:
        stored = sum(len(root.list(f"{folder}/{array}")) for folder in folders for array in ("x", "content"))
        if stored != before:
            before, since = stored, time.monotonic()
        elif time.monotonic() - since >= patience:
            return True
        time.sleep(min(patience / 10, 5.0))
    return False
