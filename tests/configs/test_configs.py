"""Every shipped config says what it means to, and its parts fit together."""

from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope

pytest.importorskip('mmdet', reason='the shipped configs are for mmdet')

CONFIGS = Path(__file__).parents[2] / 'configs'
SHIPPED = sorted(path for path in CONFIGS.rglob('*.py') if '_base_' not in path.parts)


def read(path: Path) -> Config:
    cfg = Config.fromfile(path)
    init_default_scope(cfg.default_scope)
    return cfg


def without_weights(model: dict) -> dict:
    model = model.copy()
    model['backbone'] = {
        key: value for key, value in model['backbone'].items() if key not in ('init_cfg', 'pretrained')
    }
    return model


@pytest.mark.parametrize('path', SHIPPED, ids=lambda path: path.stem)
def test_the_neck_takes_what_the_backbone_gives(path: Path) -> None:
    from mmdet.registry import MODELS

    cfg = read(path)
    model = MODELS.build(without_weights(cfg.model))
    given = getattr(model.backbone, 'out_channels', None)
    if given is None:  # mmdet's own backbone, in a config that compares
        assert cfg.model.backbone.type != 'resnest_mm.ResNeSt'
    else:
        assert list(given) == list(cfg.model.neck.in_channels)
        assert list(model.backbone.out_strides) == [4, 8, 16, 32]


@pytest.mark.parametrize('path', SHIPPED, ids=lambda path: path.stem)
def test_learning_rate_batch_and_schedule_belong_together(path: Path) -> None:
    cfg = read(path)
    assert cfg.auto_scale_lr.enable is False
    assert cfg.auto_scale_lr.base_batch_size % cfg.train_dataloader.batch_size == 0
    ends = [scheduler.end for scheduler in cfg.param_scheduler]
    assert max(ends) == cfg.train_cfg.max_iters
    assert cfg.train_cfg.max_iters % cfg.train_cfg.val_interval == 0


@pytest.mark.parametrize('path', SHIPPED, ids=lambda path: path.stem)
def test_classes_and_heads_agree(path: Path) -> None:
    cfg = read(path)
    classes = cfg.train_dataloader.dataset.get('metainfo', {}).get('classes')
    assert cfg.model.roi_head.bbox_head.num_classes == (80 if classes is None else len(classes))
    assert cfg.train_dataloader.dataset.get('metainfo') == cfg.val_dataloader.dataset.get('metainfo')


def test_the_coco_recipe_sets_the_five_coupled_switches() -> None:
    cfg = read(CONFIGS / 'detection' / 'faster-rcnn_s50_fpn_1x_coco.py')
    preprocessor, head = cfg.model.data_preprocessor, cfg.model.roi_head.bbox_head
    assert (preprocessor.mean, preprocessor.std) == ([123.68, 116.779, 103.939], [58.393, 57.12, 57.375])
    assert preprocessor.bgr_to_rgb is True
    norms = [cfg.model.backbone.norm_cfg.type, cfg.model.neck.norm_cfg.type, head.norm_cfg.type]
    assert norms == ['SyncBN'] * 3
    assert (cfg.model.backbone.norm_eval, cfg.model.backbone.frozen_stages) == (False, 1)
    assert head.type == 'Shared4Conv1FCBBoxHead'
    resize = next(step for step in cfg.train_dataloader.dataset.pipeline if step.type == 'RandomResize')
    assert resize.scale == [(1333, 640), (1333, 800)]


def test_the_coco_recipe_has_the_authors_schedule_to_the_last_iteration() -> None:
    """Linear warm-up of 1000 iterations from a thousandth, then a tenth at 60,000 and 80,000."""
    import torch
    from mmengine.registry import PARAM_SCHEDULERS

    cfg = read(CONFIGS / 'detection' / 'faster-rcnn_s50_fpn_1x_coco.py')
    assert cfg.optim_wrapper.paramwise_cfg.norm_decay_mult == 0
    assert {key: cfg.optim_wrapper.optimizer[key] for key in ('lr', 'momentum', 'weight_decay')} == {
        'lr': 0.02,
        'momentum': 0.9,
        'weight_decay': 1e-4,
    }
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=cfg.optim_wrapper.optimizer.lr)
    schedulers = [PARAM_SCHEDULERS.build({**entry, 'optimizer': optimizer}) for entry in cfg.param_scheduler]
    optimizer.step()
    for iteration in range(cfg.train_cfg.max_iters):
        warm_up = min(iteration / 1000, 1)
        wanted = 0.02 * (0.001 * (1 - warm_up) + warm_up) * 0.1 ** ((iteration >= 60000) + (iteration >= 80000))
        assert optimizer.param_groups[0]['lr'] == pytest.approx(wanted, abs=1e-15)
        for scheduler in schedulers:
            scheduler.step()


def test_the_coco_recipe_decays_no_norm() -> None:
    from mmdet.registry import MODELS
    from mmengine.optim import build_optim_wrapper

    cfg = read(CONFIGS / 'detection' / 'faster-rcnn_s50_fpn_1x_coco.py')
    model = MODELS.build(without_weights(cfg.model))
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    trained = [group for group in wrapper.param_groups if group['params'][0].requires_grad]
    assert (len(trained), sum(group['weight_decay'] == 0 for group in trained)) == (252, 134)
