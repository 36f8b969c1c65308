"""What a backbone is: an architecture, its weights, how its images are prepared."""

from dataclasses import dataclass

from extract.images.recipes import Recipe
from extract.weights.table import Weights


@dataclass(frozen=True, kw_only=True)
class Backbone:
    name: str
    arch: str
    """A row of extract/models, or `torchvision:NAME`, `timm:NAME`, `module:function`."""
    dim: int | None
    """D, the columns this backbone adds to a concatenation; None: known once the network is built."""
    weights: Weights | None
    recipe: str | Recipe
    """A row of extract/images/recipes.py; `own`: the preprocessing that comes with the network."""
    note: str = ""
    head: str | None = None
    """The file of its classifier, where that is not in the weights: extract/trained.py."""
    head_sha256: str = ""
    """Of that file; empty: not known."""
