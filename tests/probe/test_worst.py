from probe.worst import LEAST, worst_group


def test_the_worst_of_those_that_are_large_enough() -> None:
    accuracy = {"one": 0.0, "few": 0.1, "enough": 0.6, "many": 0.9}
    samples = {"one": 1, "few": LEAST - 1, "enough": LEAST, "many": 1000}
    assert worst_group(accuracy, samples) == "enough"
    assert worst_group(accuracy, {"one": 1}) is None
    assert worst_group({}, {}) is None
