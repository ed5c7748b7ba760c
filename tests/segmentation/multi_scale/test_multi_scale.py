"""The multi-scale sliding evaluation against a pixel-by-pixel oracle, with networks that feel where a window lies."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

pytest.importorskip('mmseg', reason='the evaluation runs segmentors of mmseg')

from mmengine.config import ConfigDict
from mmengine.registry import MODELS as ROOT_MODELS
from mmengine.registry import DefaultScope
from mmengine.structures import PixelData

from resnest_mm.segmentation.multi_scale.multi_scale import MultiScaleSlideTTA
from tests.support import slide_oracle
from tests.support.slide_fakes import BLACK, FakeSegmentor, normalised, picture, sample, tiny_segmentor
from tests.support.slide_oracle import Maps

SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)


def wrapper(module: Any = None, **changes: Any) -> MultiScaleSlideTTA:
    module = FakeSegmentor() if module is None else module
    return MultiScaleSlideTTA(**{'module': module, 'base_size': 13, 'crop_size': 12, 'scales': SCALES, **changes})


def expected(image: torch.Tensor, module: FakeSegmentor | None = None, **changes: Any) -> Maps:
    module = FakeSegmentor() if module is None else module
    settings: dict[str, Any] = {'black': BLACK, 'base_size': 13, 'crop_size': 12, 'scales': SCALES, **changes}
    return slide_oracle.scores(normalised(image), module.of_crop, **settings)


def assert_equal(scores: torch.Tensor, oracle: Maps) -> None:
    assert scores.shape == oracle.shape
    np.testing.assert_allclose(scores.numpy(), oracle, rtol=1e-9)


@pytest.mark.parametrize(
    ('height', 'width'),
    [
        pytest.param(9, 7, id='portrait, smaller than the crop'),
        pytest.param(6, 11, id='landscape, smaller than the crop'),
        pytest.param(12, 12, id='exactly the crop'),
        pytest.param(13, 13, id='exactly the base'),
        pytest.param(17, 31, id='landscape, larger'),
        pytest.param(33, 26, id='portrait, larger'),
        pytest.param(20, 20, id='square, larger'),
        pytest.param(4, 40, id='a strip, shorter than the crop at every scale'),
        pytest.param(40, 5, id='a strip that stands'),
    ],
)
def test_scores_equal_the_oracle_s(height: int, width: int) -> None:
    image = picture(height, width)
    assert_equal(wrapper().scores(image), expected(image))


@pytest.mark.parametrize(('base_size', 'crop_size'), [(12, 12), (24, 12), (16, 9), (7, 20)])
@pytest.mark.parametrize('scale', [0.5, 1.0, 1.6])
def test_a_single_scale_equals_the_oracle_s(base_size: int, crop_size: int, scale: float) -> None:
    """Crops that divide the image, that do not, and that swallow it."""
    image = picture(14, 19)
    settings = {'base_size': base_size, 'crop_size': crop_size, 'scales': [scale]}
    assert_equal(wrapper(**settings).scores(image), expected(image, **settings))


def test_without_flip_the_logits_of_the_image_alone_count() -> None:
    image = picture(10, 15)
    plain, flipped = wrapper(flip=False).scores(image), wrapper().scores(image)
    assert_equal(plain, expected(image, flip=False))
    # A network that treats left and right alike could not tell the two.
    twice = slide_oracle.scores(
        normalised(image),
        FakeSegmentor(gain=2.0).of_crop,
        black=BLACK,
        base_size=13,
        crop_size=12,
        scales=SCALES,
        flip=False,
    )
    assert np.abs(flipped.numpy() / twice - 1).max() > 0.1


def softmax(logits: Maps) -> Maps:
    exponentials: Maps = np.exp(logits)
    return exponentials / exponentials.sum(0)


@pytest.mark.parametrize(
    'wrong',
    [
        pytest.param(lambda plain, mirrored: np.exp(plain) + np.exp(mirrored), id='sum of exponentials'),
        pytest.param(lambda plain, mirrored: softmax(plain) + softmax(mirrored), id='sum of softmax'),
        pytest.param(lambda plain, mirrored: softmax(plain + mirrored), id='softmax of the sum'),
        pytest.param(lambda plain, mirrored: np.exp((plain + mirrored) / 2), id='exponential of the mean'),
        pytest.param(lambda plain, mirrored: np.exp(plain + mirrored[:, :, ::-1]), id='not mirrored back'),
    ],
)
def test_other_ways_to_merge_are_told_apart_by_their_predictions(wrong: Callable[[Maps, Maps], Maps]) -> None:
    image = picture(17, 31)
    prediction = wrapper(FakeSegmentor(gain=2.0)).scores(image).argmax(0).numpy()
    module = FakeSegmentor(gain=2.0)
    np.testing.assert_array_equal(prediction, expected(image, module).argmax(0))
    assert (prediction != expected(image, module, merge=wrong).argmax(0)).any()


def test_what_lies_beyond_the_image_is_black() -> None:
    module = FakeSegmentor()
    wrapper(module, scales=[0.5], flip=False).scores(picture(10, 20))
    [window] = module.seen
    assert window.shape == (1, 3, 12, 12)
    for channel, black in enumerate(BLACK):
        np.testing.assert_allclose(window[0, channel, 4:], black)
        np.testing.assert_allclose(window[0, channel, :, 7:], black)
    assert (window[0, 0, :4, :7] > BLACK[0]).all()


@pytest.mark.parametrize(('windows_per_batch', 'calls'), [(1, [1] * 6), (4, [4, 2]), (6, [6]), (99, [6])])
def test_windows_in_batches_give_the_same(windows_per_batch: int, calls: list[int]) -> None:
    image, module = picture(18, 23), FakeSegmentor()
    settings = {'base_size': 23, 'scales': [1.0], 'flip': False}
    scores = wrapper(module, windows_per_batch=windows_per_batch, **settings).scores(image)
    assert [len(windows) for windows in module.seen] == calls
    assert_equal(scores, expected(image, **settings))


def test_images_of_unequal_size_come_back_with_their_own_predictions() -> None:
    sizes = [(10, 15), (15, 10), (20, 22)]
    images = [picture(*size, seed=seed) for seed, size in enumerate(sizes)]
    samples = [sample(*size, img_path=f'{index}.jpg') for index, size in enumerate(sizes)]
    truth = PixelData(data=torch.zeros(1, 10, 15, dtype=torch.uint8))
    samples[0].gt_sem_seg = truth
    results = wrapper().test_step({'inputs': images, 'data_samples': samples})
    assert [result.img_path for result in results] == ['0.jpg', '1.jpg', '2.jpg']
    for image, result in zip(images, results, strict=True):
        oracle = expected(image)
        assert_equal(result.seg_logits.data, oracle)
        np.testing.assert_array_equal(result.pred_sem_seg.data.numpy(), oracle.argmax(0)[None])
    assert results[0].gt_sem_seg.data is truth.data


def test_images_without_samples_and_in_one_tensor_get_predictions() -> None:
    images = torch.stack([picture(10, 15, seed=seed) for seed in range(2)])
    results = wrapper().test_step({'inputs': images})
    for image, result in zip(images, results, strict=True):
        np.testing.assert_array_equal(result.pred_sem_seg.data[0].numpy(), expected(image).argmax(0))


def test_no_gradients_are_kept() -> None:
    module = FakeSegmentor()
    module.first.requires_grad_()
    [result] = wrapper(module).test_step({'inputs': [picture(10, 15)]})
    assert not result.seg_logits.data.requires_grad


def test_the_preprocessor_s_padding_is_left_out() -> None:
    image, module = picture(10, 15), FakeSegmentor()
    module.data_preprocessor.test_cfg = {'size': (32, 32)}
    assert_equal(wrapper(module).scores(image), expected(image))
    assert module.data_preprocessor.test_cfg == {'size': (32, 32)}


def test_a_preprocessor_that_always_pads_is_refused() -> None:
    module = FakeSegmentor()
    inner = module.data_preprocessor.forward
    module.data_preprocessor.forward = lambda data, training: {'inputs': F.pad(inner(data)['inputs'], (0, 1))}
    with pytest.raises(ValueError, match=r'DoublePreprocessor returns \(1, 3, 10, 16\) for an image \(3, 10, 15\)'):
        wrapper(module).scores(picture(10, 15))


class SingleSegmentor(FakeSegmentor):
    """Sees and gives float32."""

    def __init__(self, *, gain: float) -> None:
        super().__init__(gain=gain)
        inner = self.data_preprocessor.forward
        self.data_preprocessor.forward = lambda data, training: {'inputs': inner(data)['inputs'].float()}

    def logits(self, inputs: torch.Tensor) -> torch.Tensor:
        return super().logits(inputs.double()).float()


class HalfSegmentor(SingleSegmentor):
    """Sees float32 and gives float16, as under autocast."""

    def logits(self, inputs: torch.Tensor) -> torch.Tensor:
        return super().logits(inputs).half()


@pytest.mark.parametrize(('flip', 'gain'), [(True, 3.0), (False, 6.0)])
def test_half_precision_logits_become_scores_in_single_precision(flip: bool, gain: float) -> None:
    image = picture(10, 15)
    oracle = expected(image, FakeSegmentor(gain=gain), flip=flip)
    assert oracle.max() > torch.finfo(torch.float16).max
    scores = wrapper(HalfSegmentor(gain=gain), flip=flip).scores(image)
    assert scores.dtype == torch.float32
    np.testing.assert_allclose(scores.numpy(), oracle, rtol=5e-2)


def test_logits_beyond_float32_s_exponential_still_give_numbers() -> None:
    image = picture(10, 15)
    oracle = expected(image, FakeSegmentor(gain=30.0))
    assert torch.finfo(torch.float32).max < oracle.max() < np.inf
    scores = wrapper(SingleSegmentor(gain=30.0)).scores(image)
    assert scores.dtype == torch.float64
    np.testing.assert_allclose(scores.numpy(), oracle, rtol=1e-2)
    np.testing.assert_array_equal(scores.argmax(0).numpy(), oracle.argmax(0))


def test_ordinary_logits_stay_in_float32() -> None:
    image = picture(10, 15)
    scores = wrapper(SingleSegmentor(gain=1.0)).scores(image)
    assert scores.dtype == torch.float32
    np.testing.assert_allclose(scores.numpy(), expected(image), rtol=1e-4)


@pytest.mark.parametrize(
    ('change', 'error', 'message'),
    [
        ({'scales': ()}, ValueError, r'scales=\(\) must have at least one number above 0'),
        ({'scales': [1.0, 0.0]}, ValueError, r'scales\[1\]=0.0 must be a number above 0'),
        ({'scales': [-0.5]}, ValueError, r'scales\[0\]=-0.5 must be a number above 0'),
        ({'scales': [float('inf')]}, ValueError, r'scales\[0\]=inf must be a number above 0'),
        ({'scales': [float('nan')]}, ValueError, r'scales\[0\]=nan must be a number above 0'),
        ({'scales': ['1']}, TypeError, r"scales\[0\]='1' must be a number above 0"),
        ({'scales': [True]}, TypeError, r'scales\[0\]=True must be a number above 0'),
        ({'scales': 1.0}, TypeError, r'scales=1.0 must be a tuple of numbers'),
        ({'scales': '12'}, TypeError, r"scales='12' must be a tuple of numbers"),
        ({'crop_size': 0}, ValueError, 'crop_size=0 must be a whole number, 2 or more'),
        ({'crop_size': 1}, ValueError, 'crop_size=1 must be a whole number, 2 or more'),
        ({'crop_size': (480, 480)}, TypeError, r'crop_size=\(480, 480\) must be a whole number'),
        ({'base_size': 0}, ValueError, 'base_size=0 must be a whole number, 1 or more'),
        ({'base_size': -520}, ValueError, 'base_size=-520 must be a whole number, 1 or more'),
        ({'base_size': 520.0}, TypeError, 'base_size=520.0 must be a whole number'),
        ({'windows_per_batch': 0}, ValueError, 'windows_per_batch=0 must be a whole number, 1 or more'),
        ({'flip': 1}, TypeError, 'flip=1 must be True or False'),
        ({'module': None}, TypeError, 'module=None must be a segmentor or its config'),
    ],
    ids=str,
)
def test_wrong_arguments_are_refused_before_the_segmentor_is_built(
    change: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        MultiScaleSlideTTA(**{'module': {'type': 'ThereIsNoSuchSegmentor'}, **change})


def test_unknown_arguments_are_refused() -> None:
    with pytest.raises(TypeError, match='stride'):
        wrapper(stride=320)


def test_a_module_with_one_channel_is_refused() -> None:
    with pytest.raises(ValueError, match='FakeSegmentor with out_channels=1, whose logits are for a sigmoid'):
        wrapper(FakeSegmentor(out_channels=1))


def test_a_binary_segmentor_of_mmseg_is_refused() -> None:
    loss = {'type': 'CrossEntropyLoss', 'use_sigmoid': True}
    module = tiny_segmentor(num_classes=2, out_channels=1, threshold=0.5, loss_decode=loss)
    with DefaultScope.overwrite_default_scope('mmseg'), pytest.raises(ValueError, match='out_channels=1'):
        wrapper(module)


def test_a_module_that_is_no_segmentor_is_refused() -> None:
    module = torch.nn.Identity()
    module.test_step = lambda data: data
    with pytest.raises(TypeError, match='module is a Identity without encode_decode'):
        wrapper(module)


@pytest.mark.parametrize(
    ('image', 'meta', 'message'),
    [
        pytest.param([picture(10, 15)], {}, 'an image is a list and must be a tensor', id='versions'),
        pytest.param(picture(5, 8), {}, r'an image of size \(10, 15\) was resized to \(5, 8\)', id='resized'),
        pytest.param(picture(10, 15), {'flip': True}, 'an image is flipped', id='flipped'),
    ],
)
def test_an_image_that_is_not_the_file_s_is_refused(image: Any, meta: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f'{message}; tta_pipeline must be LoadImageFromFile'):
        wrapper().test_step({'inputs': [image], 'data_samples': [sample(10, 15, **meta)]})


def test_the_preprocessor_of_the_top_level_is_only_a_default() -> None:
    """As in a run without test-time augmentation; mmengine's own wrapper would replace the segmentor's."""
    other = {'type': 'SegDataPreProcessor', 'mean': [1.0] * 3, 'std': [2.0] * 3}
    config = ConfigDict(
        type='resnest_mm.MultiScaleSlideTTA', module=tiny_segmentor(), data_preprocessor=other, crop_size=32
    )
    bare = copy.deepcopy(config)
    del bare.module['data_preprocessor']
    before = copy.deepcopy([config, bare])
    with DefaultScope.overwrite_default_scope('mmseg'):
        own, default = ROOT_MODELS.build(config), ROOT_MODELS.build(bare)
    assert own.module.data_preprocessor.mean.flatten().tolist() == pytest.approx([123.675, 116.28, 103.53])
    assert default.module.data_preprocessor.mean.flatten().tolist() == [1.0] * 3
    assert [config, bare] == before


def test_a_built_module_takes_no_other_preprocessor() -> None:
    with pytest.raises(ValueError, match='given with a built module, which has its own'):
        wrapper(data_preprocessor={'type': 'SegDataPreProcessor'})


@pytest.mark.parametrize('align_corners', [True, False])
def test_a_segmentor_of_mmseg_gives_the_oracle_s_scores(align_corners: bool) -> None:
    """Its head's logits are resized to the crop as the head says; everything else aligns corners."""
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmseg'):
        made = wrapper(tiny_segmentor(align_corners=align_corners), base_size=40, crop_size=32, scales=[0.6, 1.2])
    made.eval()
    module = made.module
    torch.nn.init.normal_(module.decode_head.conv_seg.weight)

    def network(crop: Maps) -> Maps:
        with torch.no_grad():
            features = module.backbone(torch.from_numpy(crop)[None].float())
            logits = module.decode_head(features)
            logits = F.interpolate(logits, size=(32, 32), mode='bilinear', align_corners=align_corners)
        return np.asarray(logits[0].double())

    image = picture(24, 37)
    [result] = made.test_step({'inputs': [image], 'data_samples': [sample(24, 37)]})
    settings = {'black': BLACK, 'base_size': 40, 'crop_size': 32, 'scales': [0.6, 1.2]}
    oracle = slide_oracle.scores(normalised(image), network, **settings)
    np.testing.assert_allclose(result.seg_logits.data.numpy(), oracle, rtol=1e-4)
