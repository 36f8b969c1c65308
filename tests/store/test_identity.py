"""The mutation suite: change one thing at a time, and see that no stale feature can be read for it."""

import json
from dataclasses import replace

import numpy as np
import pytest

from store import open_features
from store.errors import AmbiguousFeatures, BadValue, SamplesMismatch
from store.features import FeatureSet
from store.fingerprint import Fingerprint, canonical_json
from store.keys import FeatureKey
from store.samples import Samples, Targets
from store.writer import FeatureWriter, content_hash

COUNT = 20
IDS = [f"{i:02d}.png" for i in range(COUNT)]
SIZES = np.arange(100, 100 + COUNT)
RECIPE = {
    "decoder": "pillow", "resize": 256, "crop": 224, "interpolation": "bicubic", "antialias": True,
    "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], "view": 0, "seed": 0,
}  # fmt: skip


def samples(ids=IDS, sizes=SIZES, label=None, classes=("a", "b"), split="train") -> Samples:
    index = np.arange(len(ids)) % 2 if label is None else label
    return Samples("toy", split, ids, sizes, {"label": Targets("label", classes, index)})


def fingerprint(listed: Samples | None = None, **changes) -> Fingerprint:
    base = Fingerprint(
        weights="3f" * 32, architecture="resnet50", layer="features", pooling="avg", recipe=RECIPE, precision="fp32",
        dtype="float32", samples=(listed or samples()).id,
    )  # fmt: skip
    return replace(base, **changes)


def write(root, made: Fingerprint, listed: Samples, *, backbone="a", images=None, **options) -> FeatureSet:
    key = FeatureKey("toy", listed.split, backbone)
    writer = FeatureWriter(root, key, made, listed, 2, **options)
    seed = int(made.hex[:8], 16)
    hashes = [content_hash((images or {}).get(name, name).encode()) for name in listed.ids]
    content = np.frombuffer(b"".join(hashes), np.uint8).reshape(-1, 16)
    for block in writer.missing():
        rows = writer.rows(block)
        x = np.random.default_rng([seed, block]).normal(size=(len(rows), 2))
        writer.write(block, x, content[rows.start : rows.stop])
    assert writer.commit({"batch_size": options.get("choices")})
    return FeatureSet(root, writer.folder)


def swapped(values) -> list:
    return [values[1], values[0], *values[2:]]


MUTATIONS = {
    "one weight": {"weights": "3f" * 31 + "40"},
    "the architecture": {"architecture": "resnet50w2"},
    "the layer": {"layer": "layer3"},
    "the pooling": {"pooling": "max"},
    "the dtype": {"dtype": "float16"},
    "the precision class": {"precision": "bf16"},
    "the recipe's meaning": {"recipe_version": 2},
    "the decoder": {"recipe": RECIPE | {"decoder": "torchcodec"}},
    "the resize": {"recipe": RECIPE | {"resize": 232}},
    "the crop": {"recipe": RECIPE | {"crop": 225}},
    "the interpolation": {"recipe": RECIPE | {"interpolation": "bilinear"}},
    "antialiasing": {"recipe": RECIPE | {"antialias": False}},
    "the mean": {"recipe": RECIPE | {"mean": [0.485, 0.456, 0.4060001]}},
    "the std": {"recipe": RECIPE | {"std": [0.228, 0.224, 0.225]}},
    "the view": {"recipe": RECIPE | {"view": 1}},
    "the view's seed": {"recipe": RECIPE | {"seed": 1}},
    "a new step": {"recipe": RECIPE | {"flip": True}},
    "a name": {"samples": samples(["new.png", *IDS[1:]]).id},
    "a file size": {"samples": samples(sizes=SIZES + (np.arange(COUNT) == 3)).id},
    "one sample fewer": {"samples": samples(IDS[:-1], SIZES[:-1]).id},
    "one sample more": {"samples": samples([*IDS, "x"], [*SIZES, 1]).id},
    "the order": {"samples": samples(swapped(IDS), swapped(SIZES)).id},
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_each_change_forks_a_fingerprint(name) -> None:
    assert fingerprint(**MUTATIONS[name]).hex != fingerprint().hex


def test_all_fingerprints_differ() -> None:
    made = [fingerprint(), *(fingerprint(**change) for change in MUTATIONS.values())]
    assert len({one.hex for one in made}) == len(MUTATIONS) + 1


@pytest.mark.parametrize("name", [name for name in MUTATIONS if "samples" not in MUTATIONS[name]])
def test_the_old_set_is_never_served_for_the_new_one(root, name) -> None:
    old = write(root, fingerprint(), samples())
    new = fingerprint(**MUTATIONS[name])
    writer = FeatureWriter(root, FeatureKey("toy", "train", "a"), new, samples(), 2)
    assert not writer.committed
    assert writer.missing() == [0], "all is to be extracted again"
    write(root, new, samples())
    view = new.parts()["recipe"]["view"]
    if view:
        assert open_features(root, "toy", "train", "a", view=view).fingerprints == [new.hex]
        assert open_features(root, "toy", "train", "a").fingerprints == [old.manifest.fingerprint]
        return
    part = next(iter(MUTATIONS[name]))
    with pytest.raises(AmbiguousFeatures, match=f"2 feature sets are named toy/train/a .* they differ in {part}:"):
        open_features(root, "toy", "train", "a")
    assert open_features(root, "toy", "train", f"a@{new.hex[:6]}").fingerprints == [new.hex]


LISTS = {
    "a name": (samples(["new.png", *IDS[1:]]), "first at row 0: '00.png' against 'new.png'"),
    "a file size": (samples(sizes=SIZES + (np.arange(COUNT) == 3)), "at row 3: '03.png' has 103 bytes against 104"),
    "one fewer": (samples(IDS[:-1], SIZES[:-1]), "one has 20 samples, the other 19"),
    "the order": (samples(swapped(IDS), swapped(SIZES)), "first at row 0: '00.png' against '01.png'"),
}


@pytest.mark.parametrize("name", LISTS)
def test_sets_of_other_samples_do_not_meet(root, name) -> None:
    listed, difference = LISTS[name]
    write(root, fingerprint(), samples())
    write(root, fingerprint(listed), listed, backbone="b")
    with pytest.raises(SamplesMismatch, match=f"toy/train/a and toy/train/b list other samples: .*{difference}"):
        open_features(root, "toy", "train", "a,b")


def test_a_fingerprint_of_other_samples_is_refused(root) -> None:
    with pytest.raises(BadValue, match="the fingerprint belongs to other samples"):
        FeatureWriter(root, FeatureKey("toy", "train", "a"), fingerprint(), samples(swapped(IDS)), 2)


def test_an_image_changed_under_its_name_is_caught(root) -> None:
    write(root, fingerprint(), samples())
    write(root, fingerprint(weights="other"), samples(), backbone="b", images={"07.png": "repainted"})
    message = r"saw different image bytes under the same names: 1 images, first at row 7: '07.png'. Remove the older"
    with pytest.raises(SamplesMismatch, match=message):
        open_features(root, "toy", "train", "a,b")
    assert open_features(root, "toy", "train", "a").shape == (COUNT, 2)


def test_a_changed_label_extracts_nothing_and_changes_the_targets_hash(root) -> None:
    stored = write(root, fingerprint(), samples())
    before = stored.samples.target().hash
    files = {path: path.stat().st_mtime_ns for path in root.path(stored.folder).rglob("*")}
    relabelled = samples(label=np.where(np.arange(COUNT) == 5, 0, np.arange(COUNT) % 2))
    writer = FeatureWriter(root, FeatureKey("toy", "train", "a"), fingerprint(relabelled), relabelled, 2)
    assert writer.committed
    assert writer.missing() == []
    assert writer.commit({})
    assert {path: path.stat().st_mtime_ns for path in root.path(stored.folder).rglob("*")} == files
    now = open_features(root, "toy", "train", "a").samples.target()
    assert (now.index[5], now.hash != before) == (0, True)
    assert samples(classes=("a", "c")).target().hash != before, "a renamed class is another target"


def test_what_is_only_told_forks_nothing(root) -> None:
    """Batch size, block size and backend are in the manifest or the first run's choices, not in the fingerprint."""
    one = write(root, fingerprint(), samples(), choices={"batch_size": 1}, block_rows=7)
    for options in ({"choices": {"batch_size": 64}}, {"block_rows": 3}, {"backend": "hdf5"}):
        writer = FeatureWriter(root, FeatureKey("toy", "train", "a"), fingerprint(), samples(), 2, **options)
        assert writer.committed
        assert writer.folder == one.folder


def test_ranks_fork_nothing(root) -> None:
    """Three ranks, each with its share of the missing blocks, make the set that one rank makes."""
    whole = write(root, fingerprint(), samples(), backbone="whole", block_rows=4)
    ranks = [
        FeatureWriter(root, FeatureKey("toy", "train", "a"), fingerprint(), samples(), 2, block_rows=4)
        for _ in range(3)
    ]
    shares = [writer.missing()[rank::3] for rank, writer in enumerate(ranks)]
    committed = []
    for writer, share in zip(ranks, shares, strict=True):
        for block in share:
            rows = writer.rows(block)
            content = whole.content.read(slice(rows.start, rows.stop))
            writer.write(block, whole.read(slice(rows.start, rows.stop)), content)
        committed.append(writer.commit({}))
    assert committed == [False, False, True]
    made = FeatureSet(root, ranks[0].folder).manifest
    assert (made.fingerprint, made.checksums, made.content) == (
        whole.manifest.fingerprint, whole.manifest.checksums, whole.manifest.content,
    )  # fmt: skip


def test_the_hash_does_not_hang_on_the_order_of_fields() -> None:
    backwards = dict(reversed(RECIPE.items()))
    assert fingerprint(recipe=backwards).hex == fingerprint().hex
    assert canonical_json({"b": 1, "a": [1.5, None]}) == '{"a":[1.5,null],"b":1}'
    assert json.loads(canonical_json(fingerprint().parts())) == fingerprint().parts()


def test_the_fingerprint_of_format_1() -> None:
    """A stored set's folder: this number never changes."""
    made = Fingerprint(
        weights="w", architecture="a", layer="features", pooling="avg", recipe={"crop": 224, "mean": [0.5]},
        precision="fp32", dtype="float16", samples="s",
    )  # fmt: skip
    assert made.hex == "29a87f4b57b0fed9895f0b9f78304ae1f0bbd9a29790bb9c6a5c690cab520b6b"
