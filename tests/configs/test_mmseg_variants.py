"""mmseg's eight ResNeSt configs, each on the official network and as mmseg builds it for its released checkpoints."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from mmengine.config import Config
from mmengine.registry import DATASETS, DefaultScope
from PIL import Image

from resnest_mm.models.variants import BLOCKS_PER_STAGE
from resnest_mm.parity.compare import compare
from resnest_mm.parity.pair import Pair, import_reference
from resnest_mm.parity.references import official_maps
from resnest_mm.weights import from_official
from resnest_mm.weights.records.lookup import find_record
from tests.support.config_values import ABSENT, differences
from tests.support.metafiles import entry_of, first_metrics
from tests.support.shipped_configs import CONFIGS, build, many, network, read

mmseg = pytest.importorskip('mmseg', reason='its configs are what is compared with')

THEIRS = Path(mmseg.__file__).parent / '.mim' / 'configs' / 'resnest'
if not THEIRS.is_dir():
    pytest.skip('this mmseg ships no configs', allow_module_level=True)

FOLDER = CONFIGS / 'segmentation'
CITYSCAPES, ADE = '80k_cityscapes-512x1024', '160k_ade20k-512x512'
NAMES = {
    f'fcn_s101-d8_{CITYSCAPES}': 'resnest_s101-d8_fcn_4xb2-80k_cityscapes-512x1024',
    f'pspnet_s101-d8_{CITYSCAPES}': 'resnest_s101-d8_pspnet_4xb2-80k_cityscapes512x1024',
    f'deeplabv3_s101-d8_{CITYSCAPES}': 'resnest_s101-d8_deeplabv3_4xb2-80k_cityscapes-512x1024',
    f'deeplabv3plus_s101-d8_{CITYSCAPES}': 'resnest_s101-d8_deeplabv3plus_4xb2-80k_cityscapes-512x1024',
    f'fcn_s101-d8_{ADE}': 'resnest_s101-d8_fcn_4xb4-160k_ade20k-512x512',
    f'pspnet_s101-d8_{ADE}': 'resnest_s101-d8_pspnet_4xb4-160k_ade20k-512x512',
    f'deeplabv3_s101-d8_{ADE}': 'resnest_s101-d8_deeplabv3_4xb4-160k_ade20k-512x512',
    f'deeplabv3plus_s101-d8_{ADE}': 'resnest_s101-d8_deeplabv3plus_4xb4-160k_ade20k-512x512',
}
each_config = pytest.mark.parametrize('name', NAMES)
ANY = f'fcn_s101-d8_{ADE}'

DIFFERENCES = {
    'model.pretrained': ('open-mmlab://resnest101', ABSENT),
    'model.backbone.init_cfg.type': (ABSENT, 'Pretrained'),
    'model.backbone.init_cfg.checkpoint': (ABSENT, 'open-mmlab://resnest101'),
    'model.backbone.type': ('ResNeSt', 'resnest_mm.ResNeSt'),
    'model.backbone.avd_in_dilated': (ABSENT, False),
    'model.backbone.variant': (ABSENT, 'resnest101'),
    'model.backbone.depth': (101, ABSENT),
    'model.backbone.stem_channels': (128, ABSENT),
    'model.backbone.radix': (2, ABSENT),
    'model.backbone.reduction_factor': (4, ABSENT),
    'model.backbone.avg_down_stride': (True, ABSENT),
    'model.backbone.num_stages': (4, ABSENT),
    'model.backbone.out_indices': ((0, 1, 2, 3), ABSENT),
    'model.backbone.norm_eval': (False, ABSENT),
    'model.backbone.style': ('pytorch', ABSENT),
    'model.backbone.contract_dilation': (True, ABSENT),
    'optim_wrapper.clip_grad': (None, ABSENT),
    'tta_pipeline.0.backend_args': (None, ABSENT),
    'auto_scale_lr.enable': (ABSENT, False),
    'default_hooks.checkpoint.max_keep_ckpts': (ABSENT, 1),
    'log_processor.type': (ABSENT, 'LogProcessor'),
    'log_processor.window_size': (ABSENT, 50),
}
"""Dotted key: mmseg's value, ours. What is absent on our side is the default there, or said by the variant's name."""

ADE_DIFFERENCES = {
    'train_dataloader.dataset.pipeline.1.reduce_zero_label': (True, ABSENT),
    'val_dataloader.dataset.pipeline.2.reduce_zero_label': (True, ABSENT),
    'test_dataloader.dataset.pipeline.2.reduce_zero_label': (True, ABSENT),
}
"""An argument that is deprecated: the data set's class says the same."""


def corrected(name: str) -> Config:
    return read(FOLDER / f'{name}.py')


def compatible(name: str) -> Config:
    return read(FOLDER / 'mmseg-compatible' / f'{name}.py')


def original(name: str) -> Config:
    return read(THEIRS / f'{NAMES[name]}.py')


def keywords(backbone: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """Return the arguments of a config's backbone without its weights, and with a depth in place of a variant."""
    dropped = ('type', 'init_cfg', 'pretrained', 'variant')
    return {**{key: value for key, value in backbone.items() if key not in dropped}, **changes}


def mmseg_pair(ours: Config, theirs: Config, **changes: Any) -> Pair:
    """Return mmseg's own class as one config has it and our backbone as the other has it."""
    build_reference = import_reference('mmseg.models.backbones').ResNeSt
    return Pair(
        label='mmseg',
        depth=changes['depth'],
        build_reference=lambda: build_reference(**keywords(theirs.model.backbone, **changes)),
        reference_maps=lambda network, images: network(images),
        rename=lambda state: state,
        keywords=keywords(ours.model.backbone, **changes),
    )


def official_pair(cfg: Config, *, depth: int) -> Pair:
    """Return the official package's class, dilated, and our backbone as a config has it, both with 101's stem."""
    module = import_reference('resnest.torch.resnet')
    structure = dict(radix=2, deep_stem=True, stem_width=64, avg_down=True, avd=True, dilated=True)
    return Pair(
        label='official',
        depth=depth,
        build_reference=lambda: module.ResNet(module.Bottleneck, list(BLOCKS_PER_STAGE[depth]), **structure),
        reference_maps=official_maps,
        rename=from_official,
        keywords=keywords(cfg.model.backbone, depth=depth, stem_channels=128),
    )


def published() -> dict[str, dict[str, Any]]:
    """Return mmseg's own records of its released models, by config."""
    models = yaml.safe_load((THEIRS / 'metafile.yaml').read_text(encoding='utf-8'))['Models']
    return {entry['Name']: entry for entry in models}


def test_all_configs_of_mmseg_have_both_variants() -> None:
    """A ninth config of a later mmseg would be noticed."""
    assert sorted(NAMES.values()) == sorted(path.stem for path in THEIRS.glob('*.py'))
    assert sorted(NAMES) == sorted(path.stem for path in (FOLDER / 'mmseg-compatible').glob('*.py'))
    assert all((FOLDER / f'{name}.py').is_file() for name in NAMES)


@each_config
def test_compatible_values_are_mmsegs(name: str) -> None:
    """Model, data, schedule and tests, key by key; what differs is listed above or follows from the name."""
    expected = {
        **DIFFERENCES,
        **(ADE_DIFFERENCES if ADE in name else {}),
        'auto_scale_lr.base_batch_size': (ABSENT, 16 if ADE in name else 8),  # mmseg: 4 GPUs of 4 or of 2 images
        'work_dir': (ABSENT, f'work_dirs/mmseg-compatible/{name}'),
    }
    assert differences(original(name), compatible(name)) == expected


@each_config
def test_the_variants_differ_in_the_pools_and_the_folder_alone(name: str) -> None:
    """Whoever changes the one must change the other."""
    assert differences(corrected(name), compatible(name)) == {
        'model.backbone.avd_in_dilated': (ABSENT, False),
        'work_dir': (ABSENT, f'work_dirs/mmseg-compatible/{name}'),
    }


@each_config
def test_a_released_checkpoint_fits_the_compatible_segmentor_strictly(name: str) -> None:
    """mmseg's own model has the keys and shapes of its checkpoints: backbone, head and auxiliary head."""
    ours, theirs = network(FOLDER / 'mmseg-compatible' / f'{name}.py'), build(original(name))
    assert type(theirs.backbone).__module__ == 'mmseg.models.backbones.resnest'
    assert ours.shapes == {key: tuple(value.shape) for key, value in theirs.state_dict().items()}


@pytest.mark.parametrize('kind', [original, compatible, corrected])
def test_the_eight_differ_after_the_backbone_alone(kind: Callable[[str], Config]) -> None:
    """What the features of one are compared with below holds for all."""
    backbones = [kind(name).model.backbone for name in NAMES]
    assert backbones == [backbones[0]] * 8


def test_compatible_features_are_mmsegs() -> None:
    """At full depth, an eighth as wide: the same weights give the same maps, in evaluation and in training."""
    pair = mmseg_pair(compatible(ANY), original(ANY), depth=101, base_channels=8, stem_channels=16)
    row = compare(pair, size=32)
    assert row.passed, row


def test_corrected_features_are_not_mmsegs() -> None:
    """No key and no shape shows the pools, so only the values can tell that a switch did nothing."""
    pair = mmseg_pair(corrected(ANY), original(ANY), depth=50, base_channels=8, stem_channels=16)
    row = compare(pair, size=32)
    assert 0.01 < row.differences.eval < math.inf, row


@pytest.mark.parametrize('depth', [14, pytest.param(101, marks=pytest.mark.slow)])
def test_corrected_features_are_the_official_networks(depth: int) -> None:
    """With one block a stage, too: all that dilation changes happens in the first."""
    pytest.importorskip('resnest.torch', reason='pip install --no-deps resnest==0.0.5')
    row = compare(official_pair(corrected(ANY), depth=depth))
    assert row.passed, row


@each_config
def test_the_metafile_has_what_mmseg_published(name: str) -> None:
    """Its numbers, to the last digit, and the file that the docstring names."""
    entry = published()[NAMES[name]]
    [result] = many(entry['Results'])
    text = ast.get_docstring(ast.parse((FOLDER / 'mmseg-compatible' / f'{name}.py').read_text(encoding='utf-8')))
    assert first_metrics(entry_of(f'segmentation/mmseg-compatible/{name}')) == result['Metrics']
    assert f'`{entry["Weights"].rpartition("/")[2]}`' in text
    record = find_record(re.search('the record `(.+?)`', text)[1])
    assert entry['Weights'] in record.mirrors
    assert f'python tools/test.py segmentation/mmseg-compatible/{name} CHECKPOINT' in text


def test_no_class_of_ade20k_is_ignored_and_the_rest_move_down(tmp_path: Path) -> None:
    """Value 0 of a label image becomes 255 and 1 to 150 become 0 to 149, though no pipeline says so."""
    for folder in ('images/training', 'annotations/training'):
        (tmp_path / folder).mkdir(parents=True)
    Image.fromarray(np.zeros((2, 3, 3), np.uint8)).save(tmp_path / 'images/training/a.jpg')
    Image.fromarray(np.array([[0, 1, 150], [0, 2, 3]], np.uint8)).save(tmp_path / 'annotations/training/a.png')
    dataset = dict(corrected(ANY).train_dataloader.dataset, data_root=str(tmp_path))
    dataset['pipeline'] = dataset['pipeline'][:2]
    with DefaultScope.overwrite_default_scope('mmseg'):
        [sample] = DATASETS.build(dataset)
    assert sample['gt_seg_map'].tolist() == [[255, 0, 149], [255, 1, 2]]
