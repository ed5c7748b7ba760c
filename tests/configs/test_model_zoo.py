"""The metafiles: what they say of a config is what the config builds, its docstring says and its released file fits."""

from __future__ import annotations

import ast
import dataclasses
import functools
import re
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from resnest_mm.model_zoo.check import find_faults
from resnest_mm.model_zoo.metafile import Entry, read_index
from resnest_mm.model_zoo.parameters import find_miscounts
from resnest_mm.models.variants import VARIANTS
from resnest_mm.training.config.walk import type_name
from resnest_mm.weights.convert.api import convert
from resnest_mm.weights.layouts.names import COUNTER
from resnest_mm.weights.records.lookup import RECORDS
from tests.support import key_lists
from tests.support.shipped_configs import CONFIGS, build, every_config, innermost, name_of, read

ENTRIES = read_index(CONFIGS.parent / 'model-index.yml')
CONVERTED = [entry for entry in ENTRIES if entry.converted]

COLLECTIONS = {
    'FasterRCNN': 'Faster R-CNN',
    'MaskRCNN': 'Mask R-CNN',
    'CascadeRCNN': 'Cascade R-CNN',
    'Detectron2PanopticFPN': 'Panoptic FPN',
    'RetinaNet': 'RetinaNet',
    'DINO': 'DINO',
    'FCNHead': 'FCN',
    'PSPHead': 'PSPNet',
    'ASPPHead': 'DeepLabV3',
    'DeepLabV3Head': 'DeepLabV3',
    'DepthwiseSeparableASPPHead': 'DeepLabV3+',
    'UPerHead': 'UPerNet',
    'SegformerHead': 'SegFormer',
}
DATA = {
    'data/coco/': 'COCO',
    'data/ade/ADEChallengeData2016': 'ADE20K',
    'data/cityscapes/': 'Cityscapes',
    'data/VOCdevkit/VOC2010': 'Pascal Context 59',
    'data/bccd/': 'BCCD',
    'data/camvid/': 'CamVid',
    'data/demo/': 'demo',
    'data/mine/': 'own data',
}


@functools.cache
def entry_of(config: str) -> Entry:
    """Return the one entry of a config; until there is one, its test fails."""
    (entry,) = (entry for entry in ENTRIES if entry.config == config)
    return entry


@functools.cache
def network_of(config: str) -> tuple[int, dict[str, tuple[int, ...]]]:
    """Return how many parameters a config's model has, and the keys and shapes of its checkpoints."""
    model = build(read(CONFIGS / f'{config}.py'))
    shapes = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    return sum(parameter.numel() for parameter in model.parameters()), shapes


def collection_of(model: Mapping[str, Any]) -> str:
    """Return what the kind of a model is called."""
    kind = COLLECTIONS[type_name(model.get('decode_head') or model)]
    has_masks = bool((model.get('roi_head') or {}).get('mask_head'))
    return 'Cascade Mask R-CNN' if kind == 'Cascade R-CNN' and has_masks else kind


def architecture_of(model: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the backbone, and what else the metafiles tell a network by."""
    backbone = model['backbone']
    if type_name(backbone) == 'ResNeSt':
        depth = str(backbone.get('variant') or backbone['depth']).removeprefix('resnest')
        names = [f'ResNeSt-{depth.replace("_", "-")}']
    else:
        assert type_name(backbone) == 'ResNetV1d'
        names = [f'ResNet-{backbone["depth"]}-D']
    if backbone.get('dcn'):
        names.append('DCN')
    if tuple(backbone.get('strides') or ()) == (1, 2, 1, 1):
        names.append('stride 8')
    if type_name(model.get('neck') or {}) == 'FPN':
        names.append('FPN')
    return tuple(names)


def docstring_of(config: str) -> str:
    """Return a config's docstring."""
    return ast.get_docstring(ast.parse((CONFIGS / f'{config}.py').read_text(encoding='utf-8'))) or ''


def test_metafiles_configs_and_records_agree() -> None:
    """Every shipped config once and no other; every record exists and has the metafile's URL and numbers."""
    assert find_faults(ENTRIES) == []


@every_config
def test_an_entry_says_what_its_config_builds(path: Path) -> None:
    """Kind, backbone, data, length and batch size."""
    cfg, entry = read(path), entry_of(name_of(path))
    assert (entry.collection, entry.architecture) == (collection_of(cfg.model), architecture_of(cfg.model))
    roots = {DATA[dataset.data_root] for dataset in innermost(cfg.train_dataloader.dataset)}
    assert {entry.data} == roots
    unit = 'max_iters' if 'max_iters' in cfg.train_cfg else 'max_epochs'
    assert entry.length == ({'max_iters': 'Iterations', 'max_epochs': 'Epochs'}[unit], str(cfg.train_cfg[unit]))
    assert entry.batch_size == str(cfg.auto_scale_lr.base_batch_size)
    assert all(result.dataset.startswith(entry.data) for result in entry.results)


@every_config
def test_parameters_are_counted(path: Path) -> None:
    count, _ = network_of(name_of(path))
    assert count == entry_of(name_of(path)).parameters


def test_the_command_counts_the_same() -> None:
    """It finds a wrong number and leaves a right one; with the hosts it needs no weights and no memory."""
    pytest.importorskip('mmdet')
    right = entry_of('detection/faster-rcnn_s14_fpn_bccd')
    wrong = dataclasses.replace(right, parameters=1)
    said = f'{right.config}: its model has {right.parameters} parameters, and the metafile says 1'
    assert find_miscounts([right, wrong]) == [said]


@pytest.mark.parametrize(
    'entry', [entry for entry in ENTRIES if entry.group in ('authors', 'mmdet', 'mmseg')], ids=lambda entry: entry.name
)
def test_published_numbers_are_those_of_the_docstring(entry: Entry) -> None:
    """Digit by digit, none more and none less; and the docstring names whom the metafile names."""
    numbers = {value for result in entry.results for value in result.metrics.values()}
    text = docstring_of(entry.config)
    assert numbers == set(re.findall(r'\b\d\d\.\d+', text))
    said = {'authors': "The paper's authors report", 'mmdet': 'mmdet published', 'mmseg': 'mmseg published'}
    assert said[entry.group] in text
    assert all(re.match(rf'(the )?{entry.group}\b', result.source) for result in entry.results)


@pytest.mark.parametrize(
    'entry', [entry for entry in ENTRIES if entry.group == 'measured'], ids=lambda entry: entry.name
)
def test_numbers_measured_here_stand_in_the_readme(entry: Entry) -> None:
    """On one line of it, as fractions, together with the time that the training took."""
    assert all(result.source.startswith('this project') for result in entry.results)
    values = [value for result in entry.results for value in result.metrics.values()]
    wanted = [str(Decimal(value).scaleb(-2)) for value in values]
    wanted += [value for name, value in entry.costs.items() if name == 'Training Time']
    text = (CONFIGS.parent / 'README.md').read_text(encoding='utf-8')
    assert any(all(value in line for value in wanted) for line in text.splitlines()), wanted
    assert entry.costs.get('Iteration Time', '') in text


@pytest.mark.parametrize('entry', [entry for entry in ENTRIES if entry.record], ids=lambda entry: entry.name)
def test_a_released_file_has_the_backbone_of_its_config(entry: Entry) -> None:
    record = RECORDS[entry.record]
    assert entry.architecture[0] == f'ResNeSt-{VARIANTS[record.variant].depth}'
    cfg = read(CONFIGS / f'{entry.config}.py')
    assert record.part == {'mmdet': 'detector', 'mmseg': 'segmentor'}[cfg.default_scope]


@pytest.mark.parametrize('entry', CONVERTED, ids=lambda entry: entry.name)
def test_a_released_file_loads_into_its_config_once_converted(entry: Entry) -> None:
    """What the command on the page makes of the released keys and shapes is what the config's model has."""
    name = str(entry.record).partition('/')[2]
    released = key_lists.segmentor(name) if name in key_lists.SEGMENTORS else None
    given = released or key_lists.detector(key_lists.DETECTORS[name])
    converted = {key: tuple(value.shape) for key, value in convert(given).tensors.items()}
    _, wanted = network_of(entry.config)
    assert {key: shape for key, shape in wanted.items() if key in converted or not key.endswith(COUNTER)} == converted


def test_every_released_model_has_a_config() -> None:
    """What the authors, mmdet and mmseg released can be evaluated here."""
    whole = {record.name for record in RECORDS.values() if record.part in ('detector', 'segmentor')}
    assert whole == {entry.record for entry in ENTRIES if entry.record}


def test_faults_are_found() -> None:
    """A number, a URL, a name or a group that is wrong, and a config that is left out, twice there or not shipped."""
    index = next(index for index, entry in enumerate(ENTRIES) if entry.config == 'detection/mask-rcnn_s50_fpn_1x_coco')
    good = ENTRIES[index]
    worse = dataclasses.replace(good.results[0], metrics={'box AP': '42.82'})
    for changed, words in (
        (dict(results=(worse, good.results[1])), "the results {'box AP': 42.82, 'mask AP': 38.14} are not those of"),
        (dict(results=()), 'an entry of the group authors has results'),
        (
            dict(url='https://example.org/a.pth'),
            'https://example.org/a.pth is no URL of detectron2/mask_rcnn_ResNeSt_50',
        ),
        (dict(record='detectron2/nothing'), 'resnest_mm.weights.records.lookup has no detectron2/nothing'),
        (dict(record=None), 'an entry of the group authors has the Record of the released file'),
        (dict(converted=False), 'has the layout detectron2; Converted From is for other layouts'),
        (dict(name='mask-rcnn'), 'its Name is mask-rcnn and should be mask-rcnn_s50_fpn_1x_coco'),
        (dict(group='unpublished'), 'an entry of the group unpublished has none'),
        (dict(config='detection/gone', name='gone'), 'detection/gone is in a metafile and not shipped'),
    ):
        entries = [*ENTRIES[:index], dataclasses.replace(good, **changed), *ENTRIES[index + 1 :]]
        assert any(words in fault for fault in find_faults(entries)), (changed, find_faults(entries))
    assert find_faults(ENTRIES[1:]) == [f'{ENTRIES[0].config} is shipped and in no metafile']
    twice = find_faults([*ENTRIES, good])
    assert twice == [f'{good.config} is listed 2 times', f'the Name {good.name} stands for 2 entries']
