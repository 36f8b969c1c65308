"""All rows of one command, printed."""

import json
from typing import IO, Any

from probe import ranks
from probe.config import ProbeConfig
from probe.ood.run import run_objectives
from probe.ood.table import ood_table, summaries
from probe.probing import pick_device, probe
from probe.table import table
from store.root import Root


def run(root: Root, config: ProbeConfig, *, as_json: bool, out: IO[str]) -> int:
    """Probe each `--features` and print a table, or one JSON document: {"rows": [...]}, and the row's own keys beside
    it where there is one row; with an objective {"table": [...]} beside the rows. Only rank 0 prints.
    """
    ranks.start(pick_device(config.device), config.shard)
    try:
        if config.objective:
            rows = run_objectives(root, config)
            document: dict[str, Any] = {"table": summaries(rows), "rows": rows}
        else:
            rows = [row for features in config.features for row in probe(root, config, features)]
            document = {"rows": rows, **(rows[0] if len(rows) == 1 else {})}
        if ranks.is_first():
            text = ood_table(rows) if config.objective else table(rows)
            print(json.dumps(document, indent=1) if as_json else text, file=out)
    finally:
        ranks.stop()
    return 0
