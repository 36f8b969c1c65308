import pytest
import torch
from torch import nn

from extract.forward.folding import fold_batchnorm
from extract.loading import load


def randomise(net: nn.Module) -> None:
    torch.manual_seed(0)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 1.5)


@pytest.mark.parametrize(("name", "size", "folds"), [("efficientnet_lite0", 96, 49), ("random:resnet18", 64, 20)])
def test_the_folded_network_is_the_same_function(name: str, size: int, folds: int) -> None:
    net = load(name).net
    if name.startswith("random"):
        randomise(net)
    x = torch.rand(2, 3, size, size)
    with torch.inference_mode():
        want = net(x)
        assert fold_batchnorm(net) == folds
        torch.testing.assert_close(net(x), want, rtol=1e-4, atol=1e-5 * float(want.abs().max()))


def test_what_cannot_be_folded_stays() -> None:
    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.norm(self.conv(x)) if x.sum() > 0 else self.conv(x)

    class Shared(Branching):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.conv(x)
            return self.norm(y) + y

    for net in (Branching().eval(), Shared().eval()):
        assert fold_batchnorm(net) == 0
        assert isinstance(net.norm, nn.BatchNorm2d)
