"""Normalise globally pooled features, also in a training batch of one image."""

from __future__ import annotations

from torch import Tensor, nn

from resnest_mm.models.layers.normalize import normalize_or_fall_back


def normalize_pooled(norm: nn.Module, x: Tensor, *, place: str, remedy: str = '') -> Tensor:
    """Return `norm(x)`, computed with running statistics if a training batch has only one value per channel.

    The fallback warns once for each place and leaves the running statistics unchanged.

    Args:
        norm: Any norm layer.
        x: Pooled features.
        place: Where the pooling is, for the warning, such as 'the DeepLabV3 head'.
        remedy: An argument that avoids the fallback, for the warning, such as 'norm_eval=True'.

    Shape:
        x and output [N, C, 1, 1]; N may be 0.

    Raises:
        ValueError: There is one value per channel and the norm has no running statistics.
    """
    return normalize_or_fall_back(
        norm,
        x,
        reason=f'a training batch of one image leaves the batch norm after the global pooling of {place}',
        advice=f'Train with at least two images per device{f", or with {remedy}," if remedy else ""}',
    )
