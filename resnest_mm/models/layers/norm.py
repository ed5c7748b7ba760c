"""Normalisation layers from config, and which of them may stand behind the global pooling."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from mmcv.cnn import build_norm_layer
from mmengine.registry import MODELS
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from resnest_mm.models.split_attention import NormFactory

BATCH_NORM: Final[Mapping[str, Any]] = MappingProxyType({'type': 'BN', 'requires_grad': True})
"""The released networks' norm: batch norm with eps 1e-5 and momentum 0.1."""


def norm_factory(cfg: Mapping[str, Any]) -> NormFactory:
    """Return a builder of the norm that `cfg` describes.

    Args:
        cfg: A config that mmcv's `build_norm_layer` understands; it is copied.
    """
    settings = dict(cfg)

    def build(channels: int) -> nn.Module:
        layer: nn.Module = build_norm_layer(dict(settings), channels)[1]
        return layer

    return build


def pooled_norm_cfg(norm_cfg: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the default norm behind the global pooling, which sees one value per image and channel.

    A batch norm compares the images of a batch there, as in the paper. Any other norm would compare a channel with
    itself (instance norm) or few channels with each other (group norm: with 32 groups over the 32 channels of the
    first stage every value becomes zero and the attention a constant), so it is replaced by one group over all
    channels.

    Args:
        norm_cfg: The backbone's norm.
    """
    if is_batch_norm(norm_cfg):
        return norm_cfg
    return {'type': 'GN', 'num_groups': 1, 'requires_grad': norm_cfg.get('requires_grad', True)}


def has_running_stats(module: nn.Module) -> bool:
    """Say whether a module is a norm that keeps running statistics of what it saw in training."""
    return isinstance(module, _BatchNorm | _InstanceNorm)


def resolve_layer(kind: str | type) -> type | None:
    """Return the class that a layer config's `type` names, None where no registry in scope has it."""
    if isinstance(kind, type):
        return kind
    with MODELS.switch_scope_and_registry(None) as registry:
        found: type | None = registry.get(kind)
    return found


def is_batch_norm(cfg: Mapping[str, Any]) -> bool:
    """Say whether a config describes a norm that compares the images of a batch."""
    kind = resolve_layer(cfg['type'])
    return kind is not None and issubclass(kind, _BatchNorm)
