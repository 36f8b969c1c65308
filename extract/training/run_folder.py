"""A training run on disk: what it is, where it stands, what it said. Nothing here knows a network."""

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from extract.checkpoints.tensor_file import write_file, write_tensors
from extract.trained import DESCRIPTION, FORMAT, HEAD, WEIGHTS, sealed
from store.errors import BadValue
from store.json_text import parse_json

RUN, LOG, CHECKPOINT = "run.json", "log.jsonl", "checkpoint.pt"


def open_run(folder: Path, what: Mapping[str, Any], *, write: bool) -> bool:
    """Begin the run, or go on with it; True: it is finished.

    Args:
        what: everything that decides the weights, as JSON values.
        write: this process is the one that writes.
    Raises: BadValue: the folder is another run's, with what differs.
    """
    what = json.loads(json.dumps(what))
    file = folder / RUN
    if file.is_file():
        try:
            before = parse_json(file.read_text())
        except ValueError as error:
            raise BadValue(
                f"{file} cannot be read ({error}): remove the folder {folder}, or give another --name"
            ) from error
        if before != what:
            raise BadValue(
                f"{folder} holds another run, which differs in {'; '.join(_differences(before, what)[:4])}. Give "
                f"another --name, or remove that folder"
            )
    elif write:
        write_file(file, json.dumps(what, indent=1).encode())
    return (folder / DESCRIPTION).is_file()


def _differences(before: Any, now: Any, where: str = "") -> list[str]:
    if isinstance(before, dict) and isinstance(now, dict):
        keys = dict.fromkeys((*before, *now))
        return [
            text for key in keys for text in _differences(before.get(key), now.get(key), f"{where}.{key}".lstrip("."))
        ]
    return [] if before == now else [f"{where}: {_short(before)} there, {_short(now)} now"]


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def save_checkpoint(folder: Path, state: Mapping[str, Any]) -> None:
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    write_file(folder / CHECKPOINT, buffer.getvalue())


def load_checkpoint(folder: Path) -> dict[str, Any] | None:
    """What was saved last; None: the run begins. Tensors and plain values alone. Raises `BadValue`: damaged."""
    file = folder / CHECKPOINT
    if not file.is_file():
        return None
    try:
        with zipfile.ZipFile(file) as archive:  # torch itself reads on where a checksum is wrong
            if wrong := archive.testzip():
                raise zipfile.BadZipFile(f"checksum of {wrong}")  # noqa: TRY301
        state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        raise BadValue(f"{file} cannot be read ({type(error).__name__}); remove it to begin the run again") from error
    return state


def write_log(folder: Path, lines: list[dict[str, Any]]) -> None:
    """Every epoch so far, a line of JSON each: a resumed run takes back what came after its checkpoint."""
    write_file(folder / LOG, "".join(f"{json.dumps(line)}\n" for line in lines).encode())


def publish(
    folder: Path,
    network: Mapping[str, torch.Tensor],
    head: Mapping[str, torch.Tensor] | None,
    description: Mapping[str, Any],
) -> str:
    """Write a backbone, its description last; returns the sha256 of the weights."""
    sha256 = write_tensors(folder / WEIGHTS, network)
    head_sha256 = None if head is None else write_tensors(folder / HEAD, head)
    made = {"format": FORMAT, **description, "weights_sha256": sha256, "head_sha256": head_sha256}
    write_file(folder / DESCRIPTION, json.dumps(sealed(made), indent=1).encode())
    return sha256


def adopt(folder: Path, member: Path) -> bool:
    """Make a finished run the run of `folder`, its description last; False: the folder has a run already."""
    if (folder / RUN).is_file():
        return False
    for name in (WEIGHTS, HEAD, LOG, RUN, DESCRIPTION):
        if (member / name).is_file():
            write_file(folder / name, (member / name).read_bytes())
    return True
