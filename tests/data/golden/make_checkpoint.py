"""Write a checkpoint with made-up but reproducible weights, in the upstream file format.

The real checkpoints cannot be fetched everywhere, so correctness of a loader is pinned on
checkpoints of the same key names, shapes and nesting, filled from a counter-based generator.
`keys/<name>.json` holds the names and shapes; `expected/<name>.npz` holds the features that
the upstream model code gives for `image(name)` with these weights (float32, CPU).

    python make_checkpoint.py swav_resnet50 out/swav_400ep_pretrain.pth.tar
"""

import json
import math
import sys
import zlib
from pathlib import Path

import numpy as np

KEYS = Path(__file__).parent / "keys"
RESIDUAL_END = ("bn3.weight", "final_bn.weight", "BN2.weight", "BN3.weight")


def uniform(seed: str, shape: list[int], low: float, high: float) -> np.ndarray:
    """Float32 values in [low, high), the same on every machine for a given seed text."""
    rng = np.random.Generator(np.random.Philox(key=zlib.crc32(seed.encode())))
    return (low + (high - low) * rng.random(tuple(shape), dtype=np.float32)).astype(np.float32)


def fan_in(key: str, shape: list[int]) -> int:
    if not key.endswith("kernel"):  # torch layout: out, in, ...
        return math.prod(shape[1:])
    if key.endswith("out/kernel") or key == "embedding/kernel":  # (heads, dim, out) or HWIO
        return math.prod(shape[:-1])
    return shape[0]


def fill(name: str, key: str, shape: list[int]) -> np.ndarray:
    """The made-up value of one parameter or buffer."""
    seed = f"{name}:{key}"
    if key.endswith("num_batches_tracked"):
        return np.array(1, dtype=np.int64)
    if key.endswith("running_mean"):
        return uniform(seed, shape, -0.2, 0.2)
    if key.endswith("running_var"):
        return uniform(seed, shape, 0.5, 1.5)
    if key in ("cls", "Transformer/posembed_input/pos_embedding"):
        return uniform(seed, shape, -0.4, 0.4)
    if key.endswith(RESIDUAL_END):
        return uniform(seed, shape, 0.1, 0.3)
    if len(shape) == 1:
        low, high = (-0.2, 0.2) if key.endswith("bias") else (0.5, 1.0)
        return uniform(seed, shape, low, high)
    bound = math.sqrt(6 / fan_in(key, shape))  # uniform with the variance of He initialisation
    return uniform(seed, shape, -bound, bound)


def image(size: int) -> np.ndarray:
    """Two normalised images, (2, 3, size, size) float32."""
    return uniform(f"image:{size}", [2, 3, size, size], -2.0, 2.0)


def write(name: str, path: Path) -> None:
    """Write the checkpoint `name` to `path`, nested as upstream nests it."""
    spec = json.loads((KEYS / f"{name}.json").read_text())
    arrays = {key: fill(name, key, shape) for key, shape in spec["keys"].items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npz":
        np.savez(path, **arrays)
        return
    import torch

    def tensors(values: dict[str, np.ndarray]) -> dict[str, "torch.Tensor"]:
        return {key: torch.from_numpy(value.copy() if value.ndim == 0 else value) for key, value in values.items()}

    nested: dict = tensors(arrays)
    for level in reversed(spec["nested_path"]):
        nested = {level: nested}
    if spec.get("heads_path"):
        heads = {key: shape for key, shape in spec["heads"].items() if isinstance(shape, list)}
        inner = nested
        for level in spec["heads_path"][:-1]:
            inner = inner[level]
        filled = {key: fill(name, f"heads.{key}", shape) for key, shape in heads.items()}
        inner[spec["heads_path"][-1]] = tensors(filled)
    torch.save(nested, path)


if __name__ == "__main__":
    write(sys.argv[1], Path(sys.argv[2]))
