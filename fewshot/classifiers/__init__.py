"""Every classifier, one row each. Data only: importing this costs nothing."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Classifier:
    function: str
    """`module:function` in this folder: (Chunk) -> scores (E, W * Q, W)."""
    says: str
    """One line for --list."""


CLASSIFIERS: dict[str, Classifier] = {
    "nearest": Classifier(
        function="nearest:euclidean", says="the nearest class mean, Euclidean distance, through faiss"
    ),
    "nearest-cosine": Classifier(
        function="nearest:cosine", says="the class mean of the highest cosine, features normalised first, through faiss"
    ),
}
