"""Random keywords for the backbone, from the usual to the absurd, valid and invalid mixed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import torch

INF, NAN = float('inf'), float('nan')

ABSURD: Final[tuple[Any, ...]] = (
    *(None, True, False, 0, -1, 1, 2, 3, 7, 10**9, -(10**9), 10**400, 0.5, 2.0, -0.0, INF, -INF, NAN, 1j),
    *('', '2', 'BN', 'nan', b'12', (), [], {}, (1, 2), [1, 2, 2, 2], {'type': 'BN'}, {'type': None}, {1: 2}),
    *(np.int64(2), np.float32(0.5), np.bool_(True), np.array(2), np.array([1, 2]), torch.tensor(2), torch.zeros(2, 2)),
    *(range(4), range(10**9), {1, 2}, frozenset(), object, len, Ellipsis, torch.nn.ReLU, torch.float32, 'é\n\x00'),
)
"""Values that fit nowhere, or nearly fit."""

MISTAKEN: Final = 0.04
"""How often an option of the usual kind gets a mistaken value."""


def draw_arguments(seed: int) -> dict[str, Any]:
    """Return keywords; about half of the seeds give a network that can be built.

    Args:
        seed: The same seed gives the same keywords.
    """
    rng = random.Random(seed)
    arguments: dict[str, Any] = {'depth': rng.choice((14, 14, 26, 26, 50))}
    stages = rng.choice((1, 2, 2, 3, 4))
    blocks = {14: (1, 1, 1, 1), 26: (2, 2, 2, 2), 50: (3, 4, 6, 3)}[arguments['depth']][stages - 1]
    arguments.update(num_stages=stages, stem_channels=rng.choice((16, 32)), base_channels=rng.choice((16, 32)))
    usual = _usual(rng, stages, blocks)
    for name in rng.sample(sorted(usual), k=rng.randint(0, 9)):
        arguments[name] = usual[name]
    if 'dcn' in arguments or 'stage_with_dcn' in arguments:
        arguments.update(dcn=usual['dcn'], stage_with_dcn=usual['stage_with_dcn'])
    if arguments.get('conv_cfg', {}).get('type') in ('ConvWS', 'ConvAWS'):
        arguments['depth'] = 14  # a deeper one overflows in evaluation until its norms know the variances
    if rng.random() < 0.05:
        arguments.update(variant=rng.choice(('resnest14', 'resnest50_fast_1s2x40d', 'resnset')))
        for name in rng.sample(('depth', 'stem_channels', 'radix', 'groups', 'base_width', 'avd_first'), k=5):
            arguments.pop(name, None)
    for _ in range(rng.choice((0, 0, 0, 1, 2))):
        name = rng.choice((*sorted(usual), *arguments, 'depth', 'style', 'pretrained', 'deep_stem'))
        arguments[name] = rng.choice(ABSURD)
    return arguments


def _pick(rng: random.Random, good: Sequence[Any], bad: Sequence[Any]) -> Any:
    return rng.choice(bad if rng.random() < MISTAKEN else good)


def _usual(rng: random.Random, stages: int, blocks: int) -> dict[str, Any]:
    def each(good: Sequence[Any], bad: Sequence[Any], length: int = stages) -> Any:
        length = _pick(rng, (length,), (length + 1, 0))
        return rng.choice((tuple, list))(_pick(rng, good, bad) for _ in range(length))

    indices = sorted(rng.sample(range(stages), k=rng.randint(1, stages)))
    switches = ('avg_down_stride', 'avd_first', 'avd_in_dilated', 'contract_dilation', 'norm_eval', 'with_cp')
    dcn = {'type': _pick(rng, ('DCN', 'DCNv2'), ('DCNv3', None)), **_deform_groups(rng)}
    return {
        **{name: rng.random() < 0.5 for name in (*switches, 'zero_init_residual')},
        'in_channels': rng.choice((1, 3, 4, 13)),
        'strides': each((1, 1, 2, 2, 3, 4, 16), (0, -1, 17, '2')),
        'dilations': each((1, 1, 2, 3, 4, 64, 1024), (0, 1025, 1.0)),
        'out_indices': _pick(rng, (indices, tuple(indices), [stages - 1]), (indices[::-1], [-1], [stages])),
        'radix': _pick(rng, (1, 2, 4, 8), (3, 0, 5)),
        'groups': _pick(rng, (1, 2, 4), (3, 7)),
        'base_width': _pick(rng, (64, 32, 128, 16), (40, 1, 65536)),
        'reduction_factor': _pick(rng, (1, 2, 4, 8, 1000), (0, 0.5)),
        'multi_grid': each((1, 2, 4, 5), (0, 10**9), blocks),
        'conv_cfg': _pick(
            rng,
            (
                *({'type': kind} for kind in ('Conv2d', 'ConvWS', 'ConvAWS', 'Conv2dAdaptivePadding')),
                {'type': 'Conv2d', 'padding_mode': 'replicate'},
            ),
            ({'type': 'Conv1d'}, {'type': 'DCN'}, {'type': 'Conv2d', 'kernel': 3}, {'type': 'ConvTranspose2d'}),
        ),
        'norm_cfg': _norm(rng),
        'attn_norm_cfg': _norm(rng),
        'frozen_stages': _pick(rng, (-1, 0, 1, stages), (stages + 1, -2)),
        'dcn': dcn,
        'stage_with_dcn': each((True, True, False), (1,)),
        'plugins': [_plugin(rng, stages) for _ in range(rng.choice((1, 1, 2)))],
        'drop_path_rate': _pick(rng, (0, 0.1, 0.5, 0.999, 1 - 1e-16), (1, 1.5, -0.1)),
        'init_cfg': _pick(
            rng,
            (
                None,
                [],
                {'type': 'Kaiming', 'layer': 'Conv2d'},
                ({'type': 'Normal', 'layer': 'Conv2d', 'std': 0.01},),
                [
                    {'type': 'TruncNormal', 'layer': ['Conv2d'], 'std': 0.02},
                    {'type': 'Constant', 'layer': '_BatchNorm', 'val': 1},
                ],
            ),
            ({'type': 'Kaiming', 'layer': 5}, {'type': 5}, [5], {'type': 'Xavier', 'gains': 'a'}, 'Kaiming'),
        ),
    }


def _deform_groups(rng: random.Random) -> dict[str, Any]:
    return rng.choice(
        ({}, {}, {'fallback_on_stride': True}, {'deform_groups': _pick(rng, (8, 8), (3, 0, np.int64(8)))})
    )


def _norm(rng: random.Random) -> dict[str, Any]:
    kind = _pick(rng, ('BN', 'BN', 'BN2d', 'SyncBN', 'resnest_mm.NaiveSyncBN', 'GN', 'IN'), ('LN', 'BN1d', 'ReLU'))
    norm: dict[str, Any] = {'type': kind}
    if kind == 'GN':
        norm['num_groups'] = _pick(rng, (1, 2, 4, 8, np.int64(2)), (32, 0, -1, '4', True))
    if rng.random() < 0.4:
        bad = (0, -1e-5, 1e-30, 1e9, INF, NAN, '1e-5', True, None)
        norm['eps'] = _pick(rng, (1e-5, 1e-3, 1e-12, 1, np.float64(1e-4)), bad)
    if rng.random() < 0.3 and kind != 'GN':
        norm['momentum'] = _pick(rng, (0.1, 0.01, None, 0, 1, np.float32(0.1)), (-0.1, 1.5, NAN, INF, '0.1', True))
    for name in ('affine', 'track_running_stats', 'requires_grad'):
        if rng.random() < 0.2 and (kind != 'GN' or name != 'track_running_stats'):
            norm[name] = _pick(rng, (True, False), (1, 'no', None))
    return norm


def _plugin(rng: random.Random, stages: int) -> dict[str, Any]:
    layer = _pick(
        rng,
        (
            {'type': 'ContextBlock', 'ratio': rng.choice((0.25, 1 / 16, 1, 3.5))},
            {'type': 'NonLocal2d', 'reduction': rng.choice((1, 2))},
            {'type': 'NonLocal2d', 'mode': 'gaussian'},
            {'type': 'GeneralizedAttention', 'num_heads': 4},
            {'type': 'Dropout', 'drop_prob': 0.3},
        ),
        (
            *({'type': 'ContextBlock', 'ratio': ratio} for ratio in (1e-9, 0, -1, 1e9, NAN, INF, '1', None)),
            *({'type': 'NonLocal2d', 'reduction': reduction} for reduction in (0, -1, 10**9, 'a', NAN)),
            *({'type': 'GeneralizedAttention', 'num_heads': 7}, {'type': 'Missing'}, {'ratio': 0.25}),
            {'type': 'ConvModule', 'out_channels': 8, 'kernel_size': 1},
        ),
    )
    plugin: dict[str, Any] = {'cfg': dict(layer), 'position': f'after_conv{_pick(rng, (1, 2, 3), (4,))}'}
    if rng.random() < 0.3:
        plugin['stages'] = tuple(rng.random() < 0.6 for _ in range(stages))
    plugin['cfg']['postfix'] = _pick(rng, (f'_{rng.random()}'.replace('.', ''), rng.randrange(99)), (None, 1.5))
    return plugin
