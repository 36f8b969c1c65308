"""The peer: Baseline and Baseline++ one episode after the other, as Chen et al. 2019 do it, in plain PyTorch."""

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.nn.utils.parametrizations import weight_norm


class CosineHead(nn.Module):
    """Class-wise weight norm over normalised features, scale 2 (up to 200 classes)."""

    def __init__(self, weights_WD: torch.Tensor) -> None:
        super().__init__()
        way, dim = weights_WD.shape
        linear = nn.Linear(dim, way, bias=False)
        linear.weight.data.copy_(weights_WD)
        self.linear = weight_norm(linear, "weight", dim=0)
        self.scale = 2 if way <= 200 else 10

    def forward(self, x_nD: torch.Tensor) -> torch.Tensor:
        return self.scale * self.linear(x_nD / (x_nD.norm(dim=1, keepdim=True) + 1e-5))


def linear_head(weights_WD: torch.Tensor, bias_W: torch.Tensor) -> nn.Module:
    head = nn.Linear(weights_WD.shape[1], weights_WD.shape[0])
    head.weight.data.copy_(weights_WD)
    head.bias.data.copy_(bias_W)
    return head


def train(head: nn.Module, support_nD: torch.Tensor, labels_n: torch.Tensor, orders_Tn: torch.Tensor) -> nn.Module:
    """SGD in the given order of images: batches of 4, the last one partial."""
    optimizer = torch.optim.SGD(head.parameters(), lr=0.01, momentum=0.9, dampening=0.9, weight_decay=0.001)
    for order_n in orders_Tn.long():
        for batch in order_n.split(4):
            optimizer.zero_grad()
            cross_entropy(head(support_nD[batch]), labels_n[batch]).backward()
            optimizer.step()
    return head


def predict(chunk, episode: int, *, cosine: bool) -> torch.Tensor:
    """Logits (m, W) of one episode of a chunk, from its initial weights and in its batch orders."""
    x_ND, start = chunk.features.x_ND, chunk.start
    weights_WD = start.weights_EWD[episode]
    head = CosineHead(weights_WD) if cosine else linear_head(weights_WD, start.bias_EW[episode])
    train(head, x_ND[chunk.support_En[episode]], chunk.labels_n, start.orders_ETn[episode])
    with torch.no_grad():
        return head(x_ND[chunk.query_Em[episode]])
