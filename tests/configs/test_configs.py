"""Every shipped config says what it means to, and its parts fit together."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, HOOKS, MODELS, TRANSFORMS, DefaultScope
from torch import Tensor, nn

from resnest_mm.training.config.walk import type_name
from tests.support.shipped_configs import (
    CONFIGS,
    SHIPPED,
    build,
    build_shipped,
    every_config,
    innermost,
    many,
    name_of,
    read,
)

SIDE = 64
"""Pixels of the image whose maps the necks and heads are given."""


def promised_strides(path: Path) -> list[int]:
    """Return the strides of the four maps that a name such as `fcn_s50-d8_ade20k` promises; no `-d`: 32."""
    largest = int(found[1]) if (found := re.search(r'-d(\d+)', path.stem)) else 32
    return [min(stride, largest) for stride in (4, 8, 16, 32)]


def segmentation_heads(model: Any) -> list[Any]:
    """Return the heads of a segmentor, or of its config, that classify pixels."""
    heads = [getattr(model, name, None) for name in ('decode_head', 'auxiliary_head')]
    return [part for head in heads for part in (head if isinstance(head, nn.ModuleList) else many(head))]


def detection_heads(model: Any) -> list[Any]:
    """Return the configs of a detector's heads that classify objects."""
    roi_head = model.get('roi_head', {})
    return [
        *many(model.get('bbox_head')),
        *many(roi_head.get('bbox_head')),
        *many(roi_head.get('mask_head')),
    ]


def classes_of(dataset: Any, scope: str) -> tuple[str, ...]:
    """Return the class names of a data set's config: its own, or those of its type."""
    own = dataset.get('metainfo', {}).get('classes')
    with DefaultScope.overwrite_default_scope(scope), DATASETS.switch_scope_and_registry(None) as registry:
        kind = dataset.type if isinstance(dataset.type, type) else registry.get(dataset.type)
        return tuple(own or kind.METAINFO['classes'])


def pipelines(cfg: Config) -> Iterator[list[Any]]:
    """Yield the transforms of all data sets and of the augmented test."""
    for split in ('train', 'val', 'test'):
        for dataset in innermost(cfg[f'{split}_dataloader'].dataset):
            yield dataset.pipeline
    yield cfg.get('tta_pipeline', [])


@every_config
def test_necks_and_heads_take_what_the_backbone_gives(path: Path) -> None:
    """The whole model builds; its backbone has the strides that the config's name promises; what follows fits it."""
    cfg, model = read(path), build_shipped(path)
    given = getattr(model.backbone, 'out_channels', None)
    if given is None:  # a host's own backbone, in a config that compares
        assert cfg.model.backbone.type != 'resnest_mm.ResNeSt'
        return
    strides, promised = list(model.backbone.out_strides), promised_strides(path)
    assert strides == [promised[index] for index in cfg.model.backbone.get('out_indices') or range(4)]
    if cfg.model.get('neck'):
        assert list(given) == list(cfg.model.neck.in_channels)
    maps = [
        torch.zeros(1, channels, SIDE // stride, SIDE // stride, device='meta')
        for channels, stride in zip(given, strides, strict=True)
    ]
    with torch.no_grad():
        maps = list(model.neck(tuple(maps))) if cfg.model.get('neck') else maps
        for head in segmentation_heads(model):
            scores: Tensor = head(maps)
            assert scores.shape[1] == head.num_classes


@every_config
def test_learning_rate_batch_and_schedule_belong_together(path: Path) -> None:
    """A schedule that ends early or counts epochs in a training by iterations would go unnoticed for days."""
    cfg = read(path)
    assert cfg.auto_scale_lr.enable is False
    assert cfg.auto_scale_lr.base_batch_size % cfg.train_dataloader.batch_size == 0
    loop, sampler = type_name(cfg.train_cfg), type_name(cfg.train_dataloader.sampler)
    assert (loop, sampler) in (('IterBasedTrainLoop', 'InfiniteSampler'), ('EpochBasedTrainLoop', 'DefaultSampler'))
    epochs = loop == 'EpochBasedTrainLoop'
    assert not epochs or "\n_base_ = 'mmdet::" in path.read_text(encoding='utf-8')  # a whole recipe of mmdet's
    length = cfg.train_cfg.max_epochs if epochs else cfg.train_cfg.max_iters
    last = max((step for step in cfg.param_scheduler if step.by_epoch is epochs), key=lambda scheduler: scheduler.end)
    # a polynomial decay that ends one iteration later gives the last one a rate above its floor
    late = int(type_name(last) == 'PolyLR' and last.end == length + 1)
    assert last.end == length + late
    assert epochs or not any(scheduler.by_epoch for scheduler in cfg.param_scheduler)
    assert length % cfg.train_cfg.val_interval == 0


@every_config
def test_classes_and_heads_agree(path: Path) -> None:
    """A head with another number of classes than its data set fails late, or never."""
    cfg = read(path)
    heads = segmentation_heads(cfg.model) if cfg.default_scope == 'mmseg' else detection_heads(cfg.model)
    assert heads
    train, val, test = (list(innermost(cfg[f'{split}_dataloader'].dataset)) for split in ('train', 'val', 'test'))
    for dataset in train:
        classes = classes_of(dataset, cfg.default_scope)
        assert [head.num_classes for head in heads] == [len(classes)] * len(heads)
    for dataset in (*val, *test):
        if dataset.type == 'CocoPanopticDataset':  # its classes are those of the training and then stuff
            panoptic = classes_of(dataset, cfg.default_scope)
            assert list(panoptic[: len(classes)]) == list(classes)
            assert len(panoptic) == len(classes) + cfg.model.semantic_head.num_stuff_classes
            continue
        assert type_name(dataset).removeprefix('Detectron2') == type_name(train[0]).removeprefix('Detectron2')
        assert dataset.get('metainfo') == train[0].get('metainfo')
        assert dataset.get('reduce_zero_label') == train[0].get('reduce_zero_label')


@every_config
def test_every_transform_builds(path: Path) -> None:
    """A misspelt transform or argument would show in the data loader's workers, after everything else."""
    cfg = read(path)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        for steps in pipelines(cfg):
            for step in steps:
                TRANSFORMS.build(step)


@pytest.mark.parametrize('path', [path for path in SHIPPED if 'segmentation' in path.parts], ids=name_of)
def test_crops_have_the_size_that_batches_are_padded_to(path: Path) -> None:
    """Smaller crops would train on borders."""
    cfg = read(path)
    for dataset in innermost(cfg.train_dataloader.dataset):
        for step in dataset.pipeline:
            if step.type == 'RandomCrop':
                assert tuple(step.crop_size) == tuple(cfg.model.data_preprocessor.size)


@pytest.mark.parametrize('path', sorted(CONFIGS.rglob('*.py')), ids=name_of)
def test_no_config_inherits_from_mmsegs(path: Path) -> None:
    """`mmseg::` does not resolve on OneDL, whose mmseg has another distribution name."""
    assert 'mmseg::' not in path.read_text(encoding='utf-8')


def test_no_two_configs_write_into_the_same_folder() -> None:
    """Without `--work-dir` a training writes to, and resumes from, its `work_dir` or a folder of the file's name."""
    folders = [str(read(path).get('work_dir', f'work_dirs/{path.stem}')) for path in SHIPPED]
    assert [folder for folder, count in Counter(folders).items() if count > 1] == []


def test_the_coco_recipe_sets_the_five_coupled_switches() -> None:
    """Pixel values, norms, frozen stages, box head and image sizes reproduce the numbers only together."""
    cfg = read(CONFIGS / 'detection' / 'faster-rcnn_s50_fpn_1x_coco.py')
    preprocessor, head = cfg.model.data_preprocessor, cfg.model.roi_head.bbox_head
    assert (preprocessor.mean, preprocessor.std) == ([123.68, 116.779, 103.939], [58.393, 57.12, 57.375])
    assert preprocessor.bgr_to_rgb is True
    norms = [cfg.model.backbone.norm_cfg.type, cfg.model.neck.norm_cfg.type, head.norm_cfg.type]
    assert norms == ['resnest_mm.NaiveSyncBN'] * 3
    assert (cfg.model.backbone.norm_eval, cfg.model.backbone.frozen_stages) == (False, 1)
    assert head.type == 'resnest_mm.Detectron2Shared4Conv1FCBBoxHead'
    resize = next(step for step in cfg.train_dataloader.dataset.pipeline if step.type == 'RandomResize')
    assert resize.scale == [(1333, 640), (1333, 800)]


def test_the_coco_recipe_has_the_authors_schedule_to_the_last_iteration() -> None:
    """Linear warm-up of 1000 iterations from a thousandth, then a tenth at 60,000 and 80,000."""
    import mmengine.optim  # noqa: F401 - registers the schedulers
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
    """All 134 parameters of norms, and nothing else, go without weight decay, as at the authors."""
    from mmengine.optim import build_optim_wrapper

    cfg = read(CONFIGS / 'detection' / 'faster-rcnn_s50_fpn_1x_coco.py')
    wrapper = build_optim_wrapper(build(cfg), cfg.optim_wrapper)
    trained = [group for group in wrapper.param_groups if group['params'][0].requires_grad]
    assert (len(trained), sum(group['weight_decay'] == 0 for group in trained)) == (252, 134)


def test_the_lines_of_the_detection_page_build() -> None:
    """What is pasted from the page into a config must exist under that name with those arguments."""
    pytest.importorskip('mmdet', reason='some of the lines are for mmdet')
    text = (CONFIGS.parent / 'docs' / 'detection.md').read_text(encoding='utf-8')
    blocks = re.findall(r'```python\n(.*?)```', text, flags=re.DOTALL)
    hooks, names, steps = [], [], []
    for block in blocks:
        if not block.startswith('dict('):
            found = Config.fromstring(block, '.py')
            hooks += found.get('custom_hooks', [])
            names += [found[key] for key in ('norm_cfg', 'tta_model') if key in found]
        else:
            steps.append(Config.fromstring(f'step = {block}', '.py').step)
    assert [hook.type for hook in hooks] == ['resnest_mm.PreciseBNHook', 'EMAHook', 'resnest_mm.PreciseBNHook']
    assert all(HOOKS.build(hook) for hook in hooks)
    assert all(MODELS.get(entry.type) is not None for entry in names) and len(names) == 2
    with DefaultScope.overwrite_default_scope('mmdet'):
        assert [type(TRANSFORMS.build(step)).__name__ for step in steps] == ['CropAroundInstance']
