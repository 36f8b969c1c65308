import pytest

from probe.report.naming import backbones_of, brief, family_of
from probe.report.rows import newest, read_results
from store.records import Record, write_record


def test_probe_and_fewshot_become_results(root, probed, fewshot) -> None:
    write_record(root, probed("a,b", 0.75, solver="sgd", epochs=5, seed=3, backbone_parameters=70))
    write_record(root, fewshot({"a": 0.5}))
    skipped: list = []
    found = read_results(root, skipped)
    assert skipped == []
    values = [result.values for result in found]
    assert [(v["features"], v["method"], v["setting"], v["accuracy"]) for v in values] == [
        ("a,b", "sgd epochs=5", "top-1", 0.75),
        ("a", "nearest", "5-way 1-shot", 0.5),
        ("a", "nearest", "5-way 5-shot", 0.6),
    ]
    assert (values[0]["low"], values[0]["n"], values[0]["seed"], values[0]["seconds"]) == (0.73, 1000, 3, 1.5)
    assert (values[0]["family"], values[0]["blocks"], values[0]["parameters"]) == ("cat", 2, 70)
    assert found[0].get("config.epochs") == 5
    assert found[0].get("versions.torch") == "2.6"
    assert found[0].get("config.nothing") is None


def test_an_objective_is_a_result_for_each_tuning(root, probed) -> None:
    def tuned(top1: float) -> dict:
        return {"top1": top1, "top1_std": 0.03, "id_val": 0.9, "ood_val": 0.8, "runs": [{}] * 5, "worst_group": "2"}

    record = probed("a,b", 0.7, objective=("vrex",), solver="balanced", label="CAT2", group="hospital")
    metrics = {**record.metrics, "objective": "vrex", "tunings": {"iid": tuned(0.6), "ood": tuned(0.7)}}
    write_record(root, Record(**{**vars(record), "metrics": metrics}))
    skipped: list = []
    iid, ood = read_results(root, skipped)
    assert skipped == []
    assert (iid.values["method"], iid.values["setting"], iid.values["val"]) == (
        "vrex balanced",
        "top-1, IID-tuned",
        0.9,
    )
    assert (ood.values["label"], ood.values["accuracy"], ood.values["std"], ood.values["val"]) == (
        "CAT2",
        0.7,
        0.03,
        0.8,
    )
    assert ood.values["high"] == pytest.approx(0.7 + 2.776 * 0.03 / 5**0.5)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"top1": "high"}, "accuracy 'high' is no share"),
        ({"top1": float("nan")}, "accuracy nan is no share"),
        ({"top1": 75.0}, "accuracy 75.0 is no share"),
        ({"top1": True}, "accuracy True is no share"),
        ({"top1_interval": 3}, "cannot unpack"),
        ({"features": ""}, "name no backbone"),
    ],
)
def test_a_foreign_record_is_noted_and_left_out(root, probed, change, why) -> None:
    write_record(root, probed("a", 0.5))
    good = probed("a", 0.5)
    write_record(root, Record(**{**vars(good), "id": "odd", "metrics": {**good.metrics, **change}}))
    write_record(root, Record(kind="fewshot", config={"dataset": "toy"}, metrics={}))
    root.put("records/probe/broken.json", b"{")
    root.put("records/probe/list.json", b"[]")
    root.put("records/probe/deep.json", b"[" * 100_000)
    skipped: list = []
    assert len(read_results(root, skipped)) == 1
    told = dict(skipped)
    assert len(told) == 5
    assert "fields are missing" in told["records/probe/list.json"]
    assert any(why in text for text in told.values())
    assert any("'results' is missing" in text for text in told.values())


def test_costs_of_a_concatenation_are_those_of_its_backbones(root, probed, fewshot) -> None:
    write_record(root, probed("a", 0.5, backbone_parameters=70, backbone_flops_per_image=7))
    write_record(root, probed("b", 0.5, backbone_parameters=30))
    write_record(root, fewshot({"a,b:l2": 0.5, "a,c": 0.5}))
    told = {r.values["features"]: (r.values["parameters"], r.values["flops"]) for r in read_results(root, [])}
    assert told == {"a": (70, 7), "b": (30, None), "a,b:l2": (100, None), "a,c": (None, None)}


def test_a_later_run_of_the_same_replaces_an_earlier(root, probed) -> None:
    for day, options in enumerate(({}, {}, {"seed": 1}, {"solver": "ridge"}, {"device": "cpu", "top1": 0.625})):
        write_record(root, probed("a", options.pop("top1", 0.5), created=f"2026010{day + 1}T000000Z", **options))
    found = newest(read_results(root, []))
    assert [(r.values["method"], r.values["seed"], r.values["accuracy"]) for r in found] == [
        ("lbfgs", 1, 0.5), ("ridge", 0, 0.5), ("lbfgs", 0, 0.625),
    ]  # fmt: skip


def test_a_later_run_that_says_nothing_of_groups_does_not_hide_them(root, probed) -> None:
    write_record(
        root, probed("a", 0.5, created="20260101T000000Z", group="g", worst_group="x", worst_group_accuracy=0.1)
    )
    write_record(root, probed("a", 0.5, created="20260102T000000Z"))
    assert [result.values["worst_group"] for result in newest(read_results(root, []))] == ["x"]


@pytest.mark.parametrize(
    ("features", "short", "names", "family"),
    [
        ("a", "a", ["a"], "single"),
        ("lite0,lite1,lite2,pixels", "lite{0..2}, pixels", ["lite0", "lite1", "lite2", "pixels"], "cat"),
        ("seer_32gf,seer_64gf", "seer_{32,64}gf", ["seer_32gf", "seer_64gf"], "cat"),
        ("swav,swav_seed5", "swav{,_seed5}", ["swav", "swav_seed5"], "cat"),
        ("a:l2,b[0:9]:raw", "a:l2, b[0:9]:raw", ["a", "b"], "cat"),
        ("random:resnet18", "random:resnet18", ["random:resnet18"], "single"),
        ("a,b (sub, logits)", "a, b (sub)", ["a", "b"], "cat-sub"),
        ("a,b (sub, probabilities)", "a, b (sub, probabilities)", ["a", "b"], "cat-sub"),
        ("ensemble(a,b)", "ensemble of a, b", ["a", "b"], "ensemble"),
        ("swav_resnet50w2", "swav_resnet50w2", ["swav_resnet50w2"], "wide"),
        ("supervised_2resnet50", "supervised_2resnet50", ["supervised_2resnet50"], "wide"),
        ("resnet50w2[0:2],resnet50w2[2:4] (sub, logits)", "resnet50w2[{0:2,2:4}] (sub)", ["resnet50w2"], "wide-sub"),
        ("resnet50_distill5", "resnet50_distill5", ["resnet50_distill5"], "distill"),
    ],
)  # fmt: skip
def test_names(features, short, names, family) -> None:
    assert brief(features) == short
    assert backbones_of(features) == names
    assert family_of(features) == {"family": family, "blocks": len(names)}


def test_two_readings_of_sgd_are_two_methods(root, probed) -> None:
    new = probed("a:raw", 0.75, solver="sgd")
    old = {k: v for k, v in new.config.items() if k != "decay_batch_norm"}
    for record in (new, Record(**{**vars(new), "config": old, "id": "0" * 16})):
        write_record(root, record)
    found = read_results(root, [])
    assert {result.values["method"] for result in found} == {"sgd", "sgd decay-batch-norm=True"}
    assert len(newest(found)) == 2
