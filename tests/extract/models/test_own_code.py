"""The hash of a user's function changes with what it uses, and with nothing else."""

import textwrap
from pathlib import Path

import pytest

from extract.models.own_code import digest_of, parts_of, split_path

CODE = """
    \"\"\"Nets.\"\"\"
    import math
    import torch
    from torch import nn
    from helpers import act, LAYERS
    DEPTH = 3
    TABLE = {"a": 1}
    TABLE["b"] = 2
    NAMES = []
    NAMES.append("x")
    def block(width=8):
        # a comment
        return nn.Sequential(nn.Linear(12, width), act())
    class Net(nn.Module):
        \"\"\"A net.\"\"\"
        def __init__(self, width):
            super().__init__()
            self.body = block(width)
        def forward(self, x):
            \"\"\"Forward.\"\"\"
            return self.body(x.flatten(1)) * TABLE["b"] + len(NAMES)
    def make(depth):
        def built():
            return nn.Sequential(*(Net(12) for _ in range(depth)))
        return built
    tuned = make(DEPTH)
    def other(block=3):
        unrelated = math.pi
        return nn.Identity()
    OTHER = 4
    if __name__ == "__main__":
        print(tuned())
"""
HELPERS = """
    import os
    from torch import nn
    LAYERS = 3
    SLOPE = 0.1
    def act():
        return nn.LeakyReLU(SLOPE)
    def unused():
        return os.sep
"""


@pytest.fixture
def digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(tmp_path))

    def made(code: str = CODE, helpers: str = HELPERS, function: str = "tuned") -> str:
        (tmp_path / "mynets.py").write_text(textwrap.dedent(code))
        (tmp_path / "helpers.py").write_text(textwrap.dedent(helpers))
        return digest_of("mynets", tmp_path / "mynets.py", function)

    return made


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# a comment", "# another comment"),
        ("        # a comment\n", ""),
        ("def block", "\n\n    def block"),
        ("Nets.", "My nets."),
        ("A net.", "Another net."),
        ('        """A net."""\n', ""),
        ("Forward.", "Backward."),
        ("unrelated = math.pi", "unrelated = 3"),
        ("other(block=3)", "other(block=4)"),
        ("OTHER = 4", "OTHER = 5"),
        ("print(tuned())", "print(tuned)"),
        ("import math", "import math, json"),
        ("import act, LAYERS", "import act"),
        ('{"a": 1}', "{\n        'a': 1,\n    }"),
        ("self.body(x.flatten(1)) *", "(self.body(x.flatten(1))) *"),
    ],
)
def test_what_is_not_its_code_does_not_count(digest, old: str, new: str) -> None:
    assert old in CODE
    assert digest(CODE.replace(old, new)) == digest()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("DEPTH = 3", "DEPTH = 4"),
        ("width=8", "width=9"),
        ("Linear(12, width)", "Linear(12, width, bias=False)"),
        ("Net(12)", "Net(13)"),
        ('TABLE["b"] = 2', 'TABLE["b"] = 3'),
        ('NAMES.append("x")', 'NAMES.append("y")'),
        ("x.flatten(1)", "x.flatten(2)"),
        ("make(DEPTH)", "make(DEPTH + 1)"),
        ("from torch import nn", "from torch import nn as nn2\n    nn = nn2"),
        ('{"a": 1}', '{"a": 1.0}'),
    ],
)
def test_what_it_uses_counts(digest, old: str, new: str) -> None:
    assert old in CODE
    assert digest(CODE.replace(old, new)) != digest()


def test_the_hash_is_the_same_on_every_python(digest) -> None:
    assert digest() == "3c736df2d3ec2a01"  # as 3.10 to 3.13 have it


def test_another_file_counts_as_far_as_it_is_used(digest) -> None:
    whole = digest()
    for old, new in (("0.1", "0.2"), ("LeakyReLU", "ELU")):
        assert digest(helpers=HELPERS.replace(old, new)) != whole
    for old, new in (("os.sep", "os.name"), ("LAYERS = 3", "LAYERS = 4  # unused"), ("import os", "import os  # os")):
        assert digest(helpers=HELPERS.replace(old, new)) == whole


@pytest.mark.parametrize(
    ("line", "call"),
    [
        ("import helpers", "helpers.act()"),
        ("import helpers as h", "h.act()"),
        ("from helpers import *", "act()"),
        ("", "__import__('math'); import helpers; helpers.act()"),
        ("try:\n        from helpers import act\n    except ImportError:\n        act = None", "act()"),
    ],
)
def test_every_way_to_import_it_counts(digest, line: str, call: str) -> None:
    code = f"""
    {line}
    def tuned():
        {call}
    """
    assert digest(code, HELPERS.replace("0.1", "0.2")) != digest(code)
    assert digest(code, HELPERS.replace("import os", "import os  # a comment")) == digest(code)


@pytest.mark.parametrize(
    ("line", "counts"),
    [
        ("for depth in (1, {}): LAYERS.append(depth)", True),
        ("if LAYERS: LAYERS.append({})", True),
        ("LAYERS += [{}]", True),
        ("Net.forward = lambda self, x: x * {}", True),
        ("del LAYERS[{}:]", True),
        ("unused = [LAYERS, {}]", False),
        ("for depth in (1, {}): print(depth)", False),
        ("def unused(layers=LAYERS, depth={}): return layers", False),
    ],
)
def test_what_changes_a_thing_that_it_uses_counts(digest, line: str, counts: bool) -> None:
    code = """
    from torch import nn
    LAYERS = [0]
    class Net(nn.Module):
        pass
    LINE
    def tuned():
        return Net(len(LAYERS))
    """
    codes = {digest(code.replace("LINE", line.format(value))) for value in (2, 3)}
    assert (len(codes) == 2) == counts


def test_packages_and_names_that_cannot_be_followed(digest, tmp_path: Path) -> None:
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack/__init__.py").touch()
    (tmp_path / "pack/a.py").write_text("from .b import f as g\ndef tuned():\n    return g()\n")
    digests = set()
    for value in (1, 2):
        (tmp_path / "pack/b.py").write_text(f"def f():\n    return {value}\n")
        digests.add(digest_of("pack.a", tmp_path / "pack/a.py", "tuned"))
    assert len(digests) == 2
    made = "globals()['tuned'] = lambda: {}\nX = {}\n"
    assert digest(made.format(1, 2)) != digest(made.format(1, 3))  # all of it, then


def test_libraries_count_by_their_names_alone(digest) -> None:
    assert [part.file.name for part in parts_of("textwrap", Path(textwrap.__file__), "dedent")] == ["textwrap.py"]


def test_a_folder_may_stand_before_the_module() -> None:
    assert split_path("mynets:tuned") == (None, "mynets:tuned")
    assert split_path("/a/b/mynets.py:tuned") == (Path("/a/b"), "mynets:tuned")
    assert split_path("nets/mynets:tuned") == (Path("nets"), "mynets:tuned")
