"""Layer configs among the arguments: checked before the network is built, convolutions by a trial."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from mmcv.cnn import build_conv_layer

from resnest_mm.models.arguments.checks import boolean, channel_count, shown
from resnest_mm.models.arguments.refused import RECTIFIED
from resnest_mm.models.layers.norm_config import resolve_layer
from resnest_mm.models.plan import StagePlan


@contextlib.contextmanager
def trial(what: str) -> Iterator[None]:
    """Make any error inside a `with` a ValueError about `what`, and restore the random state.

    Gradients are off and warnings are not shown: what is built to stay warns again.
    """
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter('ignore')
        try:
            yield
        except Exception as error:  # layers raise errors of any type
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise ValueError(f'{what}: {reason}') from error


def layer_config(name: str, value: Any) -> Mapping[str, Any]:
    """Return `value` if it is a config whose type is a registered layer."""
    if not isinstance(value, Mapping) or 'type' not in value:
        raise TypeError(f'{name}={shown(value)} must be a dict with a type, such as dict(type=...)')
    if not isinstance(value['type'], str | type):
        raise TypeError(f'{name} has type={shown(value["type"])}, which must be the name of a layer')
    if resolve_layer(value['type']) is None:
        raise ValueError(f'{name} has type={value["type"]!r}, which is not registered; check the spelling')
    return value


def conv_config(conv_cfg: Any) -> Mapping[str, Any] | None:
    """Return the config of the plain convolutions if one can be built."""
    if conv_cfg is None:
        return None
    kind = conv_cfg.get('type') if isinstance(conv_cfg, Mapping) else None
    if isinstance(kind, str) and kind.lower().startswith(('rfconv', 'rectified')):
        raise ValueError(f'conv_cfg type={kind!r}: {RECTIFIED.replace("the argument", "conv_cfg")}')
    if isinstance(kind, str) and kind.startswith(('DCN', 'DeformConv', 'ModulatedDeformConv')):
        raise ValueError(
            f'conv_cfg type={kind!r} would make every convolution deformable; use dcn= and stage_with_dcn='
        )
    cfg = layer_config('conv_cfg', conv_cfg)
    with trial(f'conv_cfg={shown(dict(cfg))} cannot build a convolution'):
        conv = build_conv_layer(dict(cfg), 4, 4, kernel_size=3, stride=2, padding=2, dilation=2, groups=2, bias=False)
        if conv.weight.dim() != 4:
            raise ValueError('it is not a 2D convolution')
        shape = tuple(conv.eval()(torch.zeros(1, 4, 7, 6)).shape)
        if shape != (1, 4, 4, 3):
            raise ValueError(f'with stride 2 it makes a feature map of {shape[2:]} from one of (7, 6)')
    return cfg


def deform_config(dcn: Any, stage_with_dcn: Sequence[bool], *, radix: int) -> Mapping[str, Any] | None:
    """Return the config of the deformable convolutions if they can be built."""
    if dcn is None:
        if any(stage_with_dcn):
            raise ValueError(f'stage_with_dcn={tuple(stage_with_dcn)} needs dcn=dict(type="DCN" or "DCNv2")')
        return None
    if not isinstance(dcn, Mapping):
        raise TypeError(f'dcn={shown(dcn)} must be a dict such as dict(type="DCNv2")')
    if not any(stage_with_dcn):
        raise ValueError(
            f'dcn={dict(dcn)} would do nothing: name its stages, e.g. stage_with_dcn=(False, True, True, True)'
        )
    if not isinstance(dcn.get('type'), str) or dcn['type'] not in ('DCN', 'DCNv2'):
        raise ValueError(f'dcn type={shown(dcn.get("type"))} is unknown; choose "DCN" or "DCNv2"')
    unknown = sorted(set(dcn) - {'type', 'deform_groups', 'fallback_on_stride'}, key=str)
    if unknown:
        raise ValueError(f'dcn has unknown keys {unknown}; allowed are type, deform_groups and fallback_on_stride')
    boolean('dcn fallback_on_stride', dcn.get('fallback_on_stride', False))
    deform_groups = channel_count('dcn deform_groups', dcn.get('deform_groups', radix))
    if deform_groups % radix:
        raise ValueError(
            f'dcn deform_groups={deform_groups} must be a multiple of radix={radix}: one or more for each split'
        )
    try:
        from resnest_mm.models.layers import deform_conv  # noqa: F401 - only to see if the compiled ops exist
    except ImportError as error:
        raise ValueError(
            f"dcn={dict(dcn)} needs mmcv's compiled ops, which cannot be imported here ({error}); install mmcv with "
            'its ops (mmcv-lite has none), or remove dcn'
        ) from error
    return {**dcn, 'deform_groups': deform_groups}


def check_deform_groups(dcn: Mapping[str, Any] | None, plans: Iterable[StagePlan], *, radix: int) -> None:
    """Refuse a `deform_groups` that does not divide the channels of every deformable bottleneck."""
    for block in (block for plan in plans for block in plan.blocks if block.dcn):
        assert dcn is not None
        deform_groups = dcn.get('deform_groups', radix)
        if block.width % deform_groups:
            raise ValueError(
                f'dcn deform_groups={deform_groups} must divide the {block.width} channels of a bottleneck'
            )
