from store.told import overlap_text


def test_what_two_splits_share() -> None:
    assert overlap_text({"train/test": 3, "novel": 1}) == [
        "3 images of train and test are the same, or of one unit",
        "1 images of novel are the same, or of one unit",
    ]
    assert overlap_text({}) == []
