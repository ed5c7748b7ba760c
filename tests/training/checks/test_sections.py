"""A config without a section that the Runner needs is refused with the section's name."""

from __future__ import annotations

import pytest
from mmengine.config import Config

from resnest_mm.errors import UserError
from resnest_mm.training.checks.sections import check_sections


def test_incomplete_sections_are_refused() -> None:
    whole = {'model': {}, 'train_dataloader': {}, 'train_cfg': {}, 'optim_wrapper': {}}
    check_sections(Config(whole), split='train')
    with pytest.raises(UserError, match='no optim_wrapper, which training needs'):
        check_sections(Config({**whole, 'optim_wrapper': None}), split='train')
    with pytest.raises(UserError, match='has val_cfg but no val_dataloader'):
        check_sections(Config({**whole, 'val_cfg': {}}), split='train')
    with pytest.raises(UserError, match='no test_dataloader, which testing needs'):
        check_sections(Config(whole), split='test')
