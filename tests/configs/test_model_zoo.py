"""The metafiles: an entry says what its config builds and whose numbers it has, and its released file fits."""

from __future__ import annotations

import ast
import dataclasses
import re
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from resnest_mm.model_zoo.check import find_faults
from resnest_mm.model_zoo.metafile import Entry
from resnest_mm.model_zoo.parameters import find_miscounts
from resnest_mm.models.variants import VARIANTS
from resnest_mm.training.config.walk import type_name
from resnest_mm.weights.convert.api import convert
from resnest_mm.weights.layouts.names import COUNTER
from resnest_mm.weights.records.lookup import RECORDS
from tests.support import key_lists
from tests.support.metafiles import ENTRIES, entry_of
from tests.support.shipped_configs import CONFIGS, every_config, innermost, name_of, network, read

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
    """The number in a metafile is that of the model that its config builds."""
    assert network(path).parameters == entry_of(name_of(path)).parameters


def test_the_command_counts_the_same() -> None:
    """It finds a wrong number and leaves a right one; with the hosts it needs no weights and no memory."""
    pytest.importorskip('mmdet')
    right = entry_of('detection/faster-rcnn_s14_fpn_bccd')
    wrong = dataclasses.replace(right, parameters=1)
    said = f'{right.config}: its model has {right.parameters} parameters, and the metafile says 1'
    assert find_miscounts([right, wrong]) == [said]


PUBLISHED = [entry for entry in ENTRIES if entry.group in ('authors', 'mmdet', 'mmseg')]


@pytest.mark.parametrize('entry', PUBLISHED, ids=lambda entry: entry.name)
def test_a_docstring_says_whose_numbers_a_config_has(entry: Entry) -> None:
    """It names whom the metafile names, and where the numbers are."""
    text = ' '.join(docstring_of(entry.config).split())
    said = {'authors': "The authors' recipe for", 'mmdet': 'that mmdet published', 'mmseg': 'that mmseg published'}
    assert said[entry.group] in text and 'docs/model_zoo.md has' in text
    assert all(re.match(rf'(the )?{entry.group}\b', result.source) for result in entry.results)


def test_a_published_number_has_one_home() -> None:
    """The metafile; docs/model_zoo.md is written from it. A copy elsewhere would have to be changed with it."""
    numbers = {value for entry in PUBLISHED for result in entry.results for value in result.metrics.values()}
    exact = {number for number in numbers if len(number) == len('42.33')}
    assert len(exact) > 40
    top = CONFIGS.parent
    files = [path for folder in ('configs', 'resnest_mm', 'tools') for path in (top / folder).rglob('*.py')]
    files += [*top.glob('*.md'), *(path for path in (top / 'docs').glob('*.md') if path.name != 'model_zoo.md')]
    found = {
        (path.relative_to(top).as_posix(), number)
        for path in files
        for number in re.findall(r'(?<![\d.])\d\d\.\d\d(?!\.?\d)', path.read_text(encoding='utf-8'))
        if number in exact
    }
    assert found == set()


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
    """A file of another depth would be refused only once somebody loads it."""
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
    wanted = network(CONFIGS / f'{entry.config}.py').shapes
    assert {key: shape for key, shape in wanted.items() if key in converted or not key.endswith(COUNTER)} == converted


def test_every_released_model_has_a_config() -> None:
    """What the authors, mmdet and mmseg released can be evaluated here."""
    whole = {record.name for record in RECORDS.values() if record.part in ('detector', 'segmentor')}
    assert whole == {entry.record for entry in ENTRIES if entry.record}


def test_faults_are_found() -> None:
    """A URL, a name or a group that is wrong, and a config that is left out, listed twice or not shipped."""
    index = next(index for index, entry in enumerate(ENTRIES) if entry.config == 'detection/mask-rcnn_s50_fpn_1x_coco')
    good = ENTRIES[index]
    for changed, words in (
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
