"""Detectors and segmentors share one backbone: its weights, its key names, and a process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.registry import MODELS, DefaultScope
from torch import Tensor, nn

pytest.importorskip('mmdet', reason='a detector is built')
pytest.importorskip('mmseg', reason='a segmentor is built')

BACKBONE = dict(type='resnest_mm.ResNeSt', depth=14, base_channels=8, stem_channels=16)
CHANNELS = [32, 64, 128, 256]


def detector(init_cfg: dict[str, Any] | None = None) -> dict[str, Any]:
    return dict(
        type='mmdet.RetinaNet',
        data_preprocessor=dict(type='mmdet.DetDataPreprocessor', pad_size_divisor=32),
        backbone=dict(BACKBONE, init_cfg=init_cfg),
        neck=dict(type='mmdet.FPN', in_channels=CHANNELS, out_channels=8, num_outs=5),
        bbox_head=dict(type='mmdet.RetinaHead', num_classes=2, in_channels=8, feat_channels=8, stacked_convs=1),
        test_cfg=dict(
            nms_pre=10, min_bbox_size=0, score_thr=0.0, nms=dict(type='nms', iou_threshold=0.5), max_per_img=5
        ),
    )


def segmentor(init_cfg: dict[str, Any] | None = None, **backbone: Any) -> dict[str, Any]:
    return dict(
        type='mmseg.EncoderDecoder',
        data_preprocessor=dict(type='mmseg.SegDataPreProcessor', size_divisor=32),
        backbone=dict(BACKBONE, init_cfg=init_cfg, **backbone),
        decode_head=dict(
            type='mmseg.FCNHead', in_channels=CHANNELS[-1], in_index=3, channels=8, num_classes=3, num_convs=1
        ),
        test_cfg=dict(mode='whole'),
    )


BUILDERS: dict[str, Callable[..., dict[str, Any]]] = {'mmdet': detector, 'mmseg': segmentor}


def build(scope: str, **options: Any) -> nn.Module:
    with DefaultScope.overwrite_default_scope(scope):
        model: nn.Module = MODELS.build(BUILDERS[scope](**options))
        model.init_weights()
    return model.eval()


def answer(scope: str, model: nn.Module) -> Tensor:
    """Return the raw outputs for one fixed image as one vector."""
    image = torch.linspace(-2, 2, 3 * 64 * 64).view(1, 3, 64, 64)
    with DefaultScope.overwrite_default_scope(scope), torch.no_grad():
        out = model(image, mode='tensor')
    maps = [out] if isinstance(out, Tensor) else [level for levels in out for level in levels]
    return torch.cat([level.flatten() for level in maps])


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Return a file with the backbone's weights and statistics, all away from their initial values."""
    torch.manual_seed(0)
    backbone = MODELS.build(BACKBONE)
    state = {
        key: torch.rand_like(value) + 0.5 if value.is_floating_point() else value
        for key, value in backbone.state_dict().items()
    }
    path = tmp_path / 'shared.pth'
    torch.save({'state_dict': state}, path)
    return path


@pytest.mark.parametrize('dilated', [False, True])
def test_one_weights_file_fills_a_detector_and_a_segmentor(weights: Path, dilated: bool) -> None:
    """The keys are identical, also in a dilated segmentor, and every tensor arrives in both."""
    init_cfg = dict(type='Pretrained', checkpoint=str(weights))
    stages = dict(strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4)) if dilated else {}
    models = [build('mmdet', init_cfg=init_cfg), build('mmseg', init_cfg=init_cfg, **stages)]
    wanted = torch.load(weights, weights_only=True)['state_dict']
    for model in models:
        given = model.backbone.state_dict()
        assert list(given) == list(wanted)
        for key, value in wanted.items():
            assert torch.equal(given[key], value), key


def test_a_detectors_backbone_moves_into_a_segmentor_by_its_keys() -> None:
    torch.manual_seed(1)
    source, target = build('mmdet'), build('mmseg')
    target.backbone.load_state_dict(source.backbone.state_dict(), strict=True)
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        for left, right in zip(source.backbone(image), target.backbone(image), strict=True):
            assert torch.equal(left, right)


@pytest.mark.parametrize('order', [('mmdet', 'mmseg'), ('mmseg', 'mmdet')], ids='-'.join)
def test_both_hosts_live_in_one_process_in_either_order(order: tuple[str, str]) -> None:
    """Building the second host's model changes neither the first one's classes nor what it computes."""
    torch.manual_seed(2)
    first = build(order[0])
    before = answer(order[0], first)
    second = build(order[1])
    for scope, model in zip(order, (first, second), strict=True):
        assert type(model).__module__.partition('.')[0] == scope
        assert type(model.backbone).__module__ == 'resnest_mm.models.resnest'
    assert torch.equal(answer(order[0], first), before)
    assert answer(order[1], second).isfinite().all()


@pytest.mark.slow
@pytest.mark.parametrize('order', [('mmdet', 'mmseg'), ('mmseg', 'mmdet')], ids='-'.join)
def test_a_fresh_process_builds_both_without_a_scope_error(
    order: tuple[str, str], fresh_python: Callable[..., Any], repository: Path
) -> None:
    """Bare names of a host resolve within its own scope, whichever host came first in the process."""
    code = f"""
import sys
sys.path.insert(0, {str(repository / 'tests')!r})
from mmengine.registry import MODELS, init_default_scope
from test_both_hosts import BUILDERS
def bare(node):
    if isinstance(node, dict):
        return {{k: v.partition('.')[2] if k == 'type' and v[:5] in ('mmdet', 'mmseg') else bare(v)
                for k, v in node.items()}}
    return node
for scope in {order!r}:
    init_default_scope(scope)
    model = MODELS.build(bare(BUILDERS[scope]()))
    print(type(model).__module__.partition('.')[0], type(model.backbone).__module__)
"""
    lines = [line for line in fresh_python(code).stdout.splitlines() if 'resnest_mm' in line]
    assert lines == [f'{scope} resnest_mm.models.resnest' for scope in order]
