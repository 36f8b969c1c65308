"""BatchNorm1d without scale and shift, over the rows of every rank; its statistics fold into a linear head."""

import torch
from torch import Tensor
from torch.nn.functional import batch_norm

from probe import ranks

EPSILON = 1e-5
MOMENTUM = 0.1


class BatchNorm:
    """torch.nn.BatchNorm1d(D, affine=False) in training: eps 1e-5, momentum 0.1, biased variance of the batch.

    Source: Ioffe and Szegedy (2015), algorithm 1; over several ranks as torch.nn.SyncBatchNorm.
    """

    def __init__(self, dim: int, device: torch.device) -> None:
        self.mean_D, self.var_D = torch.zeros(dim, device=device), torch.ones(dim, device=device)

    def __call__(self, x_BD: Tensor, count: int) -> Tensor:
        """Normalised rows; x_BD may be overwritten. count: rows of the batch over all ranks."""
        if ranks.count() == 1:
            return batch_norm(x_BD, self.mean_D, self.var_D, training=True, momentum=MOMENTUM, eps=EPSILON)
        mean_D = ranks.add(x_BD.sum(0)).div_(count)
        x_BD.sub_(mean_D)
        var_D = ranks.add(torch.linalg.vector_norm(x_BD, dim=0).square_()).div_(count)
        self.mean_D.lerp_(mean_D, MOMENTUM)
        self.var_D.lerp_(var_D * (count / (count - 1)), MOMENTUM)
        return x_BD.mul_((var_D + EPSILON).rsqrt_())

    def fold(self, weight_KCD: Tensor, bias_KC: Tensor) -> tuple[Tensor, Tensor]:
        """The heads on features that are not normalised: the running statistics move into weight and bias."""
        weight_KCD = weight_KCD * (self.var_D + EPSILON).rsqrt()
        return weight_KCD, bias_KC - weight_KCD @ self.mean_D
