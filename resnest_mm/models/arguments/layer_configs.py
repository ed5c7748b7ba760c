"""Layer configs among the arguments: checked before the network is built, norms and convolutions by a trial."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from mmcv.cnn import build_conv_layer, build_norm_layer

from resnest_mm.models.arguments.checks import boolean, integer
from resnest_mm.models.arguments.refused import RECTIFIED
from resnest_mm.models.layers.norm_config import resolve_layer
from resnest_mm.models.plan import StagePlan


@contextlib.contextmanager
def trial(what: str) -> Iterator[None]:
    """Make any error inside a `with` a ValueError about `what`, and restore the random state."""
    with torch.random.fork_rng(devices=[]):
        try:
            yield
        except Exception as error:  # layers raise errors of any type
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ValueError(f'{what}: {reason}') from error


def layer_config(name: str, value: Any) -> Mapping[str, Any]:
    """Return `value` if it is a config whose type is a registered layer."""
    if not isinstance(value, Mapping) or 'type' not in value:
        raise TypeError(f'{name}={value!r} must be a dict with a type, such as dict(type=...)')
    if not isinstance(value['type'], str | type):
        raise TypeError(f'{name} has type={value["type"]!r}, which must be the name of a layer')
    if resolve_layer(value['type']) is None:
        raise ValueError(f'{name} has type={value["type"]!r}, which is not registered; check the spelling')
    return value


def norm_config(name: str, value: Any, *, channels: Iterable[int], size: int) -> Mapping[str, Any]:
    """Return `value` if its norm can be built for each number of channels and run on feature maps of side `size`."""
    cfg = layer_config(name, value)
    for count in sorted(set(channels)):
        with trial(f'{name}={dict(cfg)} cannot normalise {count} channels of {size}x{size} values'), torch.no_grad():
            build_norm_layer(dict(cfg), count)[1].eval()(torch.zeros(1, count, size, size))
    return cfg


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
    with trial(f'conv_cfg={dict(cfg)} cannot build a convolution'):
        conv = build_conv_layer(dict(cfg), 4, 4, kernel_size=3, stride=1, padding=1, groups=2, bias=False)
        if conv.weight.dim() != 4:
            raise ValueError('it is not a 2D convolution')
    return cfg


def deform_config(dcn: Any, stage_with_dcn: Sequence[bool], *, radix: int) -> Mapping[str, Any] | None:
    """Return the config of the deformable convolutions if they can be built."""
    if dcn is None:
        if any(stage_with_dcn):
            raise ValueError(f'stage_with_dcn={tuple(stage_with_dcn)} needs dcn=dict(type="DCN" or "DCNv2")')
        return None
    if not isinstance(dcn, Mapping):
        raise TypeError(f'dcn={dcn!r} must be a dict such as dict(type="DCNv2")')
    if not any(stage_with_dcn):
        raise ValueError(
            f'dcn={dict(dcn)} would do nothing: name its stages, e.g. stage_with_dcn=(False, True, True, True)'
        )
    if dcn.get('type') not in ('DCN', 'DCNv2'):
        raise ValueError(f'dcn type={dcn.get("type")!r} is unknown; choose "DCN" or "DCNv2"')
    unknown = sorted(set(dcn) - {'type', 'deform_groups', 'fallback_on_stride'})
    if unknown:
        raise ValueError(f'dcn has unknown keys {unknown}; allowed are type, deform_groups and fallback_on_stride')
    boolean('dcn fallback_on_stride', dcn.get('fallback_on_stride', False))
    deform_groups = integer('dcn deform_groups', dcn.get('deform_groups', radix), least=1)
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
    return dcn


def check_deform_groups(dcn: Mapping[str, Any] | None, plans: Iterable[StagePlan], *, radix: int) -> None:
    """Refuse a `deform_groups` that does not divide the channels of every deformable bottleneck."""
    for block in (block for plan in plans for block in plan.blocks if block.dcn):
        assert dcn is not None
        deform_groups = dcn.get('deform_groups', radix)
        if block.width % deform_groups:
            raise ValueError(
                f'dcn deform_groups={deform_groups} must divide the {block.width} channels of a bottleneck'
            )
