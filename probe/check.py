"""Whether a run can be: options that contradict each other, or say nothing to the solver, before anything is read."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from probe.limits import flag_of
from probe.solvers import SOLVERS
from store.errors import BadValue, UnknownName

if TYPE_CHECKING:
    from probe.config import ProbeConfig

SELECT = ("val", "kfold", "paper", "oracle")
TUNINGS = ("id_val", "ood_val")
"""What --select may also be with --objective; `val` is then `ood_val`."""
OBJECTIVES = ("erm", "vrex", "groupdro")
READ = sorted({name for solver in SOLVERS.values() for name in solver.reads})
"""Options that some solvers read. To the others they would say nothing, and whoever gives one expects it to count."""
LINEAR = tuple(name for name in SOLVERS if name not in ("cosine", "knn"))
"""Solvers of heads that --sub can average."""


def given(config: "ProbeConfig", name: str) -> bool:
    """Whether an option is another than its default."""
    return bool(getattr(config, name) != getattr(type(config), name))


def check(config: "ProbeConfig") -> None:
    """Raise `BadValue` for options that no run could use, before anything is read."""
    if not 0 < config.tolerance < 1:
        raise BadValue(f"--tolerance {config.tolerance:g}: above 0, and below 1")
    if not 0 < config.temperature < float("inf"):
        raise BadValue(f"--temperature {config.temperature:g}: above 0, and finite")
    check_objective(config)
    check_selection(config.select, config.folds, type(config).folds)
    for name in READ:
        if name not in SOLVERS[config.solver].reads and given(config, name):
            *some, last = [solver for solver, row in SOLVERS.items() if name in row.reads]
            known = f"{', '.join(some)} and {last}" if some else last
            raise BadValue(f"{flag_of(name)} is for --solver {known}: to {config.solver} it says nothing, leave it out")
    if config.shard == "classes" and config.solver not in ("lbfgs", "sgd"):
        raise BadValue(f"--shard classes: heads of lbfgs and sgd can be shared out, not of {config.solver}")
    if config.solver == "sgd" and config.batch == 1 and config.batch_norm != "none":
        raise BadValue("--batch 1: one row has no variance to normalise by; give --batch-norm none, or larger batches")
    if config.decay_batch_norm and config.batch_norm != "affine":
        raise BadValue(f"--decay-batch-norm: --batch-norm {config.batch_norm} has no scale and shift; leave one out")
    if config.memory and config.solver == "lbfgs" and config.precision == "bfloat16":
        raise BadValue("--precision bfloat16 keeps the logits of every row, for which --memory has no room: give one")
    if config.test_dataset and config.objective:
        raise BadValue("--test-dataset is for plain probing: with --objective the groups say what tests")


def check_selection(select: str, folds: int, default: int) -> None:
    """Raise `BadValue`: a number of folds where nothing is chosen by folds."""
    if select != "kfold" and folds != default:
        raise BadValue(f"--folds {folds} is of --select kfold: to --select {select} it says nothing, leave it out")


def check_val(val: str | None, test: str) -> None:
    """Raise `BadValue`: the split that is scored was named to choose on."""
    if val == test:
        raise BadValue(f"--val {val} is the split that is scored: name another, or --val none: a part of train chooses")


def check_objective(config: "ProbeConfig") -> None:
    """Raise `BadValue` where objective, group, solver and selection do not go together."""
    for name in config.objective:
        if name not in OBJECTIVES:
            raise UnknownName("objective", name, OBJECTIVES, f"there are {', '.join(OBJECTIVES)}")
    for flag in ("penalty", "anneal"):
        if given(config, flag) and "vrex" not in config.objective:
            raise BadValue(f"--{flag} is of --objective vrex: add it, or leave out --{flag}")
    able = [name for name, solver in SOLVERS.items() if solver.groups]
    (check_group_run if config.objective else check_plain_run)(config, able)


def check_plain_run(config: "ProbeConfig", able: Sequence[str]) -> None:
    """`able`: solvers of group objectives. Raises `BadValue`."""
    if config.solver in able:
        raise BadValue(f"--solver {config.solver} is for group objectives: add --objective erm, vrex or groupdro")
    if config.select in TUNINGS or config.wilds:
        flag = "--wilds" if config.wilds else f"--select {config.select}"
        raise BadValue(f"{flag} is for --objective; without one, --val names the split to choose on")
    if given(config, "id_val"):
        raise BadValue(f"--id-val {config.id_val} is for --objective; without one, --val names the split to choose on")
    if config.group and "=" in config.group:
        column = config.group.partition("=")[0]
        raise BadValue(
            f"--group {config.group}: which groups train, tune and test is for --objective, such as --objective erm; "
            f"without one give --group {column}, and there is a line for each group"
        )
    elsewhere = config.test_dataset not in (None, config.dataset)
    if config.test == config.train and not elsewhere:
        raise BadValue(f"--test {config.test} is the split that heads are trained on: name one that is not")
    check_val(config.val, "" if elsewhere else config.test)
    if config.sub and config.solver not in LINEAR:
        raise BadValue(f"--sub averages linear heads, not those of {config.solver}: take {', '.join(LINEAR[:3])} ...")
    if config.sub and config.average:
        raise BadValue("--sub trains a head for each block, --average starts one head from such heads: leave one out")


def check_group_run(config: "ProbeConfig", able: Sequence[str]) -> None:
    """`able`: solvers of group objectives. Raises `BadValue`."""
    what = f"--objective {','.join(config.objective)}"
    if not config.group:
        raise BadValue(f"{what} needs --group COLUMN: which target column says what group a sample is of")
    if config.solver not in able:
        raise BadValue(f"{what}: --solver {config.solver} minimises the mean loss alone; take {' or '.join(able)}")
    if config.select not in ("val", *TUNINGS):
        raise BadValue(f"{what}: --select {config.select} chooses without groups; take {' or '.join(TUNINGS)}")
    if config.solver == "balanced" and config.batch is not None and config.batch % 2:
        raise BadValue(f"--batch {config.batch}: half of it is of each of 2 groups, so it must be even")
    if config.solver == "fullbatch" and config.batch is not None:
        raise BadValue("--solver fullbatch takes every sample at every step: leave out --batch, or take balanced")
    if config.views > 1 or config.sub or config.average or config.predictions:
        raise BadValue(f"{what} goes without --views, --sub, --average and --predictions (--wilds writes predictions)")
