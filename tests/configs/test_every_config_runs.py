"""Every shipped config trains, saves, and is tested by the tools, on data of a few kilobytes.

A config that builds can still fail at its first batch: a key that a pipeline step needs, a head that does not fit its
neck, a metric that wants another annotation. `make test-all` keeps the full depth of every backbone.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from resnest_mm.demo_data import DemoSettings, write_demo_data
from tests.support.amounts import WHOLE
from tests.support.shipped_configs import every_config, name_of, read
from tests.support.tiny_configs import SIZE, shrink
from tests.support.tool_runs import CONFIG_RUN, run_tool

METRICS = {'mmseg': ('aAcc', 'mIoU'), 'mmdet': ('coco/bbox_mAP', 'coco/bbox_mAP_50')}


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('data') / 'demo'
    write_demo_data(folder, settings=DemoSettings(images=4, size=SIZE))
    return folder


@pytest.mark.slow
@pytest.mark.usefixtures('clean_process')
@every_config
def test_a_config_trains_and_is_tested(
    path: Path,
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, str], None],
) -> None:
    """Two iterations give finite losses, and the test of the saved file gives what the validation gave."""
    cfg = read(path)
    metrics = METRICS[cfg.default_scope]
    if 'panoptic_fusion_head' in cfg.model:
        pytest.importorskip('panopticapi', reason='mmdet measures PQ with it')
        metrics = (*metrics, 'coco_panoptic/PQ', 'coco/segm_mAP')
    monkeypatch.chdir(tmp_path)
    shrink(cfg, data, whole=WHOLE).dump(tmp_path / 'tiny.py')
    assert run_tool('train', ['tiny.py', '--work-dir', 'run']) == 0
    entries = [
        json.loads(line)
        for log in (tmp_path / 'run').glob('*/vis_data/scalars.json')
        for line in log.read_text(encoding='utf-8').splitlines()
    ]
    losses = [entry['loss'] for entry in entries if 'loss' in entry]
    assert len(losses) == 2 and all(math.isfinite(loss) for loss in losses)
    (trained,) = (entry for entry in entries if metrics[0] in entry)

    assert run_tool('test', ['tiny.py', 'run/iter_2.pth', '--work-dir', 'tested']) == 0
    (record,) = (tmp_path / 'tested').glob('*/*.json')
    tested = json.loads(record.read_text(encoding='utf-8'))
    assert {key: tested[key] for key in metrics} == {key: trained[key] for key in metrics}
    record_property(CONFIG_RUN, name_of(path))
