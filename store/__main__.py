import sys

from store.cli import main
from store.runtime import run_command

sys.exit(run_command("store", main))
