"""Every layout's names become every other's, one to one, and anything else is an error."""

from __future__ import annotations

import pytest
import torch

from resnest_mm.errors import ConversionError
from resnest_mm.models import VARIANTS, ResNeSt
from resnest_mm.weights.convert.backbone import convert_backbone
from resnest_mm.weights.io.contents import TENSOR_ENTRIES
from resnest_mm.weights.layouts.key_layout import KeyLayout
from resnest_mm.weights.layouts.names import BLOCK, COUNTER, OFFSET, STAGES, STEM
from resnest_mm.weights.layouts.tables import LAYOUTS, find_layout
from tests.support.tiny_backbones import image, scatter, tiny

# What the table of each layout says, spot by spot: this package's key, then the layout's.
NAMES = {
    'official': {
        'stem.0.weight': 'conv1.0.weight',
        'stem.4.running_mean': 'conv1.4.running_mean',
        'stem.7.bias': 'bn1.bias',
        'layer3.0.downsample.1.weight': 'layer3.0.downsample.1.weight',
    },
    'detectron2': {
        'stem.3.weight': 'backbone.bottom_up.stem.conv1_2.weight',
        'stem.7.running_var': 'backbone.bottom_up.stem.conv1_3.norm.running_var',
        'layer1.0.bn1.weight': 'backbone.bottom_up.res2.0.conv1.norm.weight',
        'layer2.0.conv2.bn0.bias': 'backbone.bottom_up.res3.0.conv2.bn0.bias',
        'layer4.0.downsample.2.num_batches_tracked': 'backbone.bottom_up.res5.0.shortcut.norm.num_batches_tracked',
        'stem.1.num_batches_tracked': None,
        'layer1.0.bn3.num_batches_tracked': None,
    },
    'mmpretrain': {
        'stem.6.weight': 'backbone.stem.2.conv.weight',
        'stem.7.weight': 'backbone.stem.2.bn.weight',
        'layer1.0.downsample.1.weight': 'backbone.layer1.0.downsample.0.weight',
        'layer1.0.downsample.2.weight': 'backbone.layer1.0.downsample.1.weight',
        'layer2.0.downsample.2.bias': 'backbone.layer2.0.downsample.2.bias',
    },
    'gluon': {
        'stem.1.weight': 'conv1.1.gamma',
        'stem.7.bias': 'bn1.beta',
        'layer1.0.conv2.bn0.weight': 'layer1.0.conv2.bn.gamma',
        'layer1.0.conv2.fc1.bias': 'layer1.0.conv2.fc1.bias',
        'layer1.0.bn1.running_var': 'layer1.0.bn1.running_var',
        'layer4.0.bn1.num_batches_tracked': None,
    },
    'zcls-bias': {
        'stem.3.weight': 'backbone.stem.3.weight',
        'layer1.0.conv2.conv.weight': 'backbone.layer1.0.conv2.split.0.weight',
        'layer1.0.conv2.bn1.bias': 'backbone.layer1.0.conv2.compact.1.bias',
        'layer1.0.conv2.fc2.weight': 'backbone.layer1.0.conv2.select.weight',
        'layer1.0.downsample.2.weight': 'backbone.layer1.0.down_sample.1.weight',
        'layer2.0.downsample.2.weight': 'backbone.layer2.0.down_sample.2.weight',
    },
    'glasses': {
        'stem.6.weight': 'encoder.stem.2.conv.weight',
        'layer1.0.conv1.weight': 'encoder.layers.0.0.block.0.conv.weight',
        'layer2.0.conv2.bn0.weight': 'encoder.layers.1.0.block.2.bn.weight',
        'layer3.0.conv2.fc1.bias': 'encoder.layers.2.0.block.3.att.2.conv.bias',
        'layer3.0.conv2.fc2.weight': 'encoder.layers.2.0.block.3.att.3.weight',
        'layer4.0.bn3.weight': 'encoder.layers.3.0.block.5.bn.weight',
        'layer4.0.downsample.1.weight': 'encoder.layers.3.0.shortcut.conv.weight',
    },
}
EXACT = [name for name in LAYOUTS if name != 'zcls']


def random_state(**arguments: object) -> dict[str, torch.Tensor]:
    """Return a tiny backbone's state dict in which no two values are alike."""
    backbone = tiny(**arguments)
    scatter(backbone)
    return dict(backbone.state_dict())


def with_classifier(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    official_state = convert_backbone(state, source='mmdet', target='official')
    return {**official_state, 'fc.weight': torch.rand(10, 512), 'fc.bias': torch.rand(10)}


def assert_same(given: dict[str, torch.Tensor], back: dict[str, torch.Tensor], *, may_lack: str = COUNTER) -> None:
    assert all(key.endswith(may_lack) for key in given.keys() - back.keys())
    assert not back.keys() - given.keys()
    assert all(torch.equal(value, given[key]) for key, value in back.items())


@pytest.mark.parametrize('layout', LAYOUTS.values(), ids=LAYOUTS)
def test_each_table_is_complete(layout: KeyLayout) -> None:
    """A table without a module, or with two alike, loses tensors; a file with an unknown entry is not read again."""
    assert set(BLOCK) <= set(layout.block) <= {*BLOCK, OFFSET}
    assert len(set(layout.block.values())) == len(layout.block)
    assert len(set(layout.stem)) == len(STEM) and len(set(layout.stages)) == len(STAGES)
    assert layout.entry in (None, *TENSOR_ENTRIES)
    assert not layout.aliases.keys() & LAYOUTS.keys()
    assert all(find_layout(alias) is layout for alias in (layout.name, *layout.aliases))


@pytest.mark.parametrize('layout', NAMES)
def test_each_table_says_what_the_software_says(layout: str) -> None:
    """The names are written down here a second time, apart from the tables."""
    state = random_state()
    converted = convert_backbone(state, target=layout)
    for own, theirs in NAMES[layout].items():
        if theirs is None:
            assert not any(key.endswith(own.partition('.')[2]) and own[:5] in key for key in converted)
        else:
            assert torch.equal(converted[theirs], state[own])


@pytest.mark.parametrize('layout', EXACT)
@pytest.mark.parametrize('groups', [1, 2])
def test_round_trip_is_exact(layout: str, groups: int) -> None:
    """Official to another layout and back returns every tensor; batch counters may have no place there."""
    given = with_classifier(random_state(groups=groups))
    if layout == 'glasses' and groups == 2:
        with pytest.raises(ConversionError, match='no order of its rows'):
            convert_backbone(given, target=layout)
        return
    there = convert_backbone(given, target=layout)
    back = convert_backbone(there, source='auto', target='official')
    lost = 'fc.weight', 'fc.bias'
    if LAYOUTS[layout].classifier is None:
        given = {key: value for key, value in given.items() if key not in lost}
    assert_same(given, back)


@pytest.mark.parametrize('name', VARIANTS)
def test_every_variant_goes_through_every_layout(name: str) -> None:
    """All names and shapes of the 14 networks survive, also where they are too large to compute with."""
    variant = VARIANTS[name]
    # ungrouping a gate and grouping it again looks at values, which tensors on meta have not
    with torch.device('cpu' if variant.groups > 1 else 'meta'):
        given = dict(ResNeSt(variant=name).state_dict())
    for layout in LAYOUTS:
        if layout == 'glasses' and variant.groups > 1 and variant.radix > 1:
            with pytest.raises(ConversionError, match='no order of its rows'):
                convert_backbone(given, target=layout)
            continue
        back = convert_backbone(convert_backbone(given, target=layout), target='mmdet')
        assert {key: value.shape for key, value in back.items() if not key.endswith(COUNTER)} == {
            key: value.shape for key, value in given.items() if not key.endswith(COUNTER)
        }


@pytest.mark.parametrize(('layout', 'strict'), [('official', True), ('mmdet', True)])
def test_converted_networks_compute_the_same(layout: str, strict: bool) -> None:
    """What went to another layout and came back fills a backbone completely and answers alike."""
    source, copy = tiny(), tiny(stem_channels=8)
    scatter(source)
    state = convert_backbone(convert_backbone(source.state_dict(), target=layout))
    with torch.no_grad():
        for value in copy.parameters():
            value.zero_()
    copy.load_state_dict(state, strict=strict)
    source.eval()
    copy.eval()
    with torch.no_grad():
        for one, other in zip(source(image()), copy(image()), strict=True):
            assert torch.equal(one, other)


@pytest.mark.parametrize('host', ['mmdet', 'mmseg'])
def test_host_loads_a_converted_backbone_strictly(host: str) -> None:
    """The hosts' own class takes an official checkpoint after conversion, and answers as our network."""
    backbones = pytest.importorskip(f'{host}.models.backbones')
    arguments = {'depth': 50, 'stem_channels': 8, 'base_channels': 16, 'norm_eval': False}
    torch.manual_seed(0)
    ours = ResNeSt(**arguments)
    scatter(ours)
    official_state = convert_backbone(ours.state_dict(), target='official')
    theirs = backbones.ResNeSt(**arguments)
    theirs.load_state_dict(convert_backbone(official_state, target=host), strict=True)
    theirs.train(False)
    ours.eval()
    with torch.no_grad():
        for one, other in zip(ours(image()), theirs(image()), strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=1e-6)


def test_official_package_loads_what_came_from_here() -> None:
    """The authors' network takes our weights strictly and computes the same class scores' features."""
    package = pytest.importorskip('resnest.torch.resnet')
    torch.manual_seed(0)
    theirs = package.ResNet(
        package.Bottleneck, [1, 1, 1, 1], radix=2, groups=1, bottleneck_width=8, num_classes=10,
        deep_stem=True, stem_width=4, avg_down=True, avd=True, avd_first=False,
    )  # fmt: skip
    scatter(theirs)
    ours = ResNeSt(14, stem_channels=8, base_width=8)
    ours.load_state_dict(convert_backbone(theirs.state_dict()), strict=True)
    theirs.eval()
    ours.eval()
    x = image()
    with torch.no_grad():
        y = theirs.maxpool(theirs.relu(theirs.bn1(theirs.conv1(x))))
        for stage, own in zip((theirs.layer1, theirs.layer2, theirs.layer3, theirs.layer4), ours(x), strict=True):
            y = stage(y)
            torch.testing.assert_close(own, y, rtol=0, atol=1e-6)


def test_dilated_networks_of_mmpretrain_count_their_shortcuts_without_pools() -> None:
    """A stage without stride has no pool there, which changes the numbers of its shortcuts."""
    state = random_state()
    plain, dilated = (
        convert_backbone(state, target='mmpretrain', strides=strides) for strides in ((1, 2, 2, 2), (1, 2, 1, 1))
    )
    assert 'backbone.layer4.0.downsample.2.weight' in plain
    assert 'backbone.layer4.0.downsample.2.weight' not in dilated
    assert torch.equal(dilated['backbone.layer4.0.downsample.1.bias'], state['layer4.0.downsample.2.bias'])
    for form in (plain, dilated):
        assert_same(state, convert_backbone(form))


@pytest.mark.parametrize('layout', ['official', 'gluon', 'mmpretrain'])
def test_numpy_values_are_accepted(layout: str) -> None:
    """Detectron2's and Gluon's files hold arrays."""
    state = random_state(num_stages=2)
    arrays = {key: value.numpy() for key, value in convert_backbone(state, target=layout).items()}
    assert_same(state, convert_backbone(arrays))


def test_names_of_files_are_layouts_with_prefixes() -> None:
    """PyTorch-Encoding and segmentation_models_pytorch have the official names behind a prefix."""
    state = random_state(num_stages=2)
    encoding = convert_backbone(state, target='encoding')
    assert all(key.startswith('pretrained.') for key in encoding)
    smp = convert_backbone(state, target='smp', target_prefix='encoder.')
    for form in (encoding, smp, {f'module.{key}': value for key, value in encoding.items()}):
        assert_same(state, convert_backbone(form))
        assert_same(state, convert_backbone(form, source='timm'))


def test_dropped_keys_are_told() -> None:
    """Nothing is left out without a word."""
    given = with_classifier(random_state())
    dropped: list[str] = []
    convert_backbone(given, dropped=dropped)
    assert dropped == ['fc.weight', 'fc.bias']


def test_more_than_a_backbone_needs_a_word() -> None:
    """A head that is lost without a word would be a detector half loaded."""
    state = random_state(num_stages=2)
    whole = {**{f'backbone.{key}': value for key, value in state.items()}, 'neck.weight': torch.zeros(1)}
    with pytest.raises(ConversionError, match=r"more than a backbone: 1 other keys: neck.weight.*prefix='backbone.'"):
        convert_backbone(whole)
    dropped: list[str] = []
    assert_same(state, convert_backbone(whole, prefix='backbone', dropped=dropped))
    assert dropped == ['neck.weight']


def test_every_kind_of_wrong_key_is_named() -> None:
    """The first five of each kind and their number, in the names of the file."""
    state = convert_backbone(random_state(), target='official')
    for index in range(7):
        state[f'layer1.0.extra{index}.weight'] = torch.zeros(1)
    del state['layer2.0.conv2.fc1.bias']
    state['layer3.0.bn3.bias'] = torch.zeros(3)
    state['conv1.4.num_batches_tracked'] = torch.zeros(2, dtype=torch.int64)
    before = dict(state)
    with pytest.raises(ConversionError) as raised:
        convert_backbone(state)
    message = str(raised.value)
    assert '7 unknown: layer1.0.extra0.weight, layer1.0.extra1.weight' in message
    assert 'extra4.weight and 2 more' in message and 'extra5' not in message
    assert '1 missing: layer2.0.conv2.fc1.bias' in message
    assert '2 of another shape: ' in message
    assert 'layer3.0.bn3.bias (3,) for (256,)' in message and 'conv1.4.num_batches_tracked (2,) for ()' in message
    assert state.keys() == before.keys() and all(state[key] is before[key] for key in before)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (
            {'layer1.0.conv1.weight': torch.zeros(16, 8, 1, 1, dtype=torch.int32)},
            r'1 of 150 are of another kind: .*int32',
        ),
        ({'stem.1.num_batches_tracked': torch.tensor(1.5)}, r'another kind: stem.1.num_batches_tracked \(torch.float'),
        ({'meta': 'text'}, r'another kind: meta \(str\)'),
        ({'fc.weight': torch.zeros(2, 3)}, None),
    ],
)
def test_other_values_are_refused(change: dict[str, object], message: str | None) -> None:
    """Integers where weights belong, or values that are no tensors, are errors."""
    state = {**random_state(), **change}
    if message is None:  # a classifier that this layout has no place for
        assert 'fc.weight' not in convert_backbone(state)
        return
    with pytest.raises(ConversionError, match=message):
        convert_backbone(state)  # type: ignore[arg-type]


def test_half_a_classifier_is_no_classifier() -> None:
    """A classifier has a weight and a bias that fit each other."""
    given = with_classifier(random_state())
    del given['fc.bias']
    with pytest.raises(ConversionError, match=r'1 missing: fc.bias'):
        convert_backbone(given)
    given['fc.bias'] = torch.zeros(11)
    with pytest.raises(ConversionError, match=r'1 of another shape: fc.weight \(10, 512\) with bias \(11,\)'):
        convert_backbone(given)


def test_a_lost_block_is_no_shallower_network() -> None:
    """A file that was cut short must not pass as a network of another depth."""
    state = random_state(depth=50)
    with pytest.raises(ConversionError, match='no ResNeSt has 3, 4, 5, 3 blocks'):
        convert_backbone({key: value for key, value in state.items() if not key.startswith('layer3.5.')})


def test_unknown_layout_lists_the_known() -> None:
    """The message names what can be chosen."""
    with pytest.raises(ConversionError, match=r"no layout 'keras'; choose one of official, mmdet, .*mmseg"):
        convert_backbone(random_state(num_stages=1), target='keras')


@pytest.mark.parametrize('dense', [False, True])
def test_offsets_go_both_ways(dense: bool) -> None:
    """Grouped offsets become block-diagonal ones and come back; the official layout has no place for them."""
    state = random_state(num_stages=2)
    for part, shape in (('weight', (54, 16, 3, 3)), ('bias', (54,))):
        state[f'layer2.0.conv2.conv.conv_offset.{part}'] = torch.rand(shape)
    key = 'layer2.0.conv2.conv.conv_offset.weight'
    detectron2_state = convert_backbone(state, target='detectron2')
    assert torch.equal(detectron2_state['backbone.bottom_up.res3.0.conv2_offset.weight'], state[key])
    there = convert_backbone(detectron2_state, dense_offsets=dense)
    if dense:
        assert there[key].shape == (54, 32, 3, 3)
        assert torch.equal(there[key][:27, :16], state[key][:27]) and torch.equal(there[key][27:, 16:], state[key][27:])
        assert not there[key][:27, 16:].any() and not there[key][27:, :16].any()
        assert torch.equal(convert_backbone(there)[key], there[key])
    assert_same(state, convert_backbone(convert_backbone(there, target='detectron2')))
    with pytest.raises(ConversionError, match='deformable convolutions have no place in the official'):
        convert_backbone(state, target='official')


def test_offsets_that_mix_their_groups_stay_with_mmcv() -> None:
    """Only mmcv's ungrouped convolutions can hold them, and detectron2's layout refuses them."""
    state = random_state(num_stages=1)
    for part, shape in (('weight', (54, 16, 3, 3)), ('bias', (54,))):
        state[f'layer1.0.conv2.conv.conv_offset.{part}'] = torch.rand(shape)
    assert_same(state, convert_backbone(state))
    with pytest.raises(ConversionError, match='mixes its 2 groups'):
        convert_backbone(state, target='detectron2')
    state['layer1.0.conv2.conv.conv_offset.weight'] = torch.rand(81, 16, 3, 3)
    state['layer1.0.conv2.conv.conv_offset.bias'] = torch.rand(81)
    with pytest.raises(ConversionError, match='predicts 81 values, and 2 deformable groups need 54 or 36'):
        convert_backbone(state, target='detectron2')
