"""Files of weights are found where upstream's three layouts put them; what is missing is told with the way to it."""

import hashlib
from pathlib import Path

import pytest

from extract.backbones import BACKBONES
from extract.weights.table import LICENCES, Weights, default_root, find_weights, pin_of, verify_file
from store.errors import BadValue


def weights_of(name: str) -> Weights:
    weights = BACKBONES[name].weights
    assert weights is not None
    return weights


@pytest.mark.parametrize(
    ("name", "places"),
    [
        (
            "vitaugreg_b16_in21k",
            ["supervised_pretrain/vitaugreg", "supervised_pretrain/vit/vitaugreg", "vitaugreg"],
        ),
        (
            "vitaugreg_b16_in21k_in1k",
            ["vitaugreg", "supervised_pretrain/vitaugreg", "supervised_pretrain/vit/vitaugreg"],
        ),
        ("seer_regnet256gf_finetuned", ["self_supervised_pretrain", "seer"]),
        ("swav_resnet50w5", ["self_supervised_pretrain", "swav"]),
        ("supervised_resnet50_run3", ["supervised_pretrain/resnet50"]),
    ],
)
def test_all_layouts_of_upstream_are_searched(
    name: str, places: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    files = {
        "vitaugreg_b16_in21k": "imagenet21k/ViT-B_16.npz",
        "vitaugreg_b16_in21k_in1k": "imagenet21k/imagenet2012/ViT-B_16.npz",
        "seer_regnet256gf_finetuned": "seer_regnet256gf_finetuned.pth",
        "swav_resnet50w5": "swav_RN50w5_400ep_pretrain.pth.tar",
        "supervised_resnet50_run3": "checkpoint_run3.pth.tar",
    }
    monkeypatch.setenv("WEIGHTS_ROOT", str(tmp_path / "nothing"))
    for place in places:
        path = tmp_path / place / "checkpoints" / place / files[name]
        path.parent.mkdir(parents=True)
        path.touch()
        assert find_weights(name, weights_of(name), root=str(tmp_path / place)) == path
        assert find_weights(name, weights_of(name), root=str(tmp_path / place / "checkpoints")) == path
        monkeypatch.chdir(tmp_path / place)  # the user's own checkpoints/ needs no flag
        assert find_weights(name, weights_of(name)).resolve() == path.resolve()


def test_the_runs_may_lie_where_upstreams_scripts_leave_them(tmp_path: Path):
    path = tmp_path / "results/supervised/imagenet/run3/checkpoint.pth.tar"
    path.parent.mkdir(parents=True)
    path.touch()
    assert find_weights("x", weights_of("supervised_resnet50_run3"), root=str(tmp_path)) == path


def test_the_root_is_the_flags_then_the_environments_then_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WEIGHTS_ROOT", str(tmp_path / "env"))
    assert default_root() == tmp_path / "env"
    monkeypatch.delenv("WEIGHTS_ROOT")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert default_root() == tmp_path / "cache" / "motherlode" / "weights"


def test_a_missing_file_is_told_with_address_size_and_place(tmp_path: Path):
    with pytest.raises(BadValue) as error:
        find_weights("vitaugreg_l16_in21k", weights_of("vitaugreg_l16_in21k"), root=str(tmp_path))
    for part in (
        "python -m extract.download vitaugreg_l16_in21k",
        "https://storage.googleapis.com/vit_models/augreg/L_16-i21k-300ep",
        "1243 MiB",
        f"put that file at {tmp_path}/supervised_pretrain/vitaugreg/imagenet21k/ViT-L_16.npz",
        "--weights FILE",
    ):
        assert part in str(error.value)
    with pytest.raises(BadValue, match=r"put that file at .*resnet50.tar.gz and run .*run3  there to unpack it"):
        find_weights("supervised_resnet50_run3", weights_of("supervised_resnet50_run3"), root=str(tmp_path))
    with pytest.raises(
        BadValue, match=r"no weights of conv4: they are not published; put yours at .*fewshot/conv4.tar"
    ):
        find_weights("conv4", weights_of("conv4"), root=str(tmp_path))
    with pytest.raises(BadValue, match=r"--weights .*none.pth: there is no such file"):
        find_weights("conv4", weights_of("conv4"), file=str(tmp_path / "none.pth"))


def test_a_file_must_be_the_one_that_was_pinned(tmp_path: Path):
    path = tmp_path / "x.pth"
    path.write_bytes(b"weights")
    sha256 = hashlib.sha256(b"weights").hexdigest()
    assert verify_file("x", path, "") == verify_file("x", path, sha256[:8]) == sha256
    pin_of(path).write_text(f"{sha256}  x.pth\n")
    assert verify_file("x", path, "") == sha256
    path.write_bytes(b"other")
    with pytest.raises(BadValue, match=f"that of x is {sha256}: it is damaged, or another file; delete it"):
        verify_file("x", path, "")


def test_every_licence_is_explained():
    assert {row.weights.licence for row in BACKBONES.values() if row.weights} <= set(LICENCES)
    assert "non-commercial" in LICENCES[weights_of("seer_regnet64gf").licence]


def test_a_file_may_be_given_below_ones_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine.pth").touch()
    assert find_weights("conv4", weights_of("conv4"), "~/mine.pth") == tmp_path / "mine.pth"
    with pytest.raises(BadValue, match=r"--weights ~/other.pth: there is no such file"):
        find_weights("conv4", weights_of("conv4"), "~/other.pth")
