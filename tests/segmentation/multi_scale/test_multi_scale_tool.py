"""`tools/test.py --tta` with the multi-scale sliding evaluation, from files to metrics."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

pytest.importorskip('mmseg', reason='the evaluation runs segmentors of mmseg')

import cv2
from mmengine.registry import MODELS as ROOT_MODELS
from mmengine.registry import DefaultScope

from resnest_mm.demo_data import DemoSettings, write_demo_data
from tests.support import slide_oracle
from tests.support.slide_fakes import BLACK, normalised, tiny_segmentor
from tests.support.slide_oracle import Maps

# The preprocessor at the top level is what the Runner hands to the wrapper; the segmentor has its own.
CONFIG = """\
default_scope = 'mmseg'
data_preprocessor = dict(type='SegDataPreProcessor', mean=[0.] * 3, std=[1.] * 3)
model = {model}
pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackSegInputs')]
test_dataloader = dict(
    batch_size=3, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='BaseSegDataset', data_root='data', img_suffix='.jpg', seg_map_suffix='.png', test_mode=True,
                 data_prefix=dict(img_path='val', seg_map_path='semantic/val'),
                 metainfo=dict(classes=tuple('abcdef')), pipeline=[dict(type='ThereIsNoSuchTransform')]))
test_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_cfg = dict(type='TestLoop')
tta_model = dict(type='resnest_mm.MultiScaleSlideTTA', base_size=40, crop_size=32, scales=(0.75, 1.5))
tta_pipeline = pipeline
"""


def metrics_by_loops(predictions: list[np.ndarray], truths: list[np.ndarray]) -> dict[str, float]:
    pairs = [pair for p, t in zip(predictions, truths, strict=True) for pair in zip(p.flat, t.flat, strict=True)]
    ious = []
    for label in range(6):
        both = sum(p == t == label for p, t in pairs)
        either = sum(label in (p, t) for p, t in pairs)
        ious.append(both / either)
    return {'aAcc': 100 * sum(p == t for p, t in pairs) / len(pairs), 'mIoU': 100 * sum(ious) / 6}


def give_every_class_a_share(module: Any, images: torch.Tensor) -> None:
    """Fit the statistics of a random segmentor to images, so that its predictions are no constant."""
    torch.nn.init.normal_(module.decode_head.conv_seg.weight)
    with torch.no_grad():
        for _ in range(20):
            module.train()
            module.decode_head(module.backbone(images))
        module.eval()
        logits = module.decode_head(module.backbone(images))
        module.decode_head.conv_seg.bias -= logits.mean((0, 2, 3))


@pytest.mark.slow
def test_the_tool_reports_the_oracle_s_metrics(tmp_path: Path, repository: Path) -> None:
    write_demo_data(tmp_path / 'data', settings=DemoSettings(images=1, size=64))
    files = sorted((tmp_path / 'data' / 'val').glob('*.jpg'))
    images = [normalised(torch.from_numpy(cv2.imread(str(file)).transpose(2, 0, 1).copy())) for file in files]
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmseg'):
        module = ROOT_MODELS.build(tiny_segmentor())
    give_every_class_a_share(module, torch.from_numpy(np.stack(images)).float())
    torch.save({'state_dict': module.state_dict(), 'meta': {}}, tmp_path / 'random.pth')
    (tmp_path / 'tiny.py').write_text(CONFIG.format(model=tiny_segmentor()), encoding='utf-8')

    tool = str(repository / 'tools' / 'test.py')
    command = [sys.executable, tool, 'tiny.py', 'random.pth', '--tta', '--work-dir', 'tested']
    env = {key: value for key, value in os.environ.items() if key != 'LOCAL_RANK'}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    [path] = (tmp_path / 'tested').glob('*/*.json')
    reported = json.loads(path.read_text(encoding='utf-8'))

    def network(crop: Maps) -> Maps:
        with torch.no_grad():
            logits = module.decode_head(module.backbone(torch.from_numpy(crop)[None].float()))
            return np.asarray(F.interpolate(logits, size=(32, 32), mode='bilinear', align_corners=True)[0].double())

    predictions, truths = [], []
    settings: dict[str, Any] = {'black': BLACK, 'base_size': 40, 'crop_size': 32, 'scales': (0.75, 1.5)}
    for file, image in zip(files, images, strict=True):
        predictions.append(slide_oracle.scores(image, network, **settings).argmax(0))
        label = tmp_path / 'data' / 'semantic' / 'val' / f'{file.stem}.png'
        truths.append(cv2.imread(str(label), cv2.IMREAD_UNCHANGED))
    assert len(predictions) == 8
    # A constant prediction would hide most mistakes.
    assert np.bincount(np.stack(predictions).ravel(), minlength=6).max() < 0.8 * 8 * 64 * 64
    for name, value in metrics_by_loops(predictions, truths).items():
        assert reported[name] == pytest.approx(value, abs=0.02), name
