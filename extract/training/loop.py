"""The supervised loop: one for pretraining, fine-tuning and distillation.

A run that was stopped goes on where its last checkpoint is, to the same bits on a CPU with as many threads: batches,
crops and the random numbers of a step depend on (seed, epoch, step) alone. Under torchrun each rank takes its part of
every batch (extract/ranks.py).
"""

import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from extract import ranks
from extract.datasets.common import Images
from extract.forward.precision import DTYPES, pick_precision
from extract.images.transforms import normalise
from extract.training.batches import Batch, TrainingData, batches, evaluation
from extract.training.classifier import Classifier
from extract.training.optimising import average_into, make_optimizer, set_lr
from extract.training.recipes import TrainingRecipe, learning_rate
from extract.training.run_folder import CHECKPOINT, load_checkpoint, save_checkpoint, write_log
from store.errors import BadValue
from store.runtime import Progress

log = logging.getLogger("extract")

Publish = Callable[[int, "dict[str, Tensor]", "dict[str, Any]"], None]
"""(epochs, state of the network, line of the log) -> written as a backbone."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """Everything that a run needs; what decides its weights is checked by the caller (run_folder.open_run)."""

    net: Classifier
    recipe: TrainingRecipe
    data: TrainingData
    objective: nn.Module
    """(outputs of the heads, Batch) -> loss: extract/training/losses.py."""
    folder: Path
    device: torch.device
    publish: Publish
    """Called by the first rank, with the weights of snapshots and the last ones."""
    snapshots: tuple[int, ...] = ()
    """Epochs after which the weights are kept."""
    val: tuple[Images, Tensor] | None = None
    """Images and (N,) labels, -1 where they are not asked."""
    seed: int = 0
    precision: str = "auto"
    ema: float | None = None
    """Decay of an exponential moving average, whose weights are then those that are kept."""
    workers: int = 2
    checkpoint_seconds: float = 300.0


@dataclass
class State:
    """What a checkpoint holds beside the network."""

    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    average: dict[str, Tensor] = field(default_factory=dict)
    epoch: int = 0
    step: int = 0
    """Steps of the epoch that are done."""
    sums: Tensor = field(default_factory=lambda: torch.zeros(3))
    """Of the epoch so far, of this rank: loss times images, correct answers, images."""
    lines: list[dict[str, Any]] = field(default_factory=list)
    """The log."""


def train(job: Job) -> list[dict[str, Any]]:
    """Run every epoch that is left; returns the log, one line an epoch.

    Raises: BadValue: the loss is not finite; the checkpoint of the last good state stays.
    """
    if job.recipe.batch < ranks.size():
        raise BadValue(f"--batch {job.recipe.batch} for {ranks.size()} processes: at least one image each")
    torch.manual_seed(job.seed)
    job.net.to(job.device).to(memory_format=torch.channels_last)
    net, state = _prepare(job)
    saved = time.monotonic()
    steps = len(job.data.order(0))
    with Progress(steps * job.recipe.epochs, job.folder.name, "steps") as progress:
        progress.update(state.epoch * steps + state.step)
        while state.epoch < job.recipe.epochs:
            start = time.perf_counter()
            net.train()
            set_lr(state.optimizer, learning_rate(job.recipe, state.epoch, len(job.snapshots)))
            for batch in batches(job.data, state.epoch, state.step, job.device, job.workers):
                _step(job, net, state, batch)
                progress.update(1)
                if time.monotonic() - saved >= job.checkpoint_seconds and state.step < steps:
                    _save(job, state)
                    saved = time.monotonic()
            _end_epoch(job, state, steps, time.perf_counter() - start)
            if time.monotonic() - saved >= job.checkpoint_seconds and state.epoch < job.recipe.epochs:
                _save(job, state)
                saved = time.monotonic()
    ranks.wait()
    (job.folder / CHECKPOINT).unlink(missing_ok=True)
    return state.lines


def _prepare(job: Job) -> tuple[nn.Module, State]:
    """The network as it is stepped, and where the run stands."""
    precision = pick_precision(job.precision, job.device) if job.device.type == "cuda" else job.precision
    state = State(
        make_optimizer(job.net, job.recipe), torch.amp.GradScaler(job.device.type, enabled=precision == "fp16")
    )
    exact = torch.float32 if job.device.type == "mps" else torch.float64  # which MPS does not have
    state.sums = state.sums.to(job.device, exact)
    if job.ema is not None:
        state.average = {name: value.detach().clone() for name, value in job.net.state_dict().items()}
    job.objective.to(job.device)
    if (found := load_checkpoint(job.folder)) is not None:
        job.net.load_state_dict(found["net"])
        job.objective.load_state_dict(found["objective"])
        state.optimizer.load_state_dict(found["optimizer"])
        state.scaler.load_state_dict(found["scaler"])
        for name, value in found["average"].items():
            state.average[name].copy_(value)
        state.epoch, state.step, state.lines = found["epoch"], found["step"], found["lines"]
        state.sums.copy_(found["sums"] if ranks.rank() == 0 else torch.zeros(3))
        log.info("%s goes on at epoch %d, step %d", job.folder.name, state.epoch + 1, state.step)
    if ranks.size() == 1:
        return job.net, state
    cuda = job.device.type == "cuda"
    net: nn.Module = job.net
    if cuda:
        net = nn.SyncBatchNorm.convert_sync_batchnorm(net)  # type: ignore[no-untyped-call]
    return nn.parallel.DistributedDataParallel(net, [job.device] if cuda else None), state


def _step(job: Job, net: nn.Module, state: State, batch: Batch) -> None:
    """One step of the optimizer. Raises `BadValue`: the loss is not finite."""
    torch.manual_seed(_mixed(job.seed, batch.step, ranks.rank()))  # of dropout: a resumed run draws the same
    x_B3HW = normalise(batch.pixels[0], job.data.recipe)
    with autocast(job.device, job.precision):
        outputs = net(x_B3HW)
    loss = job.objective([one.float() for one in outputs], batch)
    if batch.step == getattr(job.objective, "forget_at", None):
        state.optimizer.state.clear()  # its momentum is of another objective
    state.optimizer.zero_grad(set_to_none=True)
    state.scaler.scale(loss).backward()
    state.scaler.step(state.optimizer)
    state.scaler.update()
    if job.ema is not None:
        average_into(state.average, job.net, job.ema)
    state.step += 1
    state.sums[0] += loss.detach() * len(batch.rows)
    state.sums[2] += len(batch.rows)
    if batch.labels.shape[1]:
        state.sums[1] += (outputs[0].detach().argmax(1) == batch.labels[:, 0]).sum()
    if job.device.type == "cpu" or state.step % 50 == 0:
        _check(job, state)


def _mixed(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)


def _check(job: Job, state: State) -> None:
    """Raise unless the epoch's loss is finite so far."""
    if not math.isfinite(float(state.sums[0])):
        kept = job.folder / CHECKPOINT
        good = f"the last good state is {kept}" if kept.is_file() else "it had not got to its first checkpoint"
        raise BadValue(
            f"{job.folder.name}: the loss is not finite in epoch {state.epoch + 1}, step {state.step}, at lr "
            f"{state.optimizer.param_groups[0]['lr']:g}: it diverged; {good}. Give a smaller --lr, and another --name"
        )


def _end_epoch(job: Job, state: State, steps: int, seconds: float) -> None:
    _check(job, state)
    loss, correct, images = ranks.add(state.sums).tolist()
    loss, correct = loss / images, correct / images
    line: dict[str, Any] = {"epoch": state.epoch + 1, "lr": state.optimizer.param_groups[0]["lr"], "loss": loss}
    if job.data.labels.shape[1]:
        line["train_top1"] = 100 * correct
    kept = _kept(job, state)
    if job.val is not None:
        line["val_top1"] = accuracy(job, kept, *job.val)
    line |= {"seconds": round(seconds, 3), "steps_per_second": round(steps / seconds, 2)}
    state.epoch, state.step = state.epoch + 1, 0
    state.sums.zero_()
    state.lines.append(line)
    if ranks.rank() == 0:
        write_log(job.folder, state.lines)
        if state.epoch in job.snapshots or state.epoch == job.recipe.epochs:
            job.publish(state.epoch, kept, line)


def _kept(job: Job, state: State) -> dict[str, Tensor]:
    return state.average if job.ema is not None else job.net.state_dict()


def _save(job: Job, state: State) -> None:
    """Write a checkpoint, unless what it would hold is not finite."""
    _check(job, state)
    if ranks.rank() != 0 or not all(bool(value.isfinite().all()) for value in job.net.parameters()):
        return
    save_checkpoint(
        job.folder,
        {
            "net": job.net.state_dict(),
            "objective": job.objective.state_dict(),
            "optimizer": state.optimizer.state_dict(),
            "scaler": state.scaler.state_dict(),
            "average": state.average,
            "epoch": state.epoch,
            "step": state.step,
            "sums": state.sums,
            "lines": state.lines,
        },
    )


@contextmanager
def autocast(device: torch.device, precision: str) -> Iterator[None]:
    """Mixed precision; on a CPU `auto` is float32."""
    chosen = "fp32" if precision == "auto" and device.type != "cuda" else pick_precision(precision, device)
    with torch.autocast(device.type, dtype=DTYPES[chosen], enabled=chosen != "fp32"):
        yield


@torch.no_grad()
def accuracy(job: Job, weights: dict[str, Tensor], images: Images, labels_N: Tensor) -> float:
    """Top-1, per cent, with `weights`, on the images that have a label; all ranks together.

    Several heads for one target, those of a student, answer by their mean.
    """
    rows = np.flatnonzero(labels_N.numpy() >= 0)
    own = {name: value.clone() for name, value in job.net.state_dict().items()} if job.ema is not None else None
    job.net.load_state_dict(weights)
    job.net.eval()
    correct = torch.zeros(1, device=job.device)
    for part, pixels in evaluation(images, rows, job.data.recipe, job.recipe.batch, job.workers):
        with autocast(job.device, job.precision):
            outputs = job.net(normalise(pixels.to(job.device), job.data.recipe))
        asked = outputs[:1] if job.data.labels.shape[1] == len(outputs) else outputs  # a head for each target, or alike
        guess = torch.stack([one.float() for one in asked]).mean(0).argmax(1)
        correct += (guess == labels_N[torch.from_numpy(part)].to(job.device)).sum()
    if own is not None:
        job.net.load_state_dict(own)
    return 100 * float(ranks.add(correct)) / len(rows)
