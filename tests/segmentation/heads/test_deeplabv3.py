"""The DeepLabV3 head computes, drops out, learns and loads as PyTorch-Encoding's."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

pytest.importorskip('mmseg', reason='the head is one of mmseg')

from resnest_mm.models.layers import normalize as single_value
from resnest_mm.weights.convert.backbone import convert_backbone
from resnest_mm.weights.convert.segmentor import convert_segmentor
from tests.support import head_oracle, key_lists
from tests.support.segmentation_heads import DEEPLAB, FCN, NO_DROPOUT, build, maps, samples, segmentor, without_dropout
from tests.support.tiny_backbones import changed, image, scatter, snapshot

NORM = ('weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked')
one_image = pytest.mark.filterwarnings('ignore:a training batch of one image')
resizing = pytest.mark.filterwarnings('ignore:When align_corners=True')


@pytest.fixture(autouse=True)
def warn_again() -> Iterator[None]:
    """Forget that the warning was given, which happens once a process."""
    single_value.warn_of_single_value.cache_clear()
    yield
    single_value.warn_of_single_value.cache_clear()


@one_image
@pytest.mark.parametrize('training', [False, True], ids=['eval', 'train'])
@pytest.mark.parametrize('batch', [1, 2, 3])
def test_logits_and_gradients_are_those_of_the_oracle(training: bool, batch: int) -> None:
    """In training a single image's mean is normalised by running statistics, more images' means by their own."""
    head = without_dropout(DEEPLAB).train(training)
    given = maps(batch)
    state = {name: value.clone() for name, value in head.state_dict(keep_vars=True).items()}
    expected = head_oracle.deeplabv3(given[2], state, (1, 2, 3), training=training)
    found = head(given)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    wanted = [*head.parameters()]
    for a, b in zip(
        torch.autograd.grad(found.square().sum(), wanted),
        torch.autograd.grad(expected.square().sum(), wanted),
        strict=True,
    ):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


def test_the_default_rates_are_the_official_ones() -> None:
    config = {name: value for name, value in DEEPLAB.items() if name != 'rates'}
    head = without_dropout(config).eval()
    given = maps(1, (14, 40))
    expected = head_oracle.deeplabv3(given[2], head.state_dict(), (12, 24, 36), training=False)
    torch.testing.assert_close(head(given), expected, rtol=0, atol=1e-12)


def test_size_of_the_official_head() -> None:
    """Five branches, projection, 3x3 block and classifier over 150 classes: 16.16 million parameters."""
    with torch.device('meta'):
        head = build(dict(type='resnest_mm.DeepLabV3Head', in_channels=2048, num_classes=150))
    sizes = [2048 * 256, 3 * 9 * 2048 * 256, 2048 * 256, 5 * 256 * 256, 9 * 256 * 256, 7 * 2 * 256, 257 * 150]
    assert sum(parameter.numel() for parameter in head.parameters()) == sum(sizes) == 16_163_990


def test_keys_are_those_that_the_converter_writes() -> None:
    blocks = [*(f'branches.{index}' for index in range(4)), 'image_pool', 'project', 'convs.0']
    assert set(build(DEEPLAB).state_dict()) == {
        'conv_seg.weight',
        'conv_seg.bias',
        *(f'{block}.conv.weight' for block in blocks),
        *(f'{block}.bn.{name}' for block in blocks for name in NORM),
    }


def test_a_released_model_fits_strictly() -> None:
    """All keys and shapes of the released DeepLabV3 with a ResNeSt-50, without memory for its values."""
    auxiliary = {**FCN, 'in_channels': 1024, 'in_index': 2, 'channels': 256, 'num_classes': 150}
    with torch.device('meta'):
        model = segmentor(
            dict(type='resnest_mm.DeepLabV3Head', num_classes=150),
            base_channels=64,
            backbone=dict(type='resnest_mm.ResNeSt', depth=50, strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4)),
            auxiliary_head=auxiliary,
        )
    state = convert_segmentor(key_lists.segmentor('DeepLab_ResNeSt50_ADE'))
    model.load_state_dict(state, strict=True, assign=True)


def encoding_heads(c5: int, width: int) -> nn.ModuleDict:
    """Return the heads of PyTorch-Encoding's DeepLabV3 under its names, with rates 1, 2 and 3."""

    def conv(inputs: int, kernel: int, rate: int = 1) -> list[nn.Module]:
        layer = nn.Conv2d(inputs, width, kernel, padding=rate * (kernel // 2), dilation=rate, bias=False)
        return [layer, nn.BatchNorm2d(width), nn.ReLU()]

    aspp = nn.ModuleDict({'b0': nn.Sequential(*conv(c5, 1))})
    aspp.update({f'b{rate}': nn.Sequential(*conv(c5, 3, rate)) for rate in (1, 2, 3)})
    aspp['b4'] = nn.ModuleDict({'gap': nn.Sequential(nn.AdaptiveAvgPool2d(1), *conv(c5, 1))})
    aspp['project'] = nn.Sequential(*conv(5 * width, 1), nn.Dropout2d(0.5))
    block = nn.Sequential(*conv(width, 3), nn.Dropout(0.1), nn.Conv2d(width, 3, 1))
    auxiliary = nn.Sequential(*conv(c5 // 2, 3), nn.Dropout(0.1), nn.Conv2d(width, 3, 1))
    return nn.ModuleDict(
        {'head': nn.ModuleDict({'aspp': aspp, 'block': block}), 'auxlayer': nn.ModuleDict({'conv5': auxiliary})}
    )


def test_a_model_of_pytorch_encoding_computes_the_same_here() -> None:
    """Backbone, head and auxiliary head take the converted weights strictly and give the same logits."""
    source = segmentor(DEEPLAB)
    torch.manual_seed(1)
    theirs = encoding_heads(256, 4).eval()
    scatter(theirs, seed=1)
    state = {**convert_backbone(source.backbone.state_dict(), target='encoding'), **theirs.state_dict()}
    model = segmentor(DEEPLAB)
    model.load_state_dict(convert_segmentor(state), strict=True)
    model.eval()
    with torch.no_grad():
        features = model.extract_feat(image(1))
        c4, c5 = features[2:]
        aspp = theirs['head']['aspp']
        branches = [aspp[f'b{index}'](c5) for index in range(4)]
        pooled = nn.functional.interpolate(aspp['b4']['gap'](c5), c5.shape[2:], mode='bilinear', align_corners=True)
        expected = theirs['head']['block'](aspp['project'](torch.cat([*branches, pooled], 1)))
        torch.testing.assert_close(model.decode_head(features), expected, rtol=0, atol=1e-5)
        expected = theirs['auxlayer']['conv5'](c4)
        torch.testing.assert_close(model.auxiliary_head(features), expected, rtol=0, atol=1e-5)


def test_dropout_behind_the_projection_takes_out_whole_channels() -> None:
    """Half of them by default, the others doubled; other values can be asked for."""
    for options, probability in ((dict(), 0.5), (dict(project_dropout_ratio=0.25), 0.25)):
        head = build({**DEEPLAB, 'channels': 64}, **options).train()
        nn.init.constant_(head.project.bn.bias, 10)  # so that no value is zero by itself
        seen: list[Tensor] = []
        head.project.register_forward_hook(lambda _, __, y, seen=seen: seen.append(y))
        head.convs.register_forward_pre_hook(lambda _, x, seen=seen: seen.append(x[0]))
        head([x.float() for x in maps(8)])
        before, after = seen
        kept = after != 0
        assert torch.equal(kept.amin((2, 3)), kept.amax((2, 3)))
        torch.testing.assert_close(after[kept], before[kept] / (1 - probability))
        share = 1 - kept[:, :, 0, 0].double().mean().item()  # of 512 channels
        assert abs(share - probability) < 4 * (probability * (1 - probability) / 512) ** 0.5


@resizing
def test_one_image_trains_and_warns_once() -> None:
    """The statistics after the image's pooling stay, all others move, and all parts get a gradient."""
    model = segmentor({**DEEPLAB, **NO_DROPOUT[DEEPLAB['type']]}).train()
    before = snapshot(model.decode_head)
    labels = torch.randint(3, (1, 32, 32), generator=torch.Generator().manual_seed(0))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        for _ in range(2):
            losses = model.loss(image(1), samples(labels))
    messages = [str(warning.message) for warning in caught if 'DeepLabV3 head' in str(warning.message)]
    assert len(messages) == 1 and messages[0].startswith('a training batch of one image')
    sum(losses[name] for name in ('decode.loss_ce', 'aux.loss_ce')).backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    assert all(gradient.isfinite().all() for gradient in gradients.values())
    # One image's mean is the same everywhere, so that the norm after the projection takes it out again.
    silent = {name for name, gradient in gradients.items() if not gradient.abs().max() > 1e-9}
    assert {name.removeprefix('decode_head.').partition('.')[0] for name in silent} <= {'image_pool'}
    statistics = {name for name in before if name.endswith(('running_mean', 'running_var', 'num_batches_tracked'))}
    assert changed(before, model.decode_head) == {name for name in statistics if not name.startswith('image_pool.')}


def test_statistics_behind_the_pooling_follow_two_images() -> None:
    head = without_dropout(DEEPLAB).train()
    before, given = snapshot(head), maps(2)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        head(given)
    pooled = torch.einsum('nc,oc->no', given[2].mean((2, 3)), head.image_pool.conv.weight[:, :, 0, 0])
    mean = 0.9 * before['image_pool.bn.running_mean'] + 0.1 * pooled.mean(0)
    torch.testing.assert_close(head.image_pool.bn.running_mean, mean, rtol=0, atol=1e-12)


@pytest.mark.parametrize('batch', [1, 2])
def test_a_group_norm_has_one_group_behind_the_pooling(batch: int) -> None:
    """Groups of few values would say little there; a single image needs no exception."""
    head = without_dropout(DEEPLAB, norm_cfg=dict(type='GN', num_groups=2)).train()
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        given = maps(batch)[2]
        found = head.image_pool(given)[:, :, 0, 0]
    for vector, x in zip(found, given, strict=True):
        values = head.image_pool.conv.weight[:, :, 0, 0] @ x.mean((1, 2))
        expected = (values - values.mean()) / (values.var(unbiased=False) + 1e-5).sqrt()
        torch.testing.assert_close(vector, expected.clamp(min=0), rtol=0, atol=1e-12)
    assert head.branches[1].bn.num_groups == head.project.bn.num_groups == 2


def test_a_gradient_reaches_every_parameter() -> None:
    head = build(DEEPLAB).double()
    head.loss(maps(), samples(torch.randint(3, (2, 9, 9))), {})['loss_ce'].backward()
    assert all(parameter.grad.abs().max() > 0 for parameter in head.parameters())


@pytest.mark.parametrize(
    ('changes', 'error', 'message'),
    [
        (dict(rates=(12, 24)), ValueError, r'rates=\(12, 24\) must have 3 entries'),
        (dict(rates=(12, 0, 36)), ValueError, r'rates\[1\]=0 must be a whole number, 1 or more'),
        (dict(rates=12), TypeError, 'rates=12 must be a tuple'),
        (dict(project_dropout_ratio=1), ValueError, r'project_dropout_ratio=1 must be in \[0, 1\)'),
        (dict(dilations=(1, 12, 24, 36)), TypeError, "unexpected keyword argument 'dilations'"),
    ],
)
def test_wrong_arguments_are_named(changes: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        build(DEEPLAB, **changes)
