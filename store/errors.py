"""Every error that a user can cause, in one tree. A command prints its text and exits 2; anything else is a bug.

UserError
├── BadValue            an argument, a file or a setting that cannot be used
│   └── UnknownName     a name that is in no table; the text has the nearest ones
├── BadImage            an image that cannot be read
├── BadFeatures         features that may not be stored: shape, NaN, overflow
├── MissingFeatures     no committed feature set of that name; the text has the command that makes it
├── AmbiguousFeatures   several feature sets of that name
├── SamplesMismatch     two feature sets of different samples
├── DamagedFeatures     what is stored is not what was written
├── FormatError         not written by us, or changed since
│   └── NewerFormat     written by a newer version
└── RootError           the store itself: disk full, read-only, gone
"""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """A mistake or a state of the world that the user can mend; the text says how."""


class BadValue(UserError, ValueError):
    pass


class UnknownName(BadValue):
    """`kind` and `name` are what was asked for, `known` the table, `hint` the command that lists it."""

    def __init__(self, kind: str, name: str, known: Iterable[str], hint: str = "") -> None:
        near = difflib.get_close_matches(name, list(known), n=3, cutoff=0.5)
        nearest = f"; nearest: {', '.join(near)}" if near else ""
        super().__init__(f"unknown {kind} {name!r}{nearest}" + (f"; {hint}" if hint else ""))


class BadImage(UserError):
    pass


class BadFeatures(UserError, ValueError):
    pass


class MissingFeatures(UserError, LookupError):
    pass


class AmbiguousFeatures(UserError, LookupError):
    pass


class SamplesMismatch(UserError, ValueError):
    pass


class DamagedFeatures(UserError, OSError):
    """`what` is what is damaged, in short; the text has what it costs and how to repair it."""

    def __init__(self, text: str, what: str = "") -> None:
        super().__init__(text)
        self.what = what or text


class FormatError(UserError, ValueError):
    pass


class NewerFormat(FormatError):
    pass


class RootError(UserError, OSError):
    pass
