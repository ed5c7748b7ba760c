"""The sections of a config that mmengine's Runner needs for a training or a test."""

from __future__ import annotations

from mmengine.config import Config

from resnest_mm.errors import UserError


def check_sections(cfg: Config, *, split: str) -> None:
    """Refuse a config without a section that mmengine's Runner needs.

    Args:
        cfg: Parsed config.
        split: `'train'` for a training, `'test'` for a test.

    Raises:
        UserError: A missing section, or only a part of the group `val_dataloader`, `val_cfg`, `val_evaluator`, or of
            the same group for training or test.
    """
    groups = {
        'train': ('train_dataloader', 'train_cfg', 'optim_wrapper'),
        'val': ('val_dataloader', 'val_cfg', 'val_evaluator'),
        'test': ('test_dataloader', 'test_cfg', 'test_evaluator'),
    }
    needed = ('model', *groups[split])
    missing = [key for key in needed if cfg.get(key) is None]
    if missing:
        raise UserError(f'the config has no {missing[0]}, which {split}ing needs (is it a _base_ file?)')
    for group in groups.values():
        absent = [key for key in group if cfg.get(key) is None]
        if absent and len(absent) < len(group):
            present = next(key for key in group if key not in absent)
            raise UserError(f'the config has {present} but no {absent[0]}; set all of {", ".join(group)} or none')
