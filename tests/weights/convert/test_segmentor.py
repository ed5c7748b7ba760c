"""Every released segmentation model goes from PyTorch-Encoding to mmseg and back with no key left over."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
import torch
from torch import Tensor

from resnest_mm.errors import ConversionError
from resnest_mm.models import ResNeSt
from resnest_mm.weights.convert.backbone import convert_backbone
from resnest_mm.weights.convert.segmentor import convert_segmentor
from resnest_mm.weights.layouts.detect import detect_layout
from tests.support import key_lists
from tests.support.slim_models import fcn_heads, slim_segmentor
from tests.support.tiny_backbones import tiny


@pytest.mark.parametrize('name', key_lists.SEGMENTORS)
def test_released_segmentors_convert_without_leftovers(name: str) -> None:
    """Every key has exactly one new name, and the way back gives every name and shape."""
    state = key_lists.segmentor(name)
    converted = convert_segmentor(state)
    assert len(converted) == len(state)
    assert all(key.startswith(('backbone.', 'decode_head.', 'auxiliary_head.')) for key in converted)
    classes = key_lists.SEGMENTORS[name][2]
    assert converted['decode_head.conv_seg.weight'].shape[0] == classes
    back = convert_segmentor(converted, target='encoding')
    assert {key: value.shape for key, value in back.items()} == {key: value.shape for key, value in state.items()}


def test_deeplab_names_are_those_of_our_head() -> None:
    """The names are written down here a second time, apart from the table."""
    generator = torch.Generator().manual_seed(0)
    lists = key_lists.tensors(['deeplab', 'auxiliary'], 'encoding', depth=50, classes=20)
    heads = {  # a quarter of the channels, as the narrow backbone has
        key: torch.rand([size // 4 if size > 9 else size for size in value.shape], generator=generator)
        for key, value in lists.items()
        if not key.endswith('num_batches_tracked')
    }
    state = {**convert_backbone(tiny().state_dict(), target='encoding'), **heads}
    converted = convert_segmentor(state)
    for theirs, ours in {
        'head.aspp.b0.0.weight': 'decode_head.branches.0.conv.weight',
        'head.aspp.b3.1.bias': 'decode_head.branches.3.bn.bias',
        'head.aspp.b4.gap.1.weight': 'decode_head.image_pool.conv.weight',
        'head.aspp.b4.gap.2.running_mean': 'decode_head.image_pool.bn.running_mean',
        'head.aspp.project.0.weight': 'decode_head.project.conv.weight',
        'head.block.0.weight': 'decode_head.convs.0.conv.weight',
        'head.block.1.weight': 'decode_head.convs.0.bn.weight',
        'head.block.4.bias': 'decode_head.conv_seg.bias',
        'auxlayer.conv5.4.weight': 'auxiliary_head.conv_seg.weight',
    }.items():
        assert torch.equal(converted[ours], state[theirs])


def test_mmsegs_heads_compute_the_same() -> None:
    """The FCN and auxiliary heads of mmseg take the converted weights strictly and give the same logits.

    In double: sums of 4608 float32 products differ by about 1e-6 where a convolution adds them in another order.
    """
    heads = pytest.importorskip('mmseg.models').FCNHead
    theirs = fcn_heads()
    converted = convert_segmentor(slim_segmentor(theirs))
    theirs.double()
    feature_maps = [
        torch.randn(2, channels, 6, 6, generator=torch.Generator().manual_seed(channels), dtype=torch.double)
        for channels in (256, 512)
    ]
    for name, own, width, index in (('head', 'decode_head', 128, 1), ('auxlayer', 'auxiliary_head', 64, 0)):
        head = heads(
            in_channels=feature_maps[index].shape[1], in_index=index, channels=width, num_convs=1, concat_input=False,
            num_classes=5, norm_cfg={'type': 'BN'}, align_corners=True,
        )  # fmt: skip
        start = f'{own}.'
        head.load_state_dict(
            {key.removeprefix(start): value for key, value in converted.items() if key.startswith(start)}, strict=True
        )
        head.double().eval()
        with torch.no_grad():
            logits, expected = head(feature_maps), theirs[name]['conv5'](feature_maps[index])
        torch.testing.assert_close(logits, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize('auxiliary', [False, True])
def test_values_survive_both_ways(auxiliary: bool) -> None:
    """To mmseg and back, every tensor is the same, with an auxiliary head and without."""
    state = slim_segmentor(fcn_heads(auxiliary=auxiliary))
    before = dict(state)
    wrapped = {'state_dict': {f'module.{key}': value for key, value in state.items()}}
    back = convert_segmentor(convert_segmentor(wrapped), target='encoding')
    assert back.keys() == state.keys() and all(torch.equal(back[key], value) for key, value in state.items())
    assert state == before


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'head.conv5.9.weight': torch.zeros(1)}, '1 unknown: head.conv5.9.weight'),
        ({'head.conv5.0.weight': torch.zeros(2, dtype=torch.int32)}, 'are of another kind: head.conv5.0.weight'),
        ({'head.conv5.1.running_var': None}, '1 missing: head.conv5.1.running_var'),
        ({'auxlayer.conv5.0.weight': torch.zeros(64, 512, 3, 3)}, r'\(64, 512, 3, 3\) for .*256, 3, 3\)'),
        ({'pretrained.layer2.0.bn1.bias': None}, '1 missing: pretrained.layer2.0.bn1.bias'),
    ],
)
def test_wrong_keys_are_named(change: dict[str, Tensor | None], message: str) -> None:
    """Unknown and missing keys, other shapes and integers are errors with the file's names."""
    changed = {**slim_segmentor(fcn_heads()), **change}
    with pytest.raises(ConversionError, match=message):
        convert_segmentor({key: value for key, value in changed.items() if value is not None})


def test_other_models_are_refused() -> None:
    """Backbones and other targets have conversions of their own or none."""
    state = slim_segmentor(fcn_heads())
    backbone = {key: value for key, value in state.items() if key.startswith('pretrained.')}
    with pytest.raises(ConversionError, match='this is a backbone'):
        convert_segmentor(backbone)
    with pytest.raises(ConversionError, match="between encoding and mmseg, and target='detectron2' is neither"):
        convert_segmentor(state, target='detectron2')
    with pytest.raises(ConversionError, match="not that of source='mmseg'"):
        convert_segmentor(state, source='mmseg')


def test_mmsegs_own_models_stay_as_they_are() -> None:
    """Heads that only mmseg has stay with mmseg."""
    state = convert_segmentor(slim_segmentor(fcn_heads()))
    state['decode_head.bottleneck.conv.weight'] = torch.zeros(1)
    same = convert_segmentor(state)
    assert same.keys() == state.keys() and all(torch.equal(same[key], value) for key, value in state.items())
    with pytest.raises(ConversionError, match=r'1 unknown: decode_head.bottleneck.conv.weight'):
        convert_segmentor(state, target='encoding')


@pytest.mark.slow
def test_mmsegs_released_models_pass_unchanged() -> None:
    """The models of all its ResNeSt configs are taken for what they are, keep every tensor, and fit our backbone."""
    mmseg = pytest.importorskip('mmseg')
    from mmengine.config import Config
    from mmengine.registry import DefaultScope
    from mmseg.registry import MODELS

    importlib.import_module('mmseg.models')
    files = sorted((Path(mmseg.__file__).parent / '.mim' / 'configs' / 'resnest').glob('*.py'))
    assert len(files) == 8
    for file in files:
        config = Config.fromfile(file).model
        config.pretrained = None
        with DefaultScope.overwrite_default_scope('mmseg'), torch.device('meta'):
            state = MODELS.build(config).state_dict()
            backbone = ResNeSt(config.backbone.depth)
        assert (detect_layout(state).layout.name, detect_layout(state).part) == ('mmdet', 'segmentor')
        converted = convert_segmentor(state)
        assert {key: value.shape for key, value in converted.items()} == {k: v.shape for k, v in state.items()}
        backbone.load_state_dict(convert_backbone(state, prefix='backbone.'), strict=True, assign=True)
