import sys

from probe.search.cli import main
from store.runtime import run_command

if __name__ == "__main__":
    sys.exit(run_command("probe.search", main))
