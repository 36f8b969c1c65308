"""Vision transformers with patches of 16 pixels, on torchvision's own modules: https://arxiv.org/abs/2010.11929."""

from torch import nn
from torchvision.models.vision_transformer import VisionTransformer


def vit(image_size: int, layers: int, heads: int, dim: int) -> nn.Module:
    """A ViT whose feature is the class token after the last LayerNorm; exact GELU, LayerNorm's epsilon 1e-6."""
    net: nn.Module = VisionTransformer(
        image_size=image_size, patch_size=16, num_layers=layers, num_heads=heads, hidden_dim=dim, mlp_dim=4 * dim
    )
    net.heads = nn.Identity()
    return net
