"""What every command's flags are made of: the parser, and lists by comma, numbers, sizes for its `type=`."""

import argparse
import difflib
from typing import NoReturn

from store.errors import BadValue
from store.tables import printable

UNITS = {"": 1, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}


class Parser(argparse.ArgumentParser):
    """Tells a mistake in one line, with the nearest flags; exits 2 as argparse does."""

    def error(self, message: str) -> NoReturn:
        _, unknown, flags = message.partition("unrecognized arguments: ")
        if unknown:
            near = difflib.get_close_matches(flags.split()[0].partition("=")[0], _flags(self), n=2, cutoff=0.7)
            message = f"unknown: {flags}" + (f"; nearest: {', '.join(near)}" if near else "")
        self.exit(2, f"{self.prog.removeprefix('python -m ')}: {shown(message)}; all flags: {self.prog} --help\n")


def shown(text: str, longest: int = 600) -> str:
    """A text with what a person typed in it, fit for a terminal: no control characters, and cut where it is long."""
    plain = "\n".join(map(printable, text.split("\n")))
    return plain if len(plain) <= longest else f"{plain[: longest // 2]} ... {plain[-longest // 2 :]}"


def check_number(flag: str, value: float, least: float, most: float) -> None:
    """Raise `BadValue` unless `value` lies between the two, both included; NaN does not."""
    if not least <= value <= most:
        if isinstance(value, float):
            text = f"{value:g}"
        else:
            text = str(value) if abs(value) < 1e30 else "of more than 30 digits"
        raise BadValue(f"{flag} {text}: at least {least:g}, at most {most:g}")


def _flags(parser: argparse.ArgumentParser) -> list[str]:
    """Of a parser and its commands."""
    found: dict[str, None] = {}
    for action in parser._actions:  # noqa: SLF001 -- argparse tells them nowhere else
        found |= dict.fromkeys(action.option_strings)
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            found |= dict.fromkeys(flag for command in action.choices.values() for flag in _flags(command))
    return list(found)


def names(text: str) -> tuple[str, ...]:
    """`a, b` -> names without the spaces around them; empty ones are dropped."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def numbers(text: str) -> tuple[float, ...]:
    """`1e-6,1e-5` -> at least one number, finite and not negative."""
    try:
        values = tuple(float(part) for part in names(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of numbers such as 1e-6,1e-5") from None
    if not values or not all(0 <= value < float("inf") for value in values):
        raise argparse.ArgumentTypeError(f"{text!r} must be finite numbers, none negative")
    return values


def integers(text: str) -> tuple[int, ...]:
    """`10,20` -> at least one whole number, none negative."""
    parts = names(text)
    if not parts or not all(part.isdecimal() for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of whole numbers such as 10,20")
    return tuple(int(part) for part in parts)


def size(text: str) -> int:
    """`4GB`, `512MB` -> bytes."""
    number = text.strip().lower().removesuffix("b")
    unit = number[-1:] if number[-1:].isalpha() else ""
    try:
        return int(float(number.removesuffix(unit)) * UNITS[unit])
    except (ValueError, KeyError, OverflowError):
        raise argparse.ArgumentTypeError(f"{text!r} is not a size such as 4GB or 500MB") from None
