"""All rows of one command, printed."""

import json
from typing import IO

from probe import ranks
from probe.config import ProbeConfig
from probe.probing import pick_device, probe
from probe.table import table
from store.root import Root


def run(root: Root, config: ProbeConfig, *, as_json: bool, out: IO[str]) -> int:
    """Probe each `--features` and print a table, or one JSON document: {"rows": [...]}, and the row's own keys beside
    it where there is one row. Only rank 0 prints.
    """
    ranks.start(pick_device(config.device))
    try:
        rows = [row for features in config.features for row in probe(root, config, features)]
        if ranks.is_first():
            document = {"rows": rows, **(rows[0] if len(rows) == 1 else {})}
            print(json.dumps(document, indent=1) if as_json else table(rows), file=out)
    finally:
        ranks.stop()
    return 0
