import sys

from extract.cli import main
from store.runtime import run_command

sys.exit(run_command("extract", main))
