"""`python -m extract.distill`: students of stored and of live teachers."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from extract.config import ExtractConfig
from extract.datasets import open_dataset
from extract.distill import Lesson, main, teacher_heads
from extract.extractor import run as extract
from extract.images.recipes import RECIPES
from extract.loading import Loaded, load
from extract.trained import describe
from extract.training.batches import Batch
from extract.training.config import TrainConfig
from extract.training.losses import Distillation
from extract.training.teachers import Live, open_stored
from store.errors import BadValue, SamplesMismatch, UnknownName, UserError
from store.root import open_root

TEACHERS = ("a-s0", "a-s1")


def flags(folder: Path, *more: str) -> list[str]:
    return [
        "--student", "conv4w0.25", "--teachers", ",".join(TEACHERS), "--dataset", "digits", "--images", "pixels_16",
        "--epochs", "2", "--batch", "64", "--workers", "2",
        "--backbones", str(folder / "b"), "--store", str(folder / "s"), *more,
    ]  # fmt: skip


@pytest.fixture(scope="module")
def with_views(small_nets: Path) -> Path:
    """The teachers' views 0 to 2 of the training images in the store."""
    folders = {"store": str(small_nets / "s"), "backbones": str(small_nets / "b")}
    exact = {"precision": "fp32", "dtype": "float32"}
    extract(ExtractConfig(backbone=TEACHERS, dataset=("digits",), split=("train",), views=3, **folders, **exact))
    return small_nets


def test_stored_and_live_teachers_say_the_same_of_the_same_crops(with_views: Path) -> None:
    from extract.training.batches import TrainingData, batches, shuffled

    images, cpu = open_dataset("digits", "train"), torch.device("cpu")
    stored = open_stored(open_root(with_views / "s"), "digits", images, TEACHERS, cpu)
    assert stored is not None
    assert len(stored.views) == 2
    live = Live([load(name, backbones=str(with_views / "b")) for name in TEACHERS], RECIPES["pixels_16"], cpu, "fp32")
    data = TrainingData(
        images=images, recipe=RECIPES["pixels_16"], labels=torch.zeros((len(images.samples), 0), dtype=torch.int64),
        order=shuffled(np.arange(200), 32, 5), views=2, seed=stored.seed,
    )  # fmt: skip
    for epoch in (0, 1, 2):
        batch = next(batches(data, epoch, 0, cpu, 2))
        assert batch.view == 1 + epoch % 2
        for mine, theirs in zip(stored(batch), live(batch), strict=True):
            assert torch.allclose(mine, theirs, atol=1e-4)


def test_views_of_other_weights_do_not_teach(with_views: Path) -> None:
    images, loaded = open_dataset("digits", "train"), [load(name, backbones=str(with_views / "b")) for name in TEACHERS]
    stored = open_stored(open_root(with_views / "s"), "digits", images, TEACHERS, torch.device("cpu"))
    assert stored is not None
    stored.check_networks(loaded)
    with pytest.raises(SamplesMismatch, match=r"digits/train/a-s0@.* are features of other weights than a-s1 has now"):
        stored.check_networks(loaded[::-1])


def test_stored_heads_that_fit_their_teachers(with_views: Path, caplog: pytest.LogCaptureFixture) -> None:
    loaded = [load(name, backbones=str(with_views / "b")) for name in TEACHERS]
    config = TrainConfig(
        dataset="digits", name="y", recipe="distill", store=str(with_views / "s"), backbones=str(with_views / "b")
    )
    heads = teacher_heads(Lesson(student="conv4", teachers=TEACHERS, heads=TEACHERS), config, loaded)
    assert [head.info["features"] for head in heads] == [["a-s0"], ["a-s1"]]
    assert not caplog.messages


class Views(torch.nn.Module):
    """A user's network, which counts on how its maps lie in memory."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.view(len(x), -1)


def test_a_users_network_teaches_as_it_is() -> None:
    recipe = RECIPES["pixels_16"]
    own = Loaded(name="own", filled=Views, dim=768, weights_sha256="0", architecture="own", recipe=recipe)
    images = torch.randint(0, 256, (4, 3, 16, 16), dtype=torch.uint8)
    batch = Batch(
        rows=np.arange(4), pixels=[images], labels=torch.zeros(4, 0), groups=None, view=0, epoch=0, step=0
    )  # fmt: skip
    pixels, same = Live([load("pixels"), own], recipe, torch.device("cpu"), "fp32")(batch)
    assert torch.equal(pixels, same)


def test_the_loss_is_that_of_hinton_et_al() -> None:
    rng = torch.Generator().manual_seed(0)
    student, teacher = ([torch.randn(4, 3, generator=rng) for _ in range(2)] for _ in range(2))
    batch = Batch(np.arange(4), [], torch.zeros(4, 0), None, 1, 0, 0)
    loss = Distillation(lambda _batch: teacher, "kl", 2.0)(student, batch)
    want = 0.0
    for s, t in zip(student, teacher, strict=True):
        p, q = (t / 2).softmax(1), (s / 2).softmax(1)
        want += 4 * float((p * (p / q).log()).sum(1).mean()) / 2
    assert float(loss) == pytest.approx(want, rel=1e-5)
    assert float(Distillation(lambda _batch: teacher, "kl", 2.0)(teacher, batch)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("loss", ["kl", "hard", "features"])
def test_a_student_of_stored_teachers_is_a_backbone(with_views: Path, loss: str) -> None:
    main(flags(with_views, "--loss", loss, "--name", f"student-{loss}", "--seed", "0", "--from", "store"))
    made = describe(with_views / f"b/student-{loss}")
    assert made["made"]["views"] == 2
    assert [teacher["name"] for teacher in made["made"]["teachers"]] == list(TEACHERS)
    assert (with_views / f"b/student-{loss}/head.safetensors").is_file() == (loss != "features")
    if loss != "features":
        first, last = map(json.loads, (with_views / f"b/student-{loss}/log.jsonl").read_text().splitlines())
        assert last["loss"] < first["loss"]
        assert "val_top1" in last  # the teachers' classes are the labels'
    assert load(f"student-{loss}", backbones=str(with_views / "b")).dim == 16


def test_live_teachers_need_no_store(small_nets: Path, tmp_path: Path) -> None:
    main([*flags(small_nets, "--name", "student-live", "--from", "live"), "--store", str(tmp_path / "empty")])
    assert describe(small_nets / "b/student-live")["made"]["views"] == "live"


def test_views_that_are_missing_come_with_the_command(small_nets: Path, tmp_path: Path) -> None:
    argv = [*flags(small_nets, "--name", "x", "--from", "store"), "--store", str(tmp_path / "empty")]
    with pytest.raises(BadValue, match=r"has no views of digits/train .* run: python -m extract --backbone a-s0,a-s1"):
        main(argv)
    assert not (small_nets / "b/x").exists()


@pytest.mark.parametrize(
    ("wrong", "kind", "says"),
    [
        (["--teachers", "a-s0,nobody"], UnknownName, "unknown backbone 'nobody'"),
        (
            ["--teachers", "a-s0,random:conv4"],
            BadValue,
            "no classifier; `python -m probe --features random:conv4 --dataset NAME` trains one",
        ),
        (["--student", "conv5"], UnknownName, "unknown architecture 'conv5'; nearest: conv"),
        (["--loss", "mse"], UnknownName, "unknown --loss 'mse'"),
        (["--temperature", "0"], BadValue, "must be above 0"),
        (["--teacher-heads", "a-s0"], BadValue, "1 heads for 2 teachers"),
        (
            ["--teacher-heads", "a-s1,a-s0"],
            BadValue,
            "head a-s1 was trained on a-s1 with other weights than the teacher",
        ),
    ],
)
def test_a_mistake_is_told(small_nets: Path, wrong: list[str], kind: type[UserError], says: str) -> None:
    with pytest.raises(kind, match=says):
        main([*flags(small_nets, "--name", "y"), *wrong])
