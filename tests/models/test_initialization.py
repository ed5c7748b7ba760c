"""Initial weights are those of the config, for the backbone alone and inside a detector."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.logging import MMLogger
from mmengine.registry import MODELS, DefaultScope
from torch import nn

from resnest_mm.models import ResNeSt
from resnest_mm.weights import CheckpointError
from tests.support.tiny_backbones import batch_norms, changed, image, scatter, snapshot, tiny


def kernels(backbone: nn.Module) -> dict[str, nn.Parameter]:
    return {name: p for name, p in backbone.named_parameters() if p.dim() == 4 and 'conv_offset' not in name}


def assert_kaiming(backbone: nn.Module) -> None:
    checked = 0
    for name, weight in kernels(backbone).items():
        expected = math.sqrt(2 / (weight.shape[0] * weight.shape[2] * weight.shape[3]))
        if weight.numel() >= 2000:  # the estimate of a standard deviation from 2000 draws is off by 1.6 %
            checked += 1
            assert weight.std().item() == pytest.approx(expected, rel=0.08), name
            assert abs(weight.mean().item()) < 0.1 * expected, name
            assert weight.abs().max() > 2.5 * expected, name  # normal, not uniform
    assert checked > 10


def test_default_is_kaiming_normal_by_fan_out() -> None:
    backbone = tiny(base_channels=32)
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter.fill_(7)
    backbone.init_weights()
    assert_kaiming(backbone)
    assert not any(p.any() for name, p in backbone.named_parameters() if name.endswith('bias'))
    assert all((norm.weight == 1).all() for norm in batch_norms(backbone).values())


@pytest.mark.parametrize('kind', ['DCN', 'DCNv2'])
def test_deformable_kernels_start_like_plain_ones(kind: str) -> None:
    pytest.importorskip('mmcv._ext')
    backbone = tiny(base_channels=32, num_stages=3, dcn={'type': kind}, stage_with_dcn=(True, True, True))
    backbone.init_weights()
    weight = backbone.layer3[0].conv2.conv.weight
    assert weight.std().item() == pytest.approx(math.sqrt(2 / (weight.shape[0] * 9)), rel=0.05)


def test_group_norms_start_at_one() -> None:
    backbone = tiny(num_stages=1, norm_cfg={'type': 'GN', 'num_groups': 4})
    with torch.no_grad():
        backbone.stem[1].weight.fill_(7)
    backbone.init_weights()
    assert (backbone.stem[1].weight == 1).all()


def test_last_norms_start_at_one_unless_asked() -> None:
    backbone = tiny(26, num_stages=2)
    backbone.init_weights()
    assert all((block.bn3.weight == 1).all() for block in backbone.bottlenecks)


@pytest.mark.parametrize('norm_cfg', [None, {'type': 'SyncBN'}, {'type': 'GN', 'num_groups': 4}], ids=str)
def test_zero_init_makes_identities(norm_cfg: Any) -> None:
    backbone = tiny(26, num_stages=2, zero_init_residual=True, norm_cfg=norm_cfg)
    backbone.init_weights()
    assert not any(block.bn3.weight.any() for block in backbone.bottlenecks)
    x = image(2, (5, 5), channels=64).relu()
    assert torch.equal(backbone.eval().layer1[1](x), x)
    assert (backbone.layer1[1].bn1.weight == 1).all()


def test_explicit_initialisers_are_used() -> None:
    backbone = tiny(num_stages=1, init_cfg=[{'type': 'Constant', 'layer': 'Conv2d', 'val': 0.25, 'bias': 0.5}])
    backbone.init_weights()
    assert all((weight == 0.25).all() for weight in kernels(backbone).values())
    assert (backbone.layer1[0].conv2.fc1.bias == 0.5).all()


@pytest.mark.parametrize('how', ['init_cfg', 'pretrained', 'list'])
@pytest.mark.parametrize('zero_init_residual', [False, True])
def test_checkpoint_has_the_last_word(how: str, zero_init_residual: bool, tmp_path: Path) -> None:
    trained = tiny(num_stages=2)
    scatter(trained)
    file = str(tmp_path / 'trained.pth')
    torch.save({'state_dict': trained.state_dict(), 'meta': {'epoch': 1}}, file)
    entry = {'type': 'Pretrained', 'checkpoint': file}
    arguments: dict[str, Any] = {
        'init_cfg': {'init_cfg': entry},
        'pretrained': {'pretrained': file},
        'list': {'init_cfg': [entry, {'type': 'Kaiming', 'layer': 'Conv2d'}]},
    }[how]
    torch.manual_seed(9)
    backbone = ResNeSt(
        14, stem_channels=8, base_channels=16, num_stages=2, zero_init_residual=zero_init_residual, **arguments
    )
    assert changed(snapshot(trained), backbone) != set()
    backbone.init_weights()
    assert changed(snapshot(trained), backbone) == set()


def test_second_call_changes_nothing() -> None:
    """Runners initialise what was initialised before."""
    backbone = tiny(num_stages=1, zero_init_residual=True)
    backbone.init_weights()
    scatter(backbone)
    before = snapshot(backbone)
    backbone.init_weights()
    assert changed(before, backbone) == set()


@pytest.mark.parametrize('arguments', [{'frozen_stages': 1}, {'norm_eval': True}, {}], ids=str)
def test_refused_checkpoint_leaves_every_weight_alone(arguments: dict[str, Any], tmp_path: Path) -> None:
    torch.save(tiny(26, num_stages=2).state_dict(), tmp_path / 'other.pth')
    backbone = tiny(num_stages=2, pretrained=str(tmp_path / 'other.pth'), **arguments)
    before = snapshot(backbone)
    for _ in range(2):  # a second try must not pass as done
        with pytest.raises(CheckpointError, match=r'fills \d+ of the \d+ tensors'):
            backbone.init_weights()
    assert changed(before, backbone) == set()


def faster_rcnn(backbone: dict[str, Any]) -> Any:
    from mmengine.hub import get_config

    config = get_config('mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py').model
    config.backbone = {'type': 'resnest_mm.ResNeSt', **backbone}
    config.neck.update(in_channels=[64, 128, 256, 512], out_channels=16)
    config.rpn_head.update(in_channels=16, feat_channels=16)
    config.roi_head.bbox_roi_extractor.out_channels = 16
    config.roi_head.bbox_head.update(in_channels=16, fc_out_channels=16, num_classes=2)
    return config


@pytest.mark.slow
def test_detector_initialises_its_backbone(tmp_path: Path) -> None:
    """The host calls `init_weights` on everything, and mmengine writes into its log where each weight came from."""
    pytest.importorskip('mmdet')
    trained = tiny()
    scatter(trained)
    torch.save(trained.state_dict(), tmp_path / 'trained.pth')
    narrow = {'depth': 14, 'stem_channels': 8, 'base_channels': 16}
    logger = MMLogger.get_instance('init', log_file=str(tmp_path / 'init.log'), log_level=logging.INFO)
    with DefaultScope.overwrite_default_scope('mmdet'):
        plain = MODELS.build(faster_rcnn(narrow))
        plain.init_weights()
        loaded = MODELS.build(faster_rcnn({**narrow, 'frozen_stages': 1, 'pretrained': str(tmp_path / 'trained.pth')}))
        loaded.init_weights()
    assert_kaiming(plain.backbone)
    assert changed(snapshot(trained), loaded.backbone) == set()
    assert not any(hasattr(module, '_params_init_info') for module in plain.modules())
    logger.handlers[-1].flush()
    log = (tmp_path / 'init.log').read_text()
    assert 'backbone.stem.0.weight - torch.Size([4, 3, 3, 3])' in log
    assert f'{tmp_path / "trained.pth"}: loaded' in log


@pytest.mark.slow
def test_detector_reports_a_checkpoint_that_does_not_fit(tmp_path: Path) -> None:
    pytest.importorskip('mmdet')
    torch.save(tiny(26).state_dict(), tmp_path / 'other.pth')
    with DefaultScope.overwrite_default_scope('mmdet'):
        detector = MODELS.build(
            faster_rcnn(
                {
                    'depth': 14,
                    'stem_channels': 8,
                    'base_channels': 16,
                    'init_cfg': {'type': 'Pretrained', 'checkpoint': str(tmp_path / 'other.pth')},
                }
            )
        )
        with pytest.raises(CheckpointError, match=r'its stages have \(2, 2, 2, 2\) blocks'):
            detector.init_weights()
