"""A detector and a segmentor whose learning rate becomes absurd stop with exit code 3 and keep a finite checkpoint."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

from resnest_mm.demo_data import DemoSettings, write_demo_data
from resnest_mm.training.safety.non_finite import non_finite_entries
from tests.support.shipped_configs import read
from tests.support.tiny_configs import SIZE, shrink
from tests.support.tool_runs import run_tool

DEMOS = ('faster-rcnn_s14_fpn_demo', 'deeplabv3_s14-d8_demo')
FOLDER = Path(__file__).resolve().parents[2] / 'configs' / 'demo'


@pytest.mark.slow
@pytest.mark.usefixtures('clean_process')
@pytest.mark.parametrize('name', DEMOS)
def test_an_absurd_rate_stops_the_training(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message has iteration, loss term and module; the log has the loss; `--resume` continues."""
    write_demo_data(tmp_path / 'demo', settings=DemoSettings(images=4, size=SIZE))
    monkeypatch.chdir(tmp_path)
    cfg = shrink(read(FOLDER / f'{name}.py'), tmp_path / 'demo', whole=False)
    cfg.train_cfg.update(max_iters=30, val_interval=30)
    cfg.default_hooks.checkpoint.update(interval=12, save_optimizer=True, max_keep_ckpts=1)
    cfg.param_scheduler = [dict(type='MultiStepLR', by_epoch=False, milestones=[13], gamma=1e8)]
    cfg.optim_wrapper.pop('clip_grad', None)
    cfg.dump(tmp_path / 'tiny.py')
    assert run_tool('train', ['tiny.py', '--work-dir', 'run']) == 3
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith('error: ')]
    assert 'the loss of iteration ' in line and 'loss' in line.partition(' is not finite: ')[2]
    assert 'first module with an output that is not finite: ' in line
    (log,) = (tmp_path / 'run').glob('*/vis_data/scalars.json')
    assert not math.isfinite(json.loads(log.read_text(encoding='utf-8').splitlines()[-1])['loss'])
    (last,) = (tmp_path / 'run').glob('*.pth')
    content = torch.load(last, weights_only=False)
    assert non_finite_entries({part: content[part] for part in ('state_dict', 'optimizer')}) == []
    assert content['meta']['iter'] == 12
    capsys.readouterr()
    code = run_tool('train', ['tiny.py', '--work-dir', 'run', '--resume', '--cfg-options', 'train_cfg.max_iters=13'])
    assert code == 0, capsys.readouterr().err
