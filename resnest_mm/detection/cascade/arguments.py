"""Checks of the cascade's arguments, before a layer is built."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from mmdet.models.task_modules.samplers import PseudoSampler
from mmengine.config import ConfigDict

Configs = Mapping[str, Any] | Sequence[Mapping[str, Any]]

_TAKE_ALL: Final = ('PseudoSampler', 'mmdet.PseudoSampler', PseudoSampler)


def stage_weights(value: Any, *, num_stages: int) -> tuple[float, ...]:
    """Return the loss weight of each stage; None means ones."""
    if value is None:
        return (1.0,) * num_stages
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise TypeError(f'stage_loss_weights={value!r} must be a list with one number for each stage, or None for ones')
    for weight in value:
        if isinstance(weight, bool) or not isinstance(weight, int | float):
            raise TypeError(f'stage_loss_weights={value!r} must hold numbers, 0 or more')
        if not (math.isfinite(weight) and weight >= 0):
            raise ValueError(f'stage_loss_weights={value!r} must hold finite numbers, 0 or more')
    if len(value) != num_stages:
        raise ValueError(f'stage_loss_weights={value!r} must have {num_stages} numbers, one for each stage')
    return tuple(float(weight) for weight in value)


def one_per_stage(name: str, value: Any, *, num_stages: int) -> list[Mapping[str, Any]]:
    """Return the config of each stage; a single config is for all stages."""
    if isinstance(value, Mapping):
        return [value] * num_stages
    if isinstance(value, str) or not isinstance(value, Sequence) or not all(isinstance(v, Mapping) for v in value):
        raise TypeError(f'{name}={value!r} must be a config, or a list of configs with one for each stage')
    if len(value) != num_stages:
        raise ValueError(f'{name} has {len(value)} configs and must have {num_stages}, one for each stage')
    return list(value)


def check_box_heads(heads: Sequence[Mapping[str, Any]]) -> None:
    """Refuse heads that predict one box per class, since a box has no class between stages."""
    for stage, head in enumerate(heads):
        if head.get('reg_class_agnostic', False) is not True:
            raise ValueError(
                f'bbox_head[{stage}] has reg_class_agnostic={head.get("reg_class_agnostic", False)!r}, but the '
                'next stage needs one box, not one per class; set reg_class_agnostic=True'
            )


def check_mask_branch(mask_roi_extractor: Any, mask_head: Any) -> None:
    """Refuse a mask branch that is not a single extractor and a single head for all stages."""
    for name, value in (('mask_roi_extractor', mask_roi_extractor), ('mask_head', mask_head)):
        if value is not None and not isinstance(value, Mapping):
            raise TypeError(
                f'{name}={value!r} must be one config or None: all stages share one mask head, which is trained on '
                "the samples of the first stage; for a mask head in every stage use mmdet's CascadeRoIHead"
            )
    if (mask_roi_extractor is None) != (mask_head is None):
        absent = 'mask_head' if mask_head is None else 'mask_roi_extractor'
        raise ValueError(f'{absent} is missing; set mask_roi_extractor and mask_head, or for boxes only none of them')


def training_configs(value: Any, *, num_stages: int, with_mask: bool) -> list[ConfigDict] | None:
    """Return a copy of `train_cfg.rcnn`, one config for each stage, or None.

    Raises:
        TypeError: It is not a list of configs.
        ValueError: A key is missing, or a later stage has a setting that only the first stage uses.
    """
    if value is None:
        return None
    if isinstance(value, Mapping):
        raise TypeError(f'train_cfg={value!r} must be a list of {num_stages} configs, one for each stage')
    stages = [ConfigDict(stage) for stage in one_per_stage('train_cfg', value, num_stages=num_stages)]
    for index, stage in enumerate(stages):
        needed = ['assigner', 'pos_weight']
        if index == 0:
            needed += ['sampler', *(['mask_size'] if with_mask else [])]
        missing = [key for key in needed if key not in stage]
        if missing:
            raise ValueError(f'train_cfg[{index}] lacks {missing}; it has {sorted(stage)}')
        if index:
            _check_later_stage(index, stage, stages[0])
    return stages


def _check_later_stage(index: int, stage: Mapping[str, Any], first: Mapping[str, Any]) -> None:
    sampler = stage.get('sampler') or {'type': 'PseudoSampler'}
    if sampler.get('type') not in _TAKE_ALL:
        raise ValueError(
            f'train_cfg[{index}].sampler has type={sampler.get("type")!r}, but only the first stage samples: later '
            "stages use all refined boxes; remove it or set sampler=dict(type='PseudoSampler')"
        )
    if 'mask_size' in stage and stage['mask_size'] != first.get('mask_size'):
        raise ValueError(
            f'train_cfg[{index}].mask_size={stage["mask_size"]!r} differs from that of train_cfg[0], '
            f'{first.get("mask_size")!r}; masks are trained in the first stage only, so remove it'
        )
