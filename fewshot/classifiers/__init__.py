"""Every classifier, one row each. Data only: importing this costs nothing."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Classifier:
    function: str
    """`module:function` in this folder: (Chunk) -> scores (E, m, W), of which a softmax makes probabilities."""
    says: str
    """One line for --list."""


CLASSIFIERS: dict[str, Classifier] = {
    "nearest": Classifier("nearest:euclidean", "nearest class mean, Euclidean (faiss)"),
    "nearest-cosine": Classifier("nearest:cosine", "class mean of highest cosine, of normalised features (faiss)"),
    "protonet": Classifier("nearest:euclidean", "the rule of prototypical networks: softmax of -|q - mean|^2"),
    "matching": Classifier("neighbours:matching", "the rule of matching networks: attention by cosine"),
    "knn": Classifier("neighbours:knn", "votes of the --neighbours nearest support images, Euclidean"),
    "baseline": Classifier("baseline:baseline", "linear head, 100 epochs of SGD as in Chen et al. 2019"),
    "baseline++": Classifier("baseline:baseline_plus_plus", "weight-normalised cosine head of scale 2, the same SGD"),
    "logistic": Classifier("regularised:logistic", "converged multinomial regression of normalised features, L-BFGS"),
    "ridge": Classifier("regularised:ridge", "least squares of normalised features in closed form"),
}
