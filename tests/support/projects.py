"""A project of a few kilobytes that `tools/train.py` and `tools/test.py` train and test in about a second."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

MICRO = """\
custom_imports = dict(imports=['micro_parts'], allow_failed_imports=False)
default_scope = 'mmengine'
data_root = '{data}'
model = dict(type='MicroModel', width=2, norm_cfg=dict(type='SyncBN'))
dataset = dict(type='MicroDataset', data_root=data_root, ann_file='ann.json', data_prefix=dict(img_path='images'),
               pipeline=[dict(type='MicroLoad')])
train_dataloader = dict(batch_size=2, num_workers=0, dataset=dict(type='RepeatDataset', times=1, dataset=dataset),
                        sampler=dict(type='DefaultSampler', shuffle=False))
val_dataloader = dict(batch_size=1, num_workers=0, dataset=dataset,
                      sampler=dict(type='DefaultSampler', shuffle=False))
test_dataloader = val_dataloader
val_evaluator = dict(type='MicroMetric', ann_file=data_root + '/ann.json')
test_evaluator = val_evaluator
train_cfg = dict(by_epoch=True, max_epochs=1)
val_cfg = dict()
test_cfg = dict()
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.08))
auto_scale_lr = dict(enable=False, base_batch_size=16)
randomness = dict(seed=0)
"""

RANDOM = """
custom_imports = dict(imports=['micro_parts', 'random_parts'], allow_failed_imports=False)
model = dict(type='RandomModel')
dataset = dict(type='MicroDataset', data_root=data_root, ann_file='ann.json', data_prefix=dict(img_path='images'),
               pipeline=[dict(type='RandomLoad')])
train_dataloader = dict(batch_size=2, num_workers=0, dataset=dict(type='RepeatDataset', times=3, dataset=dataset),
                        sampler=dict(type='DefaultSampler', shuffle=True))
val_dataloader = dict(batch_size=2, num_workers=0, dataset=dataset,
                      sampler=dict(type='DefaultSampler', shuffle=False))
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.05, momentum=0.9))
param_scheduler = [dict(type='LinearLR', start_factor=0.1, by_epoch=False, end=7)]
randomness = dict(seed=0, deterministic=True)
default_hooks = dict(logger=dict(type='LoggerHook', interval=1))
"""
"""Lines to append to `MICRO`, for a training that draws random numbers wherever it can; an epoch has six iterations."""


@dataclass(frozen=True)
class Project:
    """A config and data in one folder, and an unrelated folder to run from.

    Args:
        root: Folder with config and data.
        cwd: Current directory of the run.
    """

    root: Path
    cwd: Path

    def config(self, edits: str = '') -> Path:
        """Write the config, with Python lines appended, and return its path."""
        path = self.root / 'micro.py'
        path.write_text(MICRO.format(data=(self.root / 'data').as_posix()) + edits, encoding='utf-8')
        return path

    def files(self) -> dict[str, int]:
        """Return every path below both folders with its size."""
        paths = (path for folder in (self.root, self.cwd) for path in folder.rglob('*'))
        return {str(path): path.stat().st_size for path in paths if '__pycache__' not in path.parts}
