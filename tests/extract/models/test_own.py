"""A user's own module: found where it was said to be, as it is now, and hashed by what its network is made of."""

import io
import sys
import textwrap
import warnings
from pathlib import Path

import pytest
import torch
from torch import nn

from extract.backbones import find_backbone
from extract.config import ExtractConfig
from extract.extractor import networks
from extract.forward.taps import split_name
from extract.images.recipes import Recipe, recipe_text
from extract.loading import load
from store.errors import BadValue, UnknownName


@pytest.fixture(autouse=True)
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """`own(text, path)`: a file below the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = dict(sys.modules)

    def made(text: str, path: str = "mynets.py") -> None:
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(textwrap.dedent(text))

    yield made
    for name in sys.modules.keys() - before.keys():
        if (file := getattr(sys.modules[name], "__file__", None)) and tmp_path in Path(file).parents:
            del sys.modules[name]


NET = """
    from torch import nn
    def tuned():
        torch_seed = __import__("torch").manual_seed(0)
        return nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(12, {}))
"""


def test_an_edit_is_seen_at_once_and_a_comment_is_no_edit(own) -> None:
    own(NET.format(5))
    first = load("mynets:tuned")
    own(NET.format(5) + "    # a comment\n")
    assert load("mynets:tuned").architecture == first.architecture
    own(NET.format(6))  # as long as before, and within the same second
    assert load("mynets:tuned").dim == 6
    assert load("mynets:tuned").architecture != first.architecture


def test_a_helpers_edit_is_seen_at_once(own) -> None:
    own(NET.format("DIM").replace("def", "from helpers import DIM\n    def"))
    dims, codes = [], set()
    for dim in (3, 4):
        own(f"DIM = {dim}", "helpers.py")
        found = load("mynets:tuned", weights=None)
        dims.append(found.dim)
        codes.add(found.architecture)
    assert dims == [3, 4]
    assert len(codes) == 2


def test_modules_of_two_folders_do_not_mix(own) -> None:
    for folder, dim in (("a", 3), ("b", 4)):
        own(f"DIM = {dim}", f"{folder}/helpers.py")
        own(NET.format("DIM").replace("return", "from helpers import DIM\n        return"), f"{folder}/mynets.py")
    for folder, dim in (("a", 3), ("b", 4), ("a", 3)):
        found = load(f"{folder}/mynets:tuned")
        assert (found.name, found.dim) == ("mynets:tuned", dim)
    assert load(f"{Path.cwd()}/b/mynets.py:tuned").dim == 4
    assert split_name("b/mynets:tuned:max")[0] == "b/mynets:tuned"
    assert find_backbone("b/mynets:tuned").name == "mynets:tuned"


@pytest.mark.parametrize("name", ["code", "colorsys", "textwrap", "tests"])
def test_no_other_module_of_its_name_stands_in_its_way(own, name: str) -> None:
    before = sys.modules.get(name)
    own(NET.format(5), f"{name}.py")
    assert load(f"{name}:tuned").dim == 5
    assert before is None or sys.modules[name] is before


def test_our_own_modules_are_not_taken_for_the_users(own) -> None:
    own(NET.format(5).replace("return", "import extract.claims, store.braces\n        return"))
    for name in ("extract.claims", "store.braces"):
        sys.modules.pop(name, None)
    load("mynets:tuned")
    ours = [sys.modules[name] for name in ("extract.claims", "store.braces")]
    own(NET.format(6))
    assert load("mynets:tuned").dim == 6
    assert [sys.modules[name] for name in ("extract.claims", "store.braces")] == ours


def test_a_module_of_python_itself_has_no_such_function() -> None:
    with pytest.raises(UnknownName, match=r"unknown function of sys 'tuned'.*in Python itself"):
        load("sys:tuned")


def test_the_users_folder_does_not_stand_before_libraries_afterwards(own) -> None:
    own(NET.format(5), "elsewhere/mynets.py")
    first = sys.path[0]
    load("elsewhere/mynets:tuned")
    assert sys.path[0] == first
    assert sys.path[-1] == str(Path.cwd() / "elsewhere")


def test_what_cannot_be_found_or_filled_is_told(own) -> None:
    with pytest.raises(BadValue, match=r"No module named 'nonets'.*from .*; FOLDER/module:function one of another"):
        load("nonets:small")
    own(NET.format(5))
    for name in ("nowhere/mynets:tuned", f"{Path.cwd().parent}/mynets:tuned"):
        with pytest.raises(BadValue, match=r"there is no mynets.py in "):  # though one is found from here
            load(name)
    for name, says in (
        (":tuned", "lacks the name before the colon"),
        ("/:tuned", "lacks the name before the colon"),
        ("mynets:", "lacks the name after the colon"),
        ("./mynets.py", r"unknown backbone './mynets.py'; .*FOLDER/module:function"),
        ("net.pth", r"weights go with their network, --backbone NAME --weights net.pth"),
    ):
        with pytest.raises(BadValue, match=says):
            load(name)
    own("import torch\nfrom torch import nn\ndef tuned():\n    with torch.device('meta'):\n"
        "        return nn.Sequential(nn.Flatten(), nn.Linear(3, 2))")  # fmt: skip
    with pytest.raises(BadValue, match=r"1.bias of the network has no values .*--weights FILE"):
        load("mynets:tuned")
    own("from torch import nn\ndef tuned():\n    return nn.Sequential(nn.Flatten(), nn.LazyLinear(3))")
    with pytest.raises(BadValue, match=r"mynets:tuned\(\) gave a network whose 1.weight has no shape yet"):
        load("mynets:tuned")


def script(scale: float, *, frozen: bool = False) -> bytes:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 8, 8), nn.BatchNorm2d(8), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    if frozen:
        net[0].weight.data *= scale
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = torch.jit.script(net if frozen else nn.Sequential(net, nn.Hardtanh(-scale, scale)).eval())
        made = torch.jit.freeze(made) if frozen else made
        file = io.BytesIO()
        torch.jit.save(made, file)
    return file.getvalue()


@pytest.mark.parametrize("frozen", [True, False])
def test_a_script_module_is_known_by_its_code_and_its_constants(own, frozen: bool) -> None:
    own("import torch\ndef tuned():\n    return torch.jit.load('net.pt').eval()")
    codes = []
    for scale in (1.0, 1.0, 2.0):
        Path("net.pt").write_bytes(script(scale, frozen=frozen))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = load("mynets:tuned")
        assert found.dim == 8
        assert not any(parameter.requires_grad for parameter in found.net.parameters())
        codes.append((found.architecture, found.weights_sha256))
    assert codes[0] == codes[1] != codes[2]


def test_a_network_in_bfloat16_has_a_hash(own) -> None:
    own("""
        import torch
        from torch import nn
        class Scaled(nn.Module):
            def __init__(self):
                super().__init__()
                self.scale = nn.Parameter(torch.ones(3).bfloat16())
            def forward(self, x):
                return x.mean((2, 3)) * self.scale
    """)
    assert load("mynets:Scaled").dim == 3


def test_a_preprocessing_that_was_not_stated_is_told_once(own, caplog: pytest.LogCaptureFixture) -> None:
    own(
        NET.format(5)
        + """
    def stated():
        net = tuned()
        net.recipe = "imagenet_224"
        return net
    """
    )
    for name in ("stated", "tuned"):
        config = ExtractConfig(
            backbone=(f"mynets:{name}", f"mynets:{name}:0:max"), dataset=("digits", "openmoji", "cifar10")
        )
        networks(config)
        lines = [record.getMessage() for record in caplog.records]
        assert len(lines) == 2 * (name == "tuned")
    assert lines[0].startswith(
        "mynets:tuned does not say how its images are prepared; they get imagenet_224: resize 256, crop 224, bilinear, "
        "mean 0.485 0.456 0.406, std 0.229 0.224 0.225. Another: net.recipe = NAME"
    )
    assert "they get cifar_224: resize 256, crop 224, bicubic" in lines[1]
    assert recipe_text(Recipe(resize=(8, 9), crop=None)).startswith(
        "a recipe of its own: resize (8, 9), bilinear, mean"
    )
