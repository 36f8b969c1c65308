"""What a user's function is made of, hashed: features are made anew when its code changes, and only then.

Counted are the function, what it uses of its own file (functions, classes, constants), and what it uses of other files
of the user's, wherever they are imported. Comments, blank lines, docstrings, a `__main__` part and whatever it does not
use are not. Read from the source as text: nothing is run here, and this imports no torch.
"""

import ast
import dis
import hashlib
import importlib.util
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import CodeType
from typing import Any

from store.fingerprint import canonical_json
from store.keys import user_path

OURS = ("extract", "store", "probe", "fewshot")
BINDINGS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign, ast.AugAssign)
LIBRARIES = ("site-packages", "dist-packages")


def split_path(name: str) -> tuple[Path | None, str]:
    """`FOLDER/module:function`, `FOLDER/module.py:function` -> the folder, None where there is none, and the rest."""
    path, _, function = name.partition(":")
    folder, slash, module = path.rpartition("/")
    return (user_path(folder or slash) if slash else None), f"{module.removesuffix('.py')}:{function}"


def digest_of(module: str, file: Path, function: str) -> str:
    """16 hex digits over the code that `function` of the module in `file` uses."""
    code = [part.plain() for part in sorted(parts_of(module, file, function), key=lambda part: part.module)]
    return hashlib.sha256(canonical_json(code).encode()).hexdigest()[:16]


def parts_of(module: str, file: Path, function: str) -> "list[Part]":
    """The files that it lies in, and what of each is used."""
    parts: dict[Path, Part] = {file: Part(file, module, {function})}
    if not any(function in part.binds for part in parts[file].statements):
        parts[file].names = None  # it is made in a way that cannot be read
    grown = True
    while grown:
        grown = False
        for part in list(parts.values()):
            for path, name, names in part.uses():
                other = parts.setdefault(path, Part(path, name, set()))
                grown |= other.want(names)
    return list(parts.values())


@dataclass
class Part:
    """One file, and which of its names are used; None: all that it does when it is imported."""

    file: Path
    module: str
    names: set[str] | None
    seen: set[int] = field(default_factory=set)
    """The statements that are used, by their place."""

    @cached_property
    def statements(self) -> "list[Statement]":
        if self.file.suffix != ".py":
            return []
        body = ast.parse(self.file.read_bytes(), str(self.file)).body
        return [Statement(node) for node in body if not _is_text(node) and not _is_main(node)]

    def want(self, names: set[str] | None) -> bool:
        """Add to the names that are used; whether there were new ones."""
        if self.names is None or (names is not None and names <= self.names):
            return False
        self.names = None if names is None else self.names | names
        return True

    def uses(self) -> Iterator[tuple[Path, str, set[str] | None]]:
        """Other files that what is used here imports: file, module, names. Follows the names within this file first."""
        known = set().union(*(statement.binds for statement in self.statements)) if self.statements else set()
        grown = True
        while grown:
            grown = False
            for place, statement in enumerate(self.statements):
                if place in self.seen:
                    continue
                # what does not just bind a name may change what is used: LAYERS.append(3), register(Net), a loop
                touched = statement.binds | (set() if statement.binds_alone else statement.used & known)
                if self.names is None or touched & {*self.names, "*"}:
                    self.seen.add(place)
                    grown = True
                    if self.names is not None and not statement.imports_only:
                        self.names |= statement.used
        for place in self.seen:
            yield from self._imports(self.statements[place])

    def _imports(self, statement: "Statement") -> Iterator[tuple[Path, str, set[str] | None]]:
        for node in ast.walk(statement.node):
            if not isinstance(node, ast.Import | ast.ImportFrom):
                continue
            for alias in node.names:
                bound = alias.asname or alias.name.partition(".")[0]
                if self.names is not None and statement.imports_only and bound not in {*self.names, "*"}:
                    continue
                if isinstance(node, ast.Import):
                    yield from _found(alias.name, None)
                    continue
                base = _absolute(node, self.module, self.file)
                inside = list(_found(f"{base}.{alias.name}", None))
                yield from inside or _found(base, None if alias.name == "*" else {alias.name})

    def plain(self) -> list[Any]:
        """What is used, as JSON values."""
        if self.file.suffix != ".py":
            return [self.module, hashlib.sha256(self.file.read_bytes()).hexdigest()]
        used = [self.statements[place] for place in sorted(self.seen)]
        imports = sorted((one.plain(self.names) for one in used if one.imports_only), key=repr)
        return [self.module, imports, [one.plain(self.names) for one in used if not one.imports_only]]


class Statement:
    """One statement at the top of a file."""

    def __init__(self, node: ast.stmt) -> None:
        self.node = node
        self.imports_only = isinstance(node, ast.Import | ast.ImportFrom)
        self.binds_alone = self.imports_only or isinstance(node, BINDINGS)
        code = compile(ast.Module([node], []), "", "exec", dont_inherit=True)
        star = isinstance(node, ast.ImportFrom) and node.names[0].name == "*"
        self.used = {str(i.argval) for inner in _codes(code) for i in dis.get_instructions(inner) if _is_global(i)}
        self.binds = _names(code) | set(_bases(node)) | ({"*"} if star else set())

    def plain(self, names: set[str] | None) -> Any:
        if self.imports_only and names is not None:
            node: Any = self.node
            kept = [_plain(a) for a in node.names if (a.asname or a.name.partition(".")[0]) in {*names, "*"}]
            return [type(node).__name__, sorted(kept, key=repr), getattr(node, "module", ""), getattr(node, "level", 0)]
        return _plain(self.node)


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield from _codes(const)


def _is_global(instruction: dis.Instruction) -> bool:
    return "GLOBAL" in instruction.opname or instruction.opname.startswith(("LOAD_NAME", "STORE_NAME", "DELETE_NAME"))


def _names(code: CodeType) -> set[str]:
    """Names of the module that a top-level statement binds or removes."""
    wanted = ("STORE_NAME", "DELETE_NAME", "STORE_GLOBAL", "DELETE_GLOBAL")
    return {str(i.argval) for i in dis.get_instructions(code) if i.opname in wanted}


def _bases(node: ast.AST) -> Iterator[str]:
    """Names whose attributes or items a statement sets: CONFIG["depth"] = 3."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
        return
    if isinstance(node, ast.Attribute | ast.Subscript) and not isinstance(node.ctx, ast.Load):
        base: ast.AST = node
        while isinstance(base, ast.Attribute | ast.Subscript):
            base = base.value
        if isinstance(base, ast.Name):
            yield base.id
    for child in ast.iter_child_nodes(node):
        yield from _bases(child)


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _is_main(node: ast.stmt) -> bool:
    test = node.test if isinstance(node, ast.If) else None
    return isinstance(test, ast.Compare) and isinstance(test.left, ast.Name) and test.left.id == "__name__"


def _plain(node: Any) -> Any:
    """A syntax tree without places, docstrings and what versions of Python add or leave out where it is empty."""
    if isinstance(node, list):
        return [_plain(item) for item in node if not (isinstance(item, ast.stmt) and _is_text(item))]
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = {name: value for name, value in ast.iter_fields(node) if value not in (None, [])}
    return [type(node).__name__, {name: _plain(value) for name, value in fields.items()}]


def _absolute(node: ast.ImportFrom, module: str, file: Path) -> str:
    """The module that `from .x import y` names."""
    if not node.level:
        return node.module or ""
    package = module.split(".") if file.name == "__init__.py" else module.split(".")[:-1]
    above = package[: len(package) - node.level + 1]
    return ".".join([*above, *([node.module] if node.module else [])])


def _found(module: str, names: set[str] | None) -> Iterator[tuple[Path, str, set[str] | None]]:
    """A module, where it is the user's."""
    file = module_file(module)
    if file is not None and is_local(file) and module.partition(".")[0] not in OURS:
        yield file, module, names


def module_file(module: str) -> Path | None:
    """Where a module lies; None: it has no file, or is not to be found. Imports nothing."""
    if (loaded := sys.modules.get(module)) is not None:
        place = getattr(loaded, "__file__", None)
        return Path(place) if place else None
    top, _, rest = module.partition(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError, AttributeError):
        return None
    if not rest or spec is None:
        return Path(spec.origin) if spec and spec.has_location and spec.origin else None
    below = [Path(folder, *rest.split(".")) for folder in spec.submodule_search_locations or ()]
    files = (file for path in below for file in (path.with_suffix(".py"), path / "__init__.py"))
    return next((file for file in files if file.is_file()), None)


def is_local(file: Path) -> bool:
    """Whether a file is neither Python's nor an installed package's."""
    places = (Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib"))
    full = file.resolve()
    return not any(part in LIBRARIES for part in full.parts) and not any(map(full.is_relative_to, places))
