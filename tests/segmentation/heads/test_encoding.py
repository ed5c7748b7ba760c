"""Both heads start, drop out and are scored as PyTorch-Encoding's, and say what is wrong with an argument."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from mmengine.registry import MODELS, DefaultScope
from torch import Tensor, nn

pytest.importorskip('mmseg', reason='the heads are of mmseg')

from tests.support import head_oracle
from tests.support.segmentation_heads import DEEPLAB, FCN, build, maps, samples, segmentor, without_dropout
from tests.support.tiny_backbones import image, snapshot

both = pytest.mark.parametrize('config', [DEEPLAB, FCN], ids=['deeplabv3', 'fcn'])
resizing = pytest.mark.filterwarnings('ignore:When align_corners=True')


def labels(size: tuple[int, int] = (9, 11), *, ignored: float, batch: int = 2) -> Tensor:
    """Return random labels, more of the second image's replaced by 255 than of the first one's."""
    generator = torch.Generator().manual_seed(3)
    values = torch.randint(3, (batch, *size), generator=generator)
    chances = torch.rand(values.shape, generator=generator)
    shares = torch.tensor([ignored / 2, *[ignored] * (batch - 1)])
    return values.masked_fill(chances < shares.view(-1, 1, 1), 255)


@both
@pytest.mark.parametrize('ignored', [0.0, 0.3, 0.9])
def test_loss_is_the_mean_over_known_pixels(config: dict[str, Any], ignored: float) -> None:
    """Logits are enlarged with their corners in the corners, and ignored pixels count in no mean."""
    head = without_dropout(config).eval()
    truth, given = labels(ignored=ignored), maps()
    assert (truth == 255).any() == (ignored > 0)
    losses = head.loss(given, samples(truth), {})
    expected = head_oracle.cross_entropy(head_oracle.enlarge(head(given), (9, 11)), truth, ignored=255)
    assert losses['loss_ce'].item() == pytest.approx(expected, rel=1e-6)


@both
def test_loss_without_a_known_pixel_is_zero(config: dict[str, Any]) -> None:
    loss = without_dropout(config).loss(maps(), samples(torch.full((2, 9, 11), 255)), {})['loss_ce']
    loss.backward()
    assert loss.item() == 0


@both
def test_another_label_can_be_ignored(config: dict[str, Any]) -> None:
    head = without_dropout(config, ignore_index=2).eval()
    truth, given = labels(ignored=0), maps()
    expected = head_oracle.cross_entropy(head_oracle.enlarge(head(given), (9, 11)), truth, ignored=2)
    assert head.loss(given, samples(truth), {})['loss_ce'].item() == pytest.approx(expected, rel=1e-6)


@both
def test_two_losses_are_two_entries(config: dict[str, Any]) -> None:
    entries = [dict(type='CrossEntropyLoss', avg_non_ignore=True, loss_weight=0.5, loss_name='loss_a')]
    entries.append(dict(entries[0], loss_weight=2.0, loss_name='loss_b'))
    losses = without_dropout(config, loss_decode=entries).loss(maps(), samples(labels(ignored=0.3)), {})
    assert losses['loss_b'].item() == pytest.approx(4 * losses['loss_a'].item())


@both
def test_a_sampler_chooses_the_pixels(config: dict[str, Any]) -> None:
    """mmseg's sampler of hard examples keeps, of two images, the four pixels with the largest loss."""
    head = without_dropout(config, sampler=dict(type='OHEMPixelSampler', min_kept=2)).eval()
    truth, given = labels(ignored=0.3), maps()
    losses = head_oracle.pixel_losses(head_oracle.enlarge(head(given), (9, 11)), truth, ignored=255)
    expected = sum(sorted(losses)[-4:]) / len(losses)
    assert head.loss(given, samples(truth), {})['loss_ce'].item() == pytest.approx(expected, rel=1e-6)


@both
def test_corners_can_be_left_unaligned(config: dict[str, Any]) -> None:
    head = without_dropout(config, align_corners=False).eval()
    truth, given = labels(ignored=0.3), maps()
    logits = nn.functional.interpolate(head(given), (9, 11), mode='bilinear', align_corners=False)
    expected = head_oracle.cross_entropy(logits, truth, ignored=255)
    assert head.loss(given, samples(truth), {})['loss_ce'].item() == pytest.approx(expected, rel=1e-6)


@both
@pytest.mark.parametrize(('options', 'probability'), [(dict(), 0.1), (dict(dropout_ratio=0.4), 0.4)])
def test_dropout_before_the_classifier_takes_out_single_values(
    config: dict[str, Any], options: dict[str, Any], probability: float
) -> None:
    head = build({**config, 'channels': 16}, **options).train()
    nn.init.constant_(head.convs[0].bn.bias, 10)  # so that no value is zero by itself
    seen: list[Tensor] = []
    head.convs.register_forward_hook(lambda _, __, y: seen.append(y))
    head.conv_seg.register_forward_pre_hook(lambda _, x: seen.append(x[0]))
    head([x.float() for x in maps(8, (12, 12))])
    before, after = seen
    kept = after != 0
    torch.testing.assert_close(after[kept], before[kept] / (1 - probability))
    dropped = 1 - kept.double().mean((2, 3))  # of 144 values in each of 8 x 16 channels
    spread = (probability * (1 - probability) / 144) ** 0.5
    assert (dropped - probability).abs().max() < 6 * spread
    assert abs(dropped.mean() - probability) < 4 * spread / 128**0.5


@both
def test_evaluation_drops_nothing(config: dict[str, Any]) -> None:
    """And a head of which nothing is dropped computes the same twice in training."""
    head = build(config).double().eval()
    assert torch.equal(head(maps()), head(maps()))
    head = without_dropout(config).train()
    assert torch.equal(head(maps()), head(maps()))


@both
def test_initial_weights_are_pytorchs(config: dict[str, Any]) -> None:
    """Uniform within 1 / sqrt(fan in), the classifier and its bias too, also after `init_weights`."""
    model = segmentor({**config, 'channels': 32})
    before = snapshot(model.decode_head)
    model.init_weights()
    layers = {name: m for name, m in model.decode_head.named_modules() if isinstance(m, nn.Conv2d)}
    assert {name for name, layer in layers.items() if layer.bias is not None} == {'conv_seg'}
    for name, layer in layers.items():
        bound = 1 / math.sqrt(layer.weight[0].numel())
        values = layer.weight.detach()
        assert torch.equal(values, before[f'{name}.weight'])
        assert 0.9 * bound < values.abs().max() <= bound
        assert values.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.1)  # 96 values or more
    assert 0 < model.decode_head.conv_seg.bias.abs().max() <= 1 / math.sqrt(32)


@both
def test_an_init_cfg_has_the_last_word(config: dict[str, Any]) -> None:
    model = segmentor({**config, 'init_cfg': dict(type='Constant', val=0.25, bias=0.5, layer='Conv2d')})
    model.init_weights()
    for name, layer in model.decode_head.named_modules():
        if isinstance(layer, nn.Conv2d):
            assert (layer.weight == 0.25).all(), name
    assert (model.decode_head.conv_seg.bias == 0.5).all()


@both
@pytest.mark.parametrize('kind', ['BN', 'SyncBN', 'GN'])
def test_every_norm_is_the_one_asked_for(config: dict[str, Any], kind: str) -> None:
    norm_cfg = dict(type=kind, eps=1e-3, requires_grad=False, **(dict(num_groups=2) if kind == 'GN' else {}))
    wanted = {'BN': nn.BatchNorm2d, 'SyncBN': nn.SyncBatchNorm, 'GN': nn.GroupNorm}[kind]
    norms = {name: m for name, m in build(config, norm_cfg=norm_cfg).named_modules() if name.endswith('.bn')}
    assert len(norms) == (7 if config is DEEPLAB else 1)
    for name, norm in norms.items():
        assert isinstance(norm, wanted) and not norm.weight.requires_grad
        assert norm.eps == (1e-5 if (kind, name) == ('GN', 'image_pool.bn') else 1e-3)


@both
def test_configs_stay_as_they_were(config: dict[str, Any]) -> None:
    given = dict(config, norm_cfg=dict(type='BN', eps=1e-3), loss_decode=dict(type='CrossEntropyLoss'))
    given['sampler'] = dict(type='OHEMPixelSampler')
    before = copy.deepcopy(given)
    with DefaultScope.overwrite_default_scope('mmseg'):
        MODELS.build(given)
    assert given == before


@both
@resizing
def test_a_segmentor_trains_and_predicts(config: dict[str, Any]) -> None:
    """Losses, weights of the heads and predicted classes are those of loops over the heads' logits."""
    model = segmentor(config).double().eval()
    images, truth = image(2).double(), labels((32, 32), ignored=0.4)
    losses = model.loss(images, samples(truth))
    features = model.extract_feat(images)
    logits = head_oracle.enlarge(model.decode_head(features), (32, 32))
    expected = head_oracle.cross_entropy(logits, truth, ignored=255)
    assert losses['decode.loss_ce'].item() == pytest.approx(expected, rel=1e-6)
    enlarged = head_oracle.enlarge(model.auxiliary_head(features), (32, 32))
    expected = 0.2 * head_oracle.cross_entropy(enlarged, truth, ignored=255)
    assert losses['aux.loss_ce'].item() == pytest.approx(expected, rel=1e-6)
    with torch.no_grad():
        predicted = model.predict(images, samples(truth))
    for sample, scores in zip(predicted, logits, strict=True):
        torch.testing.assert_close(sample.seg_logits.data, scores, rtol=0, atol=1e-9)
        assert torch.equal(sample.pred_sem_seg.data[0], scores.argmax(0))


@both
@pytest.mark.parametrize('num_classes', [1, 2])
def test_a_single_channel_is_scored_by_a_sigmoid(config: dict[str, Any], num_classes: int) -> None:
    """A softmax over one channel would be 1 whatever the head says."""
    head = without_dropout(config, num_classes=num_classes, out_channels=1, threshold=0.4).eval()
    given, truth = maps(), labels(ignored=0.3)
    truth[truth == 2] = 1
    logits = head_oracle.enlarge(head(given), (9, 11))[:, 0].tolist()
    terms = [
        math.log1p(math.exp(-score if label else score))
        for image_scores, image_truth in zip(logits, truth.tolist(), strict=True)
        for scores, row in zip(image_scores, image_truth, strict=True)
        for score, label in zip(scores, row, strict=True)
        if label != 255
    ]
    assert head.loss(given, samples(truth), {})['loss_ce'].item() == pytest.approx(sum(terms) / len(terms), rel=1e-6)
    assert (head.out_channels, head.num_classes, head.threshold) == (1, num_classes, 0.4)


@both
@pytest.mark.parametrize(
    ('changes', 'error', 'message'),
    [
        (dict(in_channels=0), ValueError, 'in_channels=0 must be a whole number, 1 or more'),
        (dict(in_channels=(2, 4)), TypeError, r'in_channels=\(2, 4\) must be a whole number'),
        (dict(channels=0), ValueError, 'channels=0 must be'),
        (dict(num_classes=0), ValueError, 'num_classes=0 must be'),
        (dict(out_channels=2), ValueError, 'out_channels=2 must equal num_classes=3'),
        (dict(out_channels=1), ValueError, 'out_channels=1 must equal num_classes=3'),
        (dict(threshold=0.3), ValueError, 'threshold=0.3 has no effect with 3 output channels'),
        (dict(threshold=30, num_classes=1), ValueError, r'threshold=30 must be in \[0, 1\)'),
        (dict(in_index=(2, 3)), TypeError, r'in_index=\(2, 3\) must be a whole number'),
        (dict(ignore_index='255'), TypeError, "ignore_index='255' must be a whole number"),
        (dict(dropout_ratio=10), ValueError, r'dropout_ratio=10 must be in \[0, 1\)'),
        (dict(align_corners=1), TypeError, 'align_corners=1 must be True or False'),
        (dict(norm_cfg=dict(type='GN', num_groups=3)), ValueError, 'cannot normalise 4 channels'),
        (dict(norm_cfg='BN'), TypeError, "norm_cfg='BN' must be a dict with a type"),
        (dict(loss_decode='CrossEntropyLoss'), TypeError, "loss_decode='CrossEntropyLoss' must be the config"),
        (dict(loss_decode=[]), TypeError, r'loss_decode=\[\] must be the config'),
        (dict(input_transform=None), TypeError, "unexpected keyword argument 'input_transform'"),
        (dict(conv_cfg=None), TypeError, "unexpected keyword argument 'conv_cfg'"),
    ],
)
def test_wrong_arguments_are_named(
    config: dict[str, Any], changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        build(config, **changes)
