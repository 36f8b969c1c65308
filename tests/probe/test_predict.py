import json

import numpy as np
import pytest

from probe.cli import main as probe_main
from probe.predict import main, predict_split
from store.errors import BadValue, FormatError, MissingFeatures


def row_of(capsys, *argv):
    assert probe_main([*argv, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.fixture
def stored(root, make_set):
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(3, 8))
    for split, count in (("train", 200), ("val", 60), ("test", 90)):
        y_N = np.arange(count) % 3
        x = (centres[y_N] + rng.normal(size=(count, 8))).astype(np.float32)
        make_set(x[:, :5], {"label": y_N}, dataset="openmoji", split=split, backbone="a")
        make_set(x[:, 5:], {"label": y_N}, dataset="openmoji", split=split, backbone="b")
    return root.url


@pytest.mark.parametrize("features", ["a,b", "a:l2,b[1:3]:raw", "a:pca3:l2,b"])
@pytest.mark.parametrize("solver", ["lbfgs", "cosine", "ridge"])
def test_a_stored_head_scores_as_its_probe_did(root, stored, capsys, features, solver) -> None:
    row = row_of(capsys, "--features", features, "--store", stored, "--solver", solver)
    found = predict_split(root, row["head"])
    assert found["top1"] == pytest.approx(row["top1"])
    assert len(found["predictions"]) == found["num_scored"] == 90
    assert main(["--head", row["head"], "--store", stored]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[0].startswith("test/000000.png\t")
    assert f"top-1 {100 * row['top1']:.2f} over 90 samples" in err


def test_mistakes(root, stored, capsys) -> None:
    row = row_of(capsys, "--features", "a", "--store", stored)
    with pytest.raises(MissingFeatures, match=rf"no head '0000' .* there is: {row['head']}"):
        predict_split(root, "0000")
    with pytest.raises(BadValue, match=r"has blocks of \[5\] columns, b of \[3\]"):
        predict_split(root, row["head"], features="b")
    with pytest.raises(BadValue, match=r"head name '\.\./\.\./etc/passwd' cannot be stored"):
        predict_split(root, "../../etc/passwd")
    root.put("heads/evil.npz", b"not a head")
    with pytest.raises(FormatError, match=r"heads/evil.npz is not a head"):
        predict_split(root, "evil")


def test_a_pickle_in_a_head_is_refused(root) -> None:
    import io

    buffer = io.BytesIO()
    np.savez(buffer, weight=np.array([{"a": 1}], object), bias=np.zeros(1), info=np.zeros(1, np.uint8))
    root.put("heads/evil.npz", buffer.getvalue())
    with pytest.raises(FormatError, match="is not a head"):
        predict_split(root, "evil")


def test_what_the_head_was_trained_on_is_said(root, stored, capsys, caplog) -> None:
    row = row_of(capsys, "--features", "a", "--store", stored)
    assert "trained_on" not in predict_split(root, row["head"])
    assert not [one for one in caplog.records if one.levelname == "WARNING"]
    for split, count in (("train", 200), ("val", 60)):
        assert main(["--head", row["head"], "--store", stored, "--split", split, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["trained_on"] == {f"openmoji/{split}": count}
        assert f"{count} of these {count} images are among openmoji/{split}, which this head was trained" in caplog.text


def test_the_same_images_under_another_name_are_what_it_was_trained_on(root, make_set, capsys) -> None:
    rng = np.random.default_rng(0)
    for split, images_N in (("train", np.arange(60)), ("test", np.arange(60, 90)), ("new", np.r_[:5, 100:120])):
        y_N = np.arange(len(images_N)) % 3
        x_ND = (np.eye(3)[y_N] + rng.normal(size=(len(y_N), 3))).astype(np.float32)
        make_set(x_ND, {"label": y_N}, dataset="openmoji", split=split, images_N=images_N)
    row = row_of(capsys, "--features", "a", "--store", root.url)
    assert predict_split(root, row["head"], split="new")["trained_on"] == {"openmoji/train": 5}
