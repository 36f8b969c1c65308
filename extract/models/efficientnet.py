"""EfficientNet-Lite, on timm's own modules: https://arxiv.org/abs/1905.11946, without squeeze-excitation."""

from torch import nn

from store.errors import BadValue


def lite(size: int) -> nn.Module:
    try:
        import timm
    except ImportError as error:
        raise BadValue(f"efficientnet_lite{size} needs timm: run  pip install 'motherlode[demo]'") from error
    return timm.create_model(f"tf_efficientnet_lite{size}", pretrained=False, num_classes=0)
