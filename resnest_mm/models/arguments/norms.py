"""Norm configs among the arguments: their options are checked, and each norm is built once on trial."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import Any, Final

import torch
from mmcv.cnn import build_norm_layer

from resnest_mm.models.arguments.checks import boolean, channel_count, number, shown
from resnest_mm.models.arguments.layer_configs import layer_config, trial

LEAST_EPS: Final = 1e-12
"""With a smaller eps, the rounding errors of a constant channel become as large as its signal, and 0 gives NaN."""


def norm_config(name: str, value: Any, *, channels: Iterable[int], size: int) -> Mapping[str, Any]:
    """Return `value` if its norm can be built for each number of channels and run on feature maps of side `size`."""
    cfg = layer_config(name, value)
    _check_options(name, cfg)
    for count in sorted(set(channels)):
        with trial(f'{name}={shown(dict(cfg))} cannot normalise {count} channels of {size}x{size} values'):
            build_norm_layer(dict(cfg), count)[1].eval()(torch.zeros(1, count, size, size))
    return cfg


def check_zero_init(norm_cfg: Mapping[str, Any]) -> None:
    """Refuse `zero_init_residual=True` for norms without weights, and warn if the weights are frozen."""
    with trial(f'norm_cfg={shown(dict(norm_cfg))} cannot be built'):
        weight = getattr(build_norm_layer(dict(norm_cfg), 32)[1], 'weight', None)
    if weight is None:
        raise ValueError(
            f'zero_init_residual=True needs norms with weights, which norm_cfg={shown(dict(norm_cfg))} does not have; '
            'give it affine=True, or remove zero_init_residual'
        )
    if not weight.requires_grad:
        warnings.warn(
            f'zero_init_residual=True with norm_cfg={shown(dict(norm_cfg))}, whose weights are frozen: unless a '
            'checkpoint is loaded, the weights stay zero and each block stays its shortcut; remove one of the two',
            stacklevel=4,
        )


def _check_options(name: str, cfg: Mapping[str, Any]) -> None:
    for option, value in cfg.items():
        if option == 'eps':
            number(f'{name} eps', value, least=LEAST_EPS, most=1)
        elif option == 'momentum' and value is not None:
            number(f'{name} momentum', value, least=0, most=1)
        elif option in ('affine', 'track_running_stats', 'requires_grad'):
            boolean(f'{name} {option}', value)
        elif option == 'num_groups':
            channel_count(f'{name} num_groups', value)
