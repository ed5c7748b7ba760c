"""A project of a few kilobytes that `tools/train.py` and `tools/test.py` train and test in about a second."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from tool_runs import forget_runs, run_tool

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


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """Yield a project with four images, from whose `cwd` the test runs; mmengine's globals are put back afterwards."""
    made = Project(root=tmp_path / 'project', cwd=tmp_path / 'cwd')
    made.cwd.mkdir()
    images = made.root / 'data' / 'images'
    images.mkdir(parents=True)
    for index in range(4):
        np.save(images / f'{index}.npy', np.full((1, 4, 4), index, dtype=np.float32))
    records = [{'img_path': f'{index}.npy', 'label': float(index)} for index in range(4)]
    content = {'metainfo': {'classes': ['a']}, 'data_list': records}
    (made.root / 'data' / 'ann.json').write_text(json.dumps(content), encoding='utf-8')
    monkeypatch.chdir(made.cwd)
    monkeypatch.setenv('LOCAL_RANK', '0')
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    # mmengine prints its config five times in a run, and laying it out takes a second each time.
    monkeypatch.setattr('mmengine.config.config.FormatCode', lambda text, **_: (text, True))
    allowed = torch.serialization.get_safe_globals()
    yield made
    torch.serialization.clear_safe_globals()
    torch.serialization.add_safe_globals(allowed)
    forget_runs()


@pytest.fixture(scope='session')
def tool() -> Callable[[str, Sequence[str]], int]:
    """Return a function that runs the `main` of a tool, named without `.py`, in this process."""
    return run_tool
