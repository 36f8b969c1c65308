"""Seconds and peak memory of loading a training checkpoint, against what upstream does with it.

Upstream (TjuJianyu/RRL src/models.py): build the network, `torch.load(map_location="cpu")`, `load_state_dict`. The file
is a ResNet50w2 in RRL's form: weights, classifier, and the optimizer's momentum, which is as large as the weights.

    python tests/benchmarks/bench_loading.py
"""

import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

REPEATS = 5
WEIGHTS_MIB = 93_968_256 * 4 / 2**20

MAKE = """
import sys, torch
from extract.models.resnet import resnet
state = {f"module.model0.{key}": value for key, value in resnet(width=2).state_dict().items()}
state |= {"module.classifier.linear.weight": torch.rand(1000, 4096), "module.classifier.linear.bias": torch.rand(1000)}
momentum = {i: {"momentum_buffer": value.clone()} for i, value in enumerate(state.values())}
torch.save({"epoch": 90, "state_dict": state, "optimizer": {"state": momentum}, "best_acc": 77.6}, sys.argv[1])
"""
OURS = """
from extract.loading import load
net = load("supervised_resnet50w2", weights=sys.argv[1]).net
"""
UPSTREAM = """
net = resnet(width=2)
state = torch.load(sys.argv[1], map_location="cpu", weights_only=False)["state_dict"]
prefix = "module.model0."
print(net.load_state_dict({key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}))
"""
MEASURED = """
import resource, sys, time
import torch, timm, torchvision
import extract.loading
from extract.models.resnet import resnet
used = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
before, start = used(), time.perf_counter()
{code}
print(time.perf_counter() - start, used() - before, file=sys.stderr)
"""


def measure(code: str, file: Path) -> tuple[float, float]:
    """Seconds and MiB above what the imports took, in a process of its own."""
    command = [sys.executable, "-c", MEASURED.format(code=code), str(file)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds, mib = map(float, done.stderr.splitlines()[-1].split())
    return seconds, mib


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "resnet50w2.pth.tar"
        subprocess.run([sys.executable, "-c", MAKE, str(file)], check=True)
        runs = [(measure(OURS, file), measure(UPSTREAM, file)) for _ in range(REPEATS)]
    ours, upstream = ([statistics.median(run[side][i] for run in runs) for i in (0, 1)] for side in (0, 1))
    print("| loading a ResNet50w2 of RRL's form | ours | upstream's way | ratio |")
    print("|---|---|---|---|")
    print(f"| seconds | {ours[0]:.2f} (sha256 included) | {upstream[0]:.2f} | {ours[0] / upstream[0]:.2f} |")
    peaks = [peak / WEIGHTS_MIB for peak in (ours[1], upstream[1])]
    print(f"| peak memory, in sizes of the weights | {peaks[0]:.2f} | {peaks[1]:.2f} | {peaks[0] / peaks[1]:.2f} |")


if __name__ == "__main__":
    main()
