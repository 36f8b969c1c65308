import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from extract.cli import main
from extract.datasets import open_dataset
from extract.extractor import run
from extract.forward.network import Network
from extract.forward.precision import Forward
from extract.loading import load
from store import open_features
from store.errors import BadImage, BadValue, MissingFeatures
from store.records import read_records
from store.root import open_root
from tests.extract.conftest import NET, config, stored_bytes


def test_features_are_those_of_the_network_on_each_image(pictures: Path, tmp_path: Path) -> None:
    from torchvision import transforms

    made = run(config(pictures, tmp_path, backbone=(NET, "pixels"), dtype="float32", batch_size=7))
    assert [(row.backbone, row.num_samples, row.extracted, row.state) for row in made] == [
        (NET, 40, 40, "extracted"),
        ("pixels", 40, 40, "extracted"),
    ]
    (record,) = read_records(open_root(tmp_path), "extract")
    assert record.metrics["images"] == 40, "both were fed from one decode"
    x = open_features(str(tmp_path), f"folder:{pictures}", "train", f"{NET},pixels")
    loaded = load(NET)
    recipe = loaded.recipe
    chain = transforms.Compose(
        [
            transforms.Resize(recipe.resize),
            transforms.CenterCrop(recipe.crop),
            transforms.ToTensor(),
            transforms.Normalize(recipe.mean, recipe.std),
        ]
    )
    for row in (0, 17, 39):
        image = Image.open(pictures / "train" / x.samples.ids[row])
        with torch.no_grad():
            want = loaded.net(chain(image)[None])[0].numpy()
        got = x.read(slice(row, row + 1))[0, : loaded.dim]
        assert np.corrcoef(want, got)[0, 1] > 0.9999
        small = np.asarray(image.resize((16, 16), Image.Resampling.BILINEAR), np.float32).transpose(2, 0, 1) / 255
        assert np.abs(x.read(slice(row, row + 1))[0, loaded.dim :] - small.ravel()).max() <= 1.01 / 255


def test_the_manifest_tells_what_the_backbone_costs(pictures: Path, tmp_path: Path) -> None:
    run(config(pictures, tmp_path, backbone=(NET, "pixels")))
    macs = 64 * 9 * (3 * 84**2 + 64 * (42**2 + 21**2 + 10**2))
    for name, cost in ((NET, (113_088, 2 * macs)), ("pixels", (0, 0))):
        (part,) = open_features(str(tmp_path), f"folder:{pictures}", "train", name).parts
        told = part.manifest.provenance
        assert told["source"] == f"folder:{pictures}"
        assert (told["parameters"], told["flops_per_image"]) == cost, "counted before folding"


def test_layers_and_poolings_of_one_backbone_go_through_it_once(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = (NET, f"{NET}:2", f"{NET}:2:max", f"{NET}:max")
    for name in names:
        run(config(pictures, tmp_path / "apart", backbone=(name,), precision="fp32"))
    calls: list[int] = []
    start = Forward.start
    monkeypatch.setattr(Forward, "start", lambda self, *a: (calls.append(len(a[0])), start(self, *a))[1])
    made = run(config(pictures, tmp_path / "together", backbone=names, precision="fp32"))
    assert calls == [16] + [4] * 10, "the check, then every image once"
    assert [(row.backbone, row.dim, row.extracted) for row in made] == [
        (name, dim, 40) for name, dim in zip(names, (1600, 64, 64, 64), strict=True)
    ]
    assert stored_bytes(tmp_path / "together") == stored_bytes(tmp_path / "apart")
    parts = open_features(str(tmp_path / "together"), f"folder:{pictures}", "train", ",".join(names)).parts
    where = [(part.manifest.parts["layer"], part.manifest.parts["pooling"]) for part in parts]
    assert where == [("features", "avg"), ("2", "mean"), ("2", "max"), ("3", "max")]
    assert all(part.manifest.precision["cosine"] > 0.999 for part in parts)


def test_the_first_run_decides_about_compiling(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(torch, "compile", lambda net, **_options: (asked.append(net), net)[1])
    run(config(pictures, tmp_path, compile="on"))
    assert len(asked) == 1
    (part,) = open_features(str(tmp_path), f"folder:{pictures}", "train", "pixels").parts
    assert part.manifest.provenance["compiled"] is True
    manifest = next(tmp_path.rglob("manifest.json"))
    manifest.unlink()
    next(manifest.parent.rglob("c.1.0")).unlink()
    (row,) = run(config(pictures, tmp_path, compile="off"))
    assert (row.extracted, len(asked)) == (16, 2), "a resumed run does as the first"
    manifest.unlink()
    monkeypatch.setattr(torch, "compile", None)
    (row,) = run(config(pictures, tmp_path, backbone=("pixels",), split=("test",), compile="off"))
    assert row.state == "extracted"


def test_backbones_that_do_not_fit_beside_each_other_take_turns(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    names = ("pixels", NET, "random:conv6")
    run(config(pictures, tmp_path / "together", backbone=names))
    monkeypatch.setattr("extract.forward.packing.free_memory", lambda device: 3.5e6)
    alive: list[int] = []
    everything: list[weakref.ref[Network]] = []
    ready = Network.ready

    def counted(net: Network, *args: object) -> Forward:
        everything.extend(weakref.ref(net) for _ in range(net not in [ref() for ref in everything]))
        alive.append(sum(ref() is not None for ref in everything))
        return ready(net, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(Network, "ready", counted)
    with caplog.at_level("INFO"):
        made = run(config(pictures, tmp_path / "packed", backbone=names, views=2))
    assert max(alive) == 2, "the first pack is gone when the second begins"
    assert f"2 passes over the images, as 0.0 GB may be filled: pixels,{NET} | random:conv6" in caplog.text
    assert [row.backbone for row in made] == ["pixels"] * 2 + [NET] * 2 + ["random:conv6"] * 2
    assert {row.state for row in made} == {"extracted"}
    assert stored_bytes(tmp_path / "together").items() <= stored_bytes(tmp_path / "packed").items()


def test_a_second_run_extracts_nothing(pictures: Path, tmp_path: Path) -> None:
    run(config(pictures, tmp_path))
    before = stored_bytes(tmp_path)
    (row,) = run(config(pictures, tmp_path))
    assert (row.extracted, row.state) == (0, "complete")
    assert stored_bytes(tmp_path) == before
    assert len(list(read_records(open_root(tmp_path), "extract"))) == 1


def test_batch_size_workers_and_company_change_no_feature(pictures: Path, tmp_path: Path) -> None:
    fingerprints = set()
    for name, options in {
        "a": {},
        "b": {"batch_size": 5, "workers": 1},
        "c": {"backbone": ("pixels", NET)},
    }.items():
        fingerprints.add(run(config(pictures, tmp_path / name, **options))[0].fingerprint)
    assert len(fingerprints) == 1
    x = [open_features(str(tmp_path / name), f"folder:{pictures}", "train", "pixels").read() for name in "abc"]
    assert np.array_equal(x[0], x[1])
    assert np.array_equal(x[0], x[2])


def test_the_first_run_decides_the_batch_size(pictures: Path, tmp_path: Path) -> None:
    from extract.extractor import Seen, open_writer

    root, images = open_root(tmp_path), open_dataset(f"folder:{pictures}", "train")
    net = Network(lambda: load("pixels"), torch.device("cpu"), "auto")
    seen = Seen(net, 0, net.loaded.recipe, "pixels")
    first = open_writer(root, config(pictures, tmp_path, batch_size=3), images, seen)
    assert first.choices == {"batch_size": 3, "compiled": False}
    run(config(pictures, tmp_path, batch_size=8))
    x = open_features(root, f"folder:{pictures}", "train", "pixels")
    assert x.parts[0].manifest.provenance["batch_size"] == 3


def broken(pictures: Path, copy: Path) -> Path:
    """A copy of the pictures in which one JPEG is cut in half; returns the file."""
    for file in pictures.rglob("*.jpg"):
        target = copy / file.relative_to(pictures)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.read_bytes())
    cut = copy / "train/dog/03.jpg"
    cut.write_bytes(cut.read_bytes()[:300])
    return cut


def test_a_bad_image_stops_the_run_with_its_name(pictures: Path, tmp_path: Path) -> None:
    broken(pictures, tmp_path / "images")
    with pytest.raises(BadImage, match=r"train, row 23, 'dog/03.jpg': .*Truncated.*--skip-bad"):
        run(config(tmp_path / "images", tmp_path / "store"))
    (row,) = run(config(tmp_path / "images", tmp_path / "store", skip_bad=True))
    assert (row.bad, row.state) == (1, "extracted")
    assert row.extracted == 24, "the first block was kept"
    x = open_features(str(tmp_path / "store"), f"folder:{tmp_path / 'images'}", "train", "pixels")
    assert len(x) == 39
    assert "dog/03.jpg" not in x.samples.ids
    assert "Truncated" in x.parts[0].manifest.bad_rows["23"]


def test_no_readable_image_at_all_commits_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "images/train/cat"
    folder.mkdir(parents=True)
    (folder / "1.jpg").write_bytes(b"no image")
    with pytest.raises(BadValue, match="not one of its 1 images can be read; nothing is committed"):
        run(config(tmp_path / "images", tmp_path / "store", skip_bad=True))
    assert not list((tmp_path / "store").rglob("manifest.json"))


def test_a_picture_that_changed_under_its_name_goes_through_every_network_again(pictures: Path, tmp_path: Path) -> None:
    broken(pictures, tmp_path / "images").write_bytes((pictures / "train/dog/03.jpg").read_bytes())
    run(config(tmp_path / "images", tmp_path / "store"))
    changed = tmp_path / "images/train/cat/00.jpg"
    data = bytearray(changed.read_bytes())
    data[-3] ^= 1  # same size
    changed.write_bytes(data)
    run(config(tmp_path / "images", tmp_path / "store", backbone=(NET,)))
    with pytest.raises(MissingFeatures, match=r"lists other samples now than when .*/train/pixels was extracted"):
        open_features(str(tmp_path / "store"), f"folder:{tmp_path / 'images'}", "train", f"pixels,{NET}")
    (made,) = run(config(tmp_path / "images", tmp_path / "store"))
    assert (made.extracted, made.reused) == (1, 39)
    assert len(open_features(str(tmp_path / "store"), f"folder:{tmp_path / 'images'}", "train", f"pixels,{NET}")) == 40


def test_the_hdf5_backend_holds_the_same(pictures: Path, tmp_path: Path) -> None:
    run(config(pictures, tmp_path / "zarr"))
    run(config(pictures, tmp_path / "hdf5", backend="hdf5"))
    x = [
        open_features(str(tmp_path / name), f"folder:{pictures}", "train", "pixels").read() for name in ("zarr", "hdf5")
    ]
    assert np.array_equal(*x)
    assert list((tmp_path / "hdf5").rglob("x.h5"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--backbone", "efficientnet_lite9"], "unknown backbone 'efficientnet_lite9'; nearest: efficientnet_lite"),
        (["--backbone", "pixels", "--dataset", "openmoij"], "unknown dataset 'openmoij'; nearest: openmoji"),
        (["--backbone", "pixels", "--dataset", "folder:/no/such"], "/no/such does not exist"),
        (["--backbone", "pixels", "--split", "trian"], "unknown split of openmoji 'trian'; nearest: train"),
        (["--backbone", "pixels", "--batch-size", "0"], "--batch-size 0: at least 1, at most 1e+06"),
        (["--backbone", "pixels", "--precision", "int8"], "--precision is 'int8'; auto, fp32, bf16, fp16"),
        (["--backbone", "pixels", "--backend", "hdf6"], "unknown backend 'hdf6'; nearest: hdf5; there are: zarr, hdf5"),
        (["--backbone", "pixels", "--dtype", "int8"], "--dtype is 'int8'; float16 or float32"),
        (["--backbone", "pixels", "--compile", "yes"], "--compile is 'yes'; auto, on, off"),
        (["--backbone", "random:conv4:9"], "unknown layer '9'"),
        (["--backbone", "pixels", "--device", "cuda:99"], "device 'cuda:99' cannot be used here"),
        (["--backbone", "pixels,conv4", "--weights", "x.pth"], "--weights is for one backbone, not 2"),
    ],
)
def test_mistakes_exit_2_without_a_traceback(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from store.runtime import run_command

    assert run_command("extract", main, [*arguments, "--store", str(tmp_path / "store")]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.out == ""
    assert not list(tmp_path.rglob("manifest.json"))
