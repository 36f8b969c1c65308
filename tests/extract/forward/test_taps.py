import pytest

from extract.forward.taps import OWN, Tap, split_name
from store.errors import BadValue


def test_a_name_says_where() -> None:
    assert split_name("random:resnet10") == ("random:resnet10", OWN)
    assert split_name("supervised_resnet152") == ("supervised_resnet152", OWN)
    assert split_name("vit_b16_in21k:mean") == ("vit_b16_in21k", Tap("", "mean"))
    assert split_name("vit_imagenet21k_B16:cls")[0] == "vit_imagenet21k_B16", "an alias"
    assert split_name("random:resnet10:layer3") == ("random:resnet10", Tap("layer3", "mean"))
    assert split_name("torchvision:resnet18:layer3.0:max") == ("torchvision:resnet18", Tap("layer3.0", "max"))
    assert split_name("mynets:tuned:trunk") == ("mynets:tuned", Tap("trunk", "mean"))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet51", "unknown backbone 'resnet51'"),
        ("random:resnet10:layer3:median", "unknown pooling 'median'"),
        ("random:resnet10:layer3:max:max", "write random:resnet10:LAYER"),
        ("pixels:", "write pixels:LAYER"),
    ],
)
def test_a_name_that_says_too_much(name: str, message: str) -> None:
    with pytest.raises(BadValue, match=message):
        split_name(name)
