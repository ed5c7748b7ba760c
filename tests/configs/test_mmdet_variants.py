"""mmdet's eight ResNeSt configs with our backbone, for its released checkpoints; and its other detectors with it."""

from __future__ import annotations

import ast
import math
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import torch
import yaml
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

from resnest_mm.parity.compare import compare
from resnest_mm.parity.pair import Pair, import_reference
from resnest_mm.weights.records.lookup import find_record
from tests.support.config_values import ABSENT, differences
from tests.support.metafiles import entry_of, first_metrics
from tests.support.shipped_configs import CONFIGS, build, network, read, without_weights

mmdet = pytest.importorskip('mmdet', reason='its configs are what is compared with')

HOST = Path(mmdet.__file__).parent / '.mim' / 'configs'
THEIRS = HOST / 'resnest'
if not THEIRS.is_dir():
    pytest.skip('this mmdet ships no configs', allow_module_level=True)

FOLDER = CONFIGS / 'detection'
BOX, MASK = 'fpn_syncbn-backbone+head_ms-range-1x_coco', 'fpn_syncbn-backbone+head_ms-1x_coco'
NAMES = {
    f'{detector}_s{depth}_fpn_1x_coco': f'{detector}_s{depth}_{rest}'
    for detector, rest in (
        ('faster-rcnn', BOX),
        ('cascade-rcnn', BOX),
        ('mask-rcnn', MASK),
        ('cascade-mask-rcnn', MASK),
    )
    for depth in (50, 101)
}
each_config = pytest.mark.parametrize('name', NAMES)
each_depth = pytest.mark.parametrize('depth', [50, 101])


def compatible(name: str) -> Config:
    return read(FOLDER / 'mmdet-compatible' / f'{name}.py')


def original(name: str) -> Config:
    return read(THEIRS / f'{NAMES[name]}.py')


def keywords(cfg: Config, **changes: Any) -> dict[str, Any]:
    """Return the arguments of a config's backbone without its weights."""
    return {**{key: value for key, value in cfg.model.backbone.items() if key not in ('type', 'init_cfg')}, **changes}


def published() -> dict[str, dict[str, Any]]:
    """Return mmdet's own records of its released models, by config."""
    models = yaml.safe_load((THEIRS / 'metafile.yml').read_text(encoding='utf-8'))['Models']
    return {entry['Name']: entry for entry in models}


def test_all_configs_of_mmdet_have_a_variant() -> None:
    """A ninth config of a later mmdet would be noticed."""
    assert sorted(NAMES.values()) == sorted(path.stem for path in THEIRS.glob('*.py'))
    assert sorted(NAMES) == sorted(path.stem for path in (FOLDER / 'mmdet-compatible').glob('*.py'))


@each_config
def test_compatible_values_are_mmdets(name: str) -> None:
    """Model, data, schedule and tests, key by key."""
    assert differences(original(name), compatible(name)) == {
        'model.backbone.type': ('ResNeSt', 'resnest_mm.ResNeSt'),
        'work_dir': (ABSENT, f'work_dirs/mmdet-compatible/{name}'),
    }


@each_config
def test_a_released_checkpoint_fits_the_compatible_detector_strictly(name: str) -> None:
    """mmdet's own model has the keys and shapes of its checkpoints: backbone, neck and all heads."""
    ours, theirs = network(FOLDER / 'mmdet-compatible' / f'{name}.py'), build(original(name))
    assert type(theirs.backbone).__module__ == 'mmdet.models.backbones.resnest'
    assert ours.backbone.__module__ == 'resnest_mm.models.resnest'
    assert ours.shapes == {key: tuple(value.shape) for key, value in theirs.state_dict().items()}


@each_depth
def test_detectors_of_a_depth_have_one_backbone(depth: int) -> None:
    """What the features of one are compared with below holds for all."""
    backbones = [compatible(name).model.backbone for name in NAMES if f'_s{depth}_' in name]
    assert backbones == [backbones[0]] * 4


@each_depth
def test_compatible_features_are_mmdets(depth: int) -> None:
    """At full depth, an eighth as wide: the same weights give the same maps, in evaluation and in training."""
    narrow = dict(base_channels=8, stem_channels=8 if depth == 50 else 16)
    name = f'faster-rcnn_s{depth}_fpn_1x_coco'
    norm_cfg = dict(type='BN', requires_grad=True)  # a synchronised one trains on GPUs alone
    build_reference = import_reference('mmdet.models.backbones').ResNeSt
    pair = Pair(
        label='mmdet',
        depth=depth,
        build_reference=lambda: build_reference(**keywords(original(name), norm_cfg=norm_cfg, **narrow)),
        reference_maps=lambda network, images: network(images),
        rename=lambda state: state,
        keywords=keywords(compatible(name), norm_cfg=norm_cfg, **narrow),
    )
    row = compare(pair, size=64)
    assert row.passed, row


@each_config
def test_the_metafile_has_what_mmdet_published(name: str) -> None:
    """Its numbers, to the last digit, and the file that the docstring names."""
    entry = published()[NAMES[name]]
    scores = {metric: value for result in entry['Results'] for metric, value in result['Metrics'].items()}
    text = ast.get_docstring(ast.parse((FOLDER / 'mmdet-compatible' / f'{name}.py').read_text(encoding='utf-8')))
    assert first_metrics(entry_of(f'detection/mmdet-compatible/{name}')) == scores
    assert f'`{unquote(entry["Weights"].rpartition("/")[2])}`' in text
    record = find_record(re.search('the record `(.+?)`', text)[1])
    assert [unquote(mirror) for mirror in record.mirrors] == [unquote(entry['Weights'])]
    assert f'python tools/test.py detection/mmdet-compatible/{name} CHECKPOINT' in text


def test_retinanet_is_mmdets_after_the_backbone() -> None:
    """Only backbone and preprocessing differ, so that the backbones can be compared."""
    ours, theirs = read(FOLDER / 'retinanet_s50_fpn_1x_coco.py'), read(HOST / 'retinanet/retinanet_r50_fpn_1x_coco.py')
    changed = {key for key in differences(theirs, ours) if key.startswith(('model.', 'tta_model.'))}
    assert {key.split('.')[1] for key in changed} == {'backbone', 'data_preprocessor'}
    assert ours.optim_wrapper.optimizer == theirs.optim_wrapper.optimizer


def test_retinanet_has_the_backbone_data_and_schedule_of_the_authors_faster_rcnn() -> None:
    """Only the learning rate differs, so that the detectors can be compared."""
    ours, theirs = read(FOLDER / 'retinanet_s50_fpn_1x_coco.py'), read(FOLDER / 'faster-rcnn_s50_fpn_1x_coco.py')
    changed = {key: pair for key, pair in differences(theirs, ours).items() if not key.startswith(('model.', 'tta_'))}
    assert changed == {'optim_wrapper.optimizer.lr': (0.02, 0.01)}
    assert ours.model.backbone == theirs.model.backbone
    assert ours.model.data_preprocessor == theirs.model.data_preprocessor


def test_retinanet_builds_its_augmented_test() -> None:
    """The authors' class refuses a detector without a RoI head."""
    cfg = read(FOLDER / 'retinanet_s50_fpn_1x_coco.py')
    with DefaultScope.overwrite_default_scope('mmdet'), torch.device('meta'):
        model = MODELS.build({**cfg.tta_model, 'module': without_weights(cfg.model)})
    assert type(model.module).__name__ == 'RetinaNet'


def test_dino_is_mmdets_but_for_the_backbone() -> None:
    """Only backbone and preprocessing differ, so that the backbones can be compared."""
    ours, theirs = read(FOLDER / 'dino-4scale_s50_12e_coco.py'), read(HOST / 'dino/dino-4scale_r50_8xb2-12e_coco.py')
    found = differences(theirs, ours)
    assert found.pop('auto_scale_lr.enable') == (ABSENT, False)
    assert found.pop('model.data_preprocessor.mean')[1] == (123.68, 116.779, 103.939)
    assert found.pop('model.data_preprocessor.std')[1] == (58.393, 57.12, 57.375)
    assert all(key.startswith('model.backbone.') for key in found)


@pytest.mark.slow
@pytest.mark.parametrize('name', ['retinanet_s50_fpn_1x_coco', 'dino-4scale_s50_12e_coco'])
def test_a_training_step_has_finite_losses_and_reaches_the_backbone(name: str) -> None:
    """These detectors have no recipe of the authors to be compared with, so they take a step at full width."""
    from mmdet.testing import demo_mm_inputs

    cfg = read(FOLDER / f'{name}.py')
    model = without_weights(cfg.model)
    model['backbone'].update(variant=None, depth=14, frozen_stages=-1)
    if 'num_queries' in model:
        model['num_queries'] = 20  # 900 are more than so small images have places
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmdet'):
        detector = MODELS.build(model).train()
        detector.init_weights()  # until then some of mmdet's parameters hold whatever was in the memory
        inputs = demo_mm_inputs(2, [[3, 96, 64], [3, 64, 96]], num_classes=80)
        data = detector.data_preprocessor(inputs, training=True)
        losses = detector(**data, mode='loss')
        total, named = detector.parse_losses(losses)
    assert all(math.isfinite(value) for value in named.values())
    total.backward()
    assert all(part.grad.abs().sum() > 0 for part in detector.backbone.parameters() if part.requires_grad)
