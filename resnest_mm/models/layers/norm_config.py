"""Building norm layers from configs, and the default config of the norm after global pooling."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from mmcv.cnn import build_norm_layer
from mmengine.registry import MODELS
from torch import nn

from resnest_mm.models.layers.norm import AnyBatchNorm, NormFactory

BATCH_NORM: Final[Mapping[str, Any]] = MappingProxyType({'type': 'BN', 'requires_grad': True})
"""The norm of the released networks: batch norm with eps 1e-5 and momentum 0.1."""


def norm_factory(cfg: Mapping[str, Any]) -> NormFactory:
    """Return a function that builds the norm layer of a config for a number of channels.

    Args:
        cfg: A config for mmcv's `build_norm_layer`; it is copied.
    """
    settings = dict(cfg)

    def build(channels: int) -> nn.Module:
        layer: nn.Module = build_norm_layer(dict(settings), channels)[1]
        return layer

    return build


def pooled_norm_cfg(norm_cfg: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the default config of a norm after a global pooling, where it sees one value per image and channel.

    A batch norm with running statistics is kept: it compares the images of a batch, as in the paper. Any other norm is
    replaced by a group norm with one group, which compares all channels of an image. An instance norm would compare
    each value with itself, and so would `GN` with 32 groups over the 32 hidden channels of the first stage: all values
    would become zero. A batch norm without running statistics has nothing to compare a single image with, neither in
    training nor in evaluation.

    Args:
        norm_cfg: Config of the other norms.
    """
    if is_batch_norm_config(norm_cfg) and norm_cfg.get('track_running_stats', True):
        return norm_cfg
    return {'type': 'GN', 'num_groups': 1, 'requires_grad': norm_cfg.get('requires_grad', True)}


def resolve_layer(kind: str | type) -> type | None:
    """Return the class for the `type` of a layer config, or None if it is not registered."""
    if isinstance(kind, type):
        return kind
    with MODELS.switch_scope_and_registry(None) as registry:
        found: type | None = registry.get(kind)
    return found


def is_batch_norm_config(cfg: Mapping[str, Any]) -> bool:
    """Return whether a norm config describes a batch norm, synchronised ones included."""
    kind = resolve_layer(cfg['type'])
    return kind is not None and issubclass(kind, AnyBatchNorm)
