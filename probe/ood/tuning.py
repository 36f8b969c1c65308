"""Which setting and which epoch: chosen on the training groups (iid) or on another group (ood), both from one run.

A run is one (objective, seed). Each tuning takes the run's best accuracy over settings and epochs, the earliest of
equals: TjuJianyu/RFC src/analysis_earlystop.py.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from probe import ranks
from probe.data import Data
from probe.ood.groups import Part
from probe.solvers.members import Heads, Member

TUNINGS = {"iid": "id_val", "ood": "ood_val"}
"""Tuning -> the role it looks at."""
Setting = tuple[float, float, float, int]
"""lr, weight decay, penalty, anneal: what is chosen, beside the epoch."""


@dataclass(frozen=True)
class Best:
    """The head that a tuning chose in a run."""

    accuracy: float
    """On what it was chosen by."""
    k: int
    """Which member."""
    check: int
    """At which check."""
    weight: Tensor
    bias: Tensor


def setting(member: Member) -> Setting:
    return (member.lr, member.weight_decay, member.penalty, member.anneal)


class Watch:
    """Counts what every member has right, in every group of every role, and keeps the best heads so far."""

    def __init__(self, parts: Mapping[str, Part], members: Sequence[Member]) -> None:
        """parts: id_val, test and where there is one ood_val, their data prepared as the heads expect."""
        self.parts, self.members = parts, members
        self.epochs: list[int] = []
        self.total = {role: np.bincount(part.group_N, minlength=len(part.groups)) for role, part in parts.items()}
        self._right: dict[str, list[np.ndarray]] = {role: [] for role in parts}
        self.best: dict[tuple[str, str, int], Best] = {}
        """(tuning, objective, seed) -> Best"""
        self.tunings = [tuning for tuning, role in TUNINGS.items() if role in parts]
        self._runs: dict[tuple[str, int], list[int]] = {}
        for k, member in enumerate(members):
            self._runs.setdefault((member.objective, member.seed), []).append(k)

    def __call__(self, epoch: int, heads: Heads) -> None:
        self.epochs.append(epoch)
        for role, part in self.parts.items():
            self._right[role].append(_right(heads, part.split.data, part.group_N, len(part.groups)))
        for tuning in self.tunings:
            accuracy_K = self.accuracy(TUNINGS[tuning])[-1]
            for (objective, seed), ks in self._runs.items():
                k = ks[int(np.argmax(accuracy_K[ks]))]
                key = (tuning, objective, seed)
                if key not in self.best or accuracy_K[k] > self.best[key].accuracy:
                    self.best[key] = Best(float(accuracy_K[k]), k, len(self.epochs) - 1, *heads.head(k))

    def accuracy(self, role: str) -> np.ndarray:
        """(checks, K): over all samples of the role."""
        whole: np.ndarray = np.stack(self._right[role]).sum(1) / self.total[role].sum()
        return whole

    def by_group(self, role: str, check: int, k: int) -> dict[str, float]:
        """Accuracy of one member at one check in each group."""
        right_G = self._right[role][check][:, k]
        groups = zip(self.parts[role].groups, right_G / self.total[role], strict=True)
        return {name: float(accuracy) for name, accuracy in groups}

    def samples_per_group(self) -> dict[str, int]:
        """Of every group, in the last role that it has."""
        return {
            name: int(count)
            for role, part in self.parts.items()
            for name, count in zip(part.groups, self.total[role], strict=True)
        }

    def grid(self, objective: str) -> list[dict[str, Any]]:
        """Each member of an objective: its setting, and for each tuning the epoch chosen for it alone, tuned, test."""
        test = self.accuracy("test")
        found = []
        for k, member in enumerate(self.members):
            if member.objective != objective:
                continue
            entry: dict[str, Any] = {name: getattr(member, name) for name in member._fields if name != "objective"}
            for tuning in self.tunings:
                tuned = self.accuracy(TUNINGS[tuning])[:, k]
                check = int(np.argmax(tuned))
                entry[tuning] = {
                    "epoch": self.epochs[check],
                    "tuned_top1": float(tuned[check]),
                    "test_top1": float(test[check, k]),
                }
            entry["best_test_top1"] = float(test[:, k].max())
            found.append(entry)
        return found


def _right(heads: Heads, data: Data, group_N: np.ndarray, num_groups: int) -> np.ndarray:
    """(G, K) int64: correct predictions over all ranks; a head that diverged has none."""
    fine_K = heads.weight.isfinite().view(heads.count, -1).all(1)
    right_GK = torch.zeros((num_groups, heads.count), dtype=torch.float64, device=data.device)
    group = torch.from_numpy(group_N[data.positions]).to(data.device)
    for rows, x_BD in data.chunks():
        correct_BK = ((heads.chosen_class(x_BD) == data.y_N[rows][:, None]) & fine_K).double()
        right_GK.index_add_(0, group[rows], correct_BK)
    return ranks.add(right_GK).cpu().numpy().round().astype(np.int64)


def spread(test_ISH: np.ndarray) -> dict[str, float | None]:
    """Standard deviations of test accuracies (initialisations, seeds, settings), one source at a time.

    seed: within an initialisation, of the means over settings. setting: within a run, between the settings that any
    run chose. initialisation: of the means over seeds and settings. Each squared, averaged over the rest, rooted; with
    n - 1; None where there is only one to compare, 0 where every run chose the same setting.
    """

    def part(values: np.ndarray) -> float | None:
        """(..., n) -> the root mean variance along the last axis."""
        return float(np.sqrt(values.var(-1, ddof=1).mean())) if values.shape[-1] > 1 else None

    return {
        "seed": part(test_ISH.mean(2)),
        "setting": part(test_ISH) if test_ISH.shape[2] > 1 else 0.0,
        "initialisation": part(test_ISH.mean((1, 2))),
    }


def spread_of(rows: Sequence[Mapping[str, Any]], tuning: str) -> dict[str, float | None]:
    """`spread` of the rows of several initialisations, each with its `grid` and its `tunings`."""

    def key(entry: Mapping[str, Any]) -> Setting:
        return (entry["lr"], entry["weight_decay"], entry["penalty"], entry["anneal"])

    settings = sorted({key(run) for row in rows for run in row["tunings"][tuning]["runs"]})
    tables = []
    for row in rows:
        test = {(entry["seed"], key(entry)): entry[tuning]["test_top1"] for entry in row["grid"]}
        tables.append([[test[seed, chosen] for chosen in settings] for seed in dict.fromkeys(s for s, _ in test)])
    return spread(np.array(tables))
