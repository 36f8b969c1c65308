import gc
import sys

from probe.report.cli import main
from store.runtime import run_command

if __name__ == "__main__":
    gc.disable()  # many records, all needed to the end: looking for cycles among them takes a tenth of the time
    sys.exit(run_command("probe.report", main))
