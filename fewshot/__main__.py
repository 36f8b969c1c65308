import sys

from fewshot.cli import main
from store.runtime import run_command

sys.exit(run_command("fewshot", main))
