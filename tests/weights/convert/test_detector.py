"""Every released detector goes from detectron2 to mmdet and back with no key left over."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor

from resnest_mm.errors import ConversionError
from resnest_mm.models import ResNeSt
from resnest_mm.weights.convert.backbone import convert_backbone
from resnest_mm.weights.convert.detector import convert_detector
from resnest_mm.weights.convert.stock_heads import cell_anchors, to_stock_heads
from resnest_mm.weights.layouts.detect import detect_layout
from resnest_mm.weights.layouts.names import COUNTER
from tests.support import key_lists
from tests.support.slim_models import CASCADE, DCN, FASTER, PANOPTIC, slim_detector

OFFSET = 'backbone.layer2.0.conv2.conv.conv_offset.weight'


def assert_equal(given: Mapping[str, Tensor], back: Mapping[str, Tensor]) -> None:
    assert given.keys() == back.keys()
    assert all(torch.equal(value, back[key]) for key, value in given.items())


@pytest.mark.parametrize('name', key_lists.DETECTORS)
def test_released_detectors_convert_without_leftovers(name: str) -> None:
    """Counts as recorded when the models were built: everything but five anchors, under exactly one new name."""
    released = key_lists.DETECTORS[name]
    state = key_lists.detector(key_lists.DETECTORS[name])
    assert len(state) == released.keys
    dropped: list[str] = []
    converted = convert_detector(state, dropped=dropped)
    assert len(converted) == released.converted
    assert sorted(dropped) == [f'proposal_generator.anchor_generator.cell_anchors.{level}' for level in range(5)]
    assert sorted(tuple(value.shape) for value in converted.values()) == sorted(
        tuple(value.shape) for key, value in state.items() if key not in dropped
    )
    starts = ('backbone.', 'neck.', 'rpn_head.', 'roi_head.', 'semantic_head.')
    assert all(key.startswith(starts) for key in converted)


@pytest.mark.parametrize('name', [name for name in key_lists.DETECTORS if 'panoptic' not in name])
def test_released_detectors_come_back_whole(name: str) -> None:
    """Names and shapes return, the anchors too, which are computed anew."""
    state = key_lists.detector(key_lists.DETECTORS[name])
    back = convert_detector(convert_detector(state), target='detectron2')
    assert {key: value.shape for key, value in back.items()} == {key: value.shape for key, value in state.items()}


@pytest.mark.parametrize('name', [FASTER, DCN, CASCADE, PANOPTIC])
@pytest.mark.parametrize('stock', [False, True])
def test_values_survive_both_ways(name: str, stock: bool) -> None:
    """To mmdet and back, every tensor is the same, with the authors' heads and with mmdet's own."""
    state = slim_detector(name)
    dense = stock or None
    there = convert_detector(state, stock_heads=stock, dense_offsets=dense)
    assert_equal(state, convert_detector(there, target='detectron2', stock_heads=stock))


def test_names_and_values_land_where_the_table_says() -> None:
    """The names are written down here a second time, apart from the table."""
    state = slim_detector(CASCADE)
    converted = convert_detector({'model': {key: value.numpy() for key, value in state.items()}, 'iteration': 9})
    for theirs, ours in {
        'backbone.bottom_up.res4.0.conv3.norm.bias': 'backbone.layer3.0.bn3.bias',
        'backbone.fpn_lateral3.weight': 'neck.lateral_convs.1.conv.weight',
        'backbone.fpn_output5.norm.running_var': 'neck.fpn_convs.3.bn.running_var',
        'proposal_generator.rpn_head.conv.bias': 'rpn_head.rpn_conv.bias',
        'proposal_generator.rpn_head.objectness_logits.weight': 'rpn_head.rpn_cls.weight',
        'proposal_generator.rpn_head.anchor_deltas.weight': 'rpn_head.rpn_reg.weight',
        'roi_heads.box_head.1.conv4.weight': 'roi_head.bbox_head.1.shared_convs.3.conv.weight',
        'roi_heads.box_head.2.fc1.weight': 'roi_head.bbox_head.2.shared_fcs.0.weight',
        'roi_heads.box_predictor.0.cls_score.bias': 'roi_head.bbox_head.0.fc_cls.bias',
        'roi_heads.box_predictor.2.bbox_pred.weight': 'roi_head.bbox_head.2.fc_reg.weight',
        'roi_heads.mask_head.mask_fcn2.norm.weight': 'roi_head.mask_head.convs.1.bn.weight',
        'roi_heads.mask_head.deconv.weight': 'roi_head.mask_head.upsample.weight',
        'roi_heads.mask_head.predictor.bias': 'roi_head.mask_head.conv_logits.bias',
    }.items():
        assert torch.equal(converted[ours], state[theirs])


def test_prefixed_and_newer_checkpoints_convert() -> None:
    """DistributedDataParallel's prefix, and the pixel statistics that newer detectron2 keeps."""
    state = {**slim_detector(FASTER), 'pixel_mean': torch.zeros(3, 1, 1), 'pixel_std': torch.ones(3, 1, 1)}
    dropped: list[str] = []
    converted = convert_detector({f'module.{key}': value for key, value in state.items()}, dropped=dropped)
    assert_equal(convert_detector(slim_detector(FASTER)), converted)
    assert 'module.pixel_mean' in dropped and 'module.pixel_std' in dropped


@pytest.mark.parametrize('key', ['roi_heads.box_head.fc1.weight', 'proposal_generator.rpn_head.conv.bias'])
def test_integers_in_the_heads_are_refused(key: str) -> None:
    """A layer with integers is damaged, and mmdet would cast them without a word."""
    state = slim_detector(FASTER)
    with pytest.raises(ConversionError, match=rf'1 of \d+ are of another kind: {key} \(torch.int32\)'):
        convert_detector({**state, key: state[key].int()})


@pytest.mark.parametrize('target', ['detectron2', 'mmdet'])
def test_keys_outside_the_model_are_refused(target: str) -> None:
    """A key without the prefix of the model has no place in the result; cutting the prefix off would garble it."""
    state = {f'module.{key}': value for key, value in slim_detector(FASTER).items()}
    with pytest.raises(ConversionError, match=r"detector under 'module.': 1 unknown: teachers.weight"):
        convert_detector({**state, 'teachers.weight': torch.zeros(1)}, target=target)


def test_mask_head_is_repeated_for_mmdets_cascade_and_only_there() -> None:
    """mmdet's cascade has one mask head for each stage, the authors have one for all."""
    stock = convert_detector(slim_detector(CASCADE), stock_heads=True)
    single = convert_detector(slim_detector(CASCADE))
    for stage in range(3):
        assert torch.equal(
            stock[f'roi_head.mask_head.{stage}.upsample.weight'], single['roi_head.mask_head.upsample.weight']
        )
    assert_equal(stock, convert_detector(single, stock_heads=True))
    mask = slim_detector('mask_rcnn_ResNeSt_50_FPN_syncBN_1x')
    assert_equal(convert_detector(mask), convert_detector(mask, stock_heads=True))


def test_different_mask_heads_have_no_equal_in_detectron2() -> None:
    """Three trained mask heads must not become the first one."""
    stock = convert_detector(slim_detector(CASCADE), stock_heads=True)
    stock['roi_head.mask_head.1.upsample.bias'] = stock['roi_head.mask_head.1.upsample.bias'] + 1
    with pytest.raises(ConversionError, match='the 3 stages have different mask heads'):
        convert_detector(stock, target='detectron2')
    assert_equal(stock, convert_detector(stock))


def test_semantic_head_is_turned_for_mmdets() -> None:
    """The class "things" is the authors' first and mmdet's last; mmdet's convolutions have biases."""
    state = slim_detector(PANOPTIC)
    rows = state['sem_seg_head.predictor.weight']
    plain, stock = convert_detector(state), convert_detector(state, stock_heads=True)
    name = 'semantic_head.conv_logits.weight'
    assert torch.equal(plain[name], rows)
    assert torch.equal(stock[name][53], rows[0]) and torch.equal(stock[name][:53], rows[1:])
    biases = sorted(set(stock) - set(plain))
    assert [key for key in biases if 'semantic' in key] == [
        f'semantic_head.conv_upsample_layers.{place}.conv.bias'
        for place in ('0.conv.0', '1.conv.0', '2.conv.0', '2.conv.1', '3.conv.0', '3.conv.1', '3.conv.2')
    ]
    assert not any(stock[key].any() for key in biases if 'semantic' in key)
    key = 'semantic_head.conv_upsample_layers.3.conv.2.conv.weight'
    assert torch.equal(plain[key], state['sem_seg_head.p5.4.weight'])


def test_a_semantic_head_with_norms_gets_no_biases() -> None:
    """mmdet's convolutions have a bias only where no norm follows."""
    layer = 'semantic_head.conv_upsample_layers.0.conv.0'
    heads = {f'{layer}.conv.weight': torch.ones(4, 4, 3, 3), f'{layer}.bn.weight': torch.ones(4)}
    assert to_stock_heads(heads).keys() == heads.keys()
    del heads[f'{layer}.bn.weight']
    assert to_stock_heads(heads).keys() == {*heads, f'{layer}.conv.bias'}


def test_offsets_are_spread_for_mmcvs_ungrouped_convolution() -> None:
    """The ungrouped weight is zero outside of the groups."""
    state = slim_detector(DCN)
    weight = state['backbone.bottom_up.res3.0.conv2_offset.weight']
    dense = convert_detector(state, dense_offsets=True)[OFFSET]
    half = weight.shape[1]
    assert torch.equal(dense[:27, :half], weight[:27]) and torch.equal(dense[27:, half:], weight[27:])
    assert not dense[:27, half:].any() and not dense[27:, :half].any()
    assert torch.equal(convert_detector(state)[OFFSET], weight)


def test_anchors_are_detectron2s() -> None:
    """Centred at zero, of equal area, from wide to tall."""
    anchors = cell_anchors(torch.zeros(3))
    for level, size in enumerate((32, 64, 128, 256, 512)):
        boxes = anchors[f'proposal_generator.anchor_generator.cell_anchors.{level}']
        widths, heights = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
        torch.testing.assert_close(widths * heights, torch.full((3,), float(size**2)))
        torch.testing.assert_close(heights / widths, torch.tensor([0.5, 1.0, 2.0]))
        torch.testing.assert_close(boxes[:, :2], -boxes[:, 2:])
    mmdet_anchors = pytest.importorskip('mmdet.models.task_modules').AnchorGenerator(
        scales=[8], ratios=[0.5, 1.0, 2.0], strides=[4, 8, 16, 32, 64], center_offset=0.0
    )
    for mine, theirs in zip(anchors.values(), mmdet_anchors.base_anchors, strict=True):
        torch.testing.assert_close(mine, theirs)
    with pytest.raises(ConversionError, match='has 9 anchors a position'):
        cell_anchors(torch.zeros(9))


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'roi_heads.keypoint_head.x': torch.zeros(1)}, '1 unknown: roi_heads.keypoint_head.x'),
        ({'proposal_generator.rpn_head.conv.bias': None}, '1 missing: proposal_generator.rpn_head.conv.bias'),
        ({'backbone.fpn_output3.norm.bias': torch.zeros(3)}, r'fpn_output3.norm.bias \(3,\) for \(16,\)'),
        ({'backbone.bottom_up.res3.0.conv1.weight': None}, 'missing: backbone.bottom_up.res3.0.conv1.weight'),
        ({'roi_heads.box_predictor.bbox_pred.weight': torch.zeros(8, 64)}, 'another shape'),
    ],
)
def test_wrong_keys_are_named(change: dict[str, Tensor | None], message: str) -> None:
    """Unknown and missing keys and other shapes in heads are errors with the file's names."""
    state = slim_detector(FASTER)
    changed = {**state, **change}
    with pytest.raises(ConversionError, match=message):
        convert_detector({key: value for key, value in changed.items() if value is not None})


@pytest.mark.parametrize(
    ('weight', 'bias'), [((54, 4, 1, 1), (54,)), ((54, 4, 3, 3), (27,)), ((54, 5, 3, 3), (54,)), ((53, 4, 3, 3), (53,))]
)
def test_convolutions_that_predict_no_offsets_are_refused(weight: tuple[int, ...], bias: tuple[int, ...]) -> None:
    """A convolution of another kernel, bias or number of channels cannot belong to a deformable convolution."""
    module = 'backbone.bottom_up.res3.0.conv2_offset'
    state = slim_detector(DCN)
    assert state[f'{module}.weight'].shape == (54, 4, 3, 3)
    state.update({f'{module}.weight': torch.zeros(weight), f'{module}.bias': torch.zeros(bias)})
    message = f'{module}.weight {weight} with bias {bias}, which predict no offsets'
    with pytest.raises(ConversionError, match=re.escape(message)):
        convert_detector(state)


def test_box_predictor_must_fit_the_classes() -> None:
    """A box predictor for other classes than the scores' is a damaged file."""
    state = slim_detector(FASTER)
    for part in ('weight', 'bias'):
        key = f'roi_heads.box_predictor.bbox_pred.{part}'
        state[key] = state[key][:20]
    with pytest.raises(ConversionError, match='scores 10 classes but predicts 20 box values'):
        convert_detector(state)


@pytest.mark.parametrize('target', ['official', 'gluon'])
def test_other_targets_are_refused(target: str) -> None:
    """Other layouts are of backbones only."""
    with pytest.raises(ConversionError, match='detectors are converted between detectron2 and mmdet'):
        convert_detector(slim_detector(FASTER), target=target)


def test_backbone_is_no_detector() -> None:
    """A backbone must not be written as a detector without heads."""
    state = {key: value for key, value in slim_detector(FASTER).items() if key.startswith('backbone.bottom_up.')}
    with pytest.raises(ConversionError, match='this is a backbone'):
        convert_detector(state)
    with pytest.raises(ConversionError, match="not that of source='mmdet'"):
        convert_detector(slim_detector(FASTER), source='mmdet')


def test_mmdets_own_detectors_stay_as_they_are() -> None:
    """Its released files have no norm in the pyramid and heads of their own; only the backbone is looked at."""
    state = convert_detector(slim_detector(FASTER))
    state['bbox_head.retina_cls.weight'] = torch.zeros(2)
    assert_equal(state, convert_detector(state))
    del state['backbone.layer1.0.bn1.bias']
    with pytest.raises(ConversionError, match=r'missing: backbone.layer1.0.bn1.bias'):
        convert_detector(state)


CONFIGS = {
    FASTER: ('faster-rcnn_s50_fpn_syncbn-backbone+head_ms-range-1x_coco.py', False),
    'faster_cascade_rcnn_ResNeSt_50_FPN_syncbn_range-scale-1x': (
        'cascade-rcnn_s50_fpn_syncbn-backbone+head_ms-range-1x_coco.py',
        True,
    ),
    'mask_rcnn_ResNeSt_50_FPN_syncBN_1x': ('mask-rcnn_s50_fpn_syncbn-backbone+head_ms-1x_coco.py', False),
    CASCADE: ('cascade-mask-rcnn_s50_fpn_syncbn-backbone+head_ms-1x_coco.py', True),
}


@pytest.mark.parametrize('name', CONFIGS)
def test_mmdet_loads_released_detectors_strictly(name: str) -> None:
    """The converted keys and shapes are those of mmdet's models, with a normed pyramid as the authors have."""
    mmdet = pytest.importorskip('mmdet')
    from mmdet.registry import MODELS
    from mmengine.config import Config
    from mmengine.registry import DefaultScope

    file, cascade = CONFIGS[name]
    config = Config.fromfile(Path(mmdet.__file__).parent / '.mim' / 'configs' / 'resnest' / file)
    model = config.model
    model.backbone = dict(type='resnest_mm.ResNeSt', variant='resnest50')
    model.neck.norm_cfg = dict(type='SyncBN', requires_grad=True)
    importlib.import_module('mmdet.models')
    with DefaultScope.overwrite_default_scope('mmdet'), torch.device('meta'):
        detector = MODELS.build(model)
    wanted = detector.state_dict()
    converted = convert_detector(key_lists.detector(key_lists.DETECTORS[name]), stock_heads=True)
    assert set(converted) == {key for key in wanted if key in converted or not key.endswith(COUNTER)}
    detector.load_state_dict(converted, strict=True, assign=True)
    assert cascade == any(key.startswith('roi_head.bbox_head.2.') for key in wanted)


@pytest.mark.slow
def test_mmdets_released_detectors_pass_unchanged() -> None:
    """The models of all its ResNeSt configs are taken for what they are, keep every tensor, and fit our backbone."""
    mmdet = pytest.importorskip('mmdet')
    from mmdet.registry import MODELS
    from mmengine.config import Config
    from mmengine.registry import DefaultScope

    importlib.import_module('mmdet.models')
    files = sorted((Path(mmdet.__file__).parent / '.mim' / 'configs' / 'resnest').glob('*.py'))
    assert len(files) == 8
    for file in files:
        model = Config.fromfile(file).model
        model.backbone.init_cfg = None
        with DefaultScope.overwrite_default_scope('mmdet'), torch.device('meta'):
            state = MODELS.build(model).state_dict()
            backbone = ResNeSt(model.backbone.depth)
        assert (detect_layout(state).layout.name, detect_layout(state).part) == ('mmdet', 'detector')
        converted = convert_detector(state)
        assert {key: value.shape for key, value in converted.items()} == {k: v.shape for k, v in state.items()}
        backbone.load_state_dict(convert_backbone(state, prefix='backbone.'), strict=True, assign=True)
