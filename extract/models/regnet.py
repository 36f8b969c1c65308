"""RegNetY as SEER trained it, on torchvision's own modules: https://arxiv.org/abs/2003.13678.

torchvision's builders have no 64gf, and its and ClassyVision's 256gf preset is another network than SEER's, whose
numbers are in VISSL's regnet256Gf_1.yaml.
"""

import torch
from torch import nn
from torchvision.models.regnet import BlockParams, RegNet


def regnet_y(depth: int, w_0: int, w_a: float, w_m: float, group_width: int) -> nn.Module:
    """A RegNetY without its head; the numbers are the paper's: section 3.4, widths u_j = w_0 + w_a * j."""
    with torch.device("cpu"):  # the widths are computed with tensors
        params = BlockParams.from_init_params(
            depth=depth, w_0=w_0, w_a=w_a, w_m=w_m, group_width=group_width, se_ratio=0.25
        )
    net: nn.Module = RegNet(params)
    net.fc = nn.Identity()
    return net
