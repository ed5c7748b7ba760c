"""The evaluation of the published ResNeSt segmentation results: six scales, flips and sliding windows."""

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.model import BaseTTAModel
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from resnest_mm.models.arguments.checks import boolean, integer
from resnest_mm.registry import MODELS
from resnest_mm.segmentation.multi_scale.checks import SCALES, check_original, check_scales, check_segmentor
from resnest_mm.segmentation.multi_scale.sliding import resize, slide
from resnest_mm.segmentation.multi_scale.windows import long_side, scaled_size


@MODELS.register_module()
class MultiScaleSlideTTA(BaseTTAModel):
    """Sum a segmentor's scores over several sizes of an image, each divided into overlapping square windows.

    The logits of a window and of its flipped copy are added; the scores are their exponential, not a softmax. Scores
    are averaged where windows overlap. Pixels outside the image are black. The scores of all sizes are resized to the
    size of the image and added. The segmentor's own `test_cfg.mode` and padding are not used.

    `tools/test.py --tta` uses this model if a config has::

        tta_model = dict(type='resnest_mm.MultiScaleSlideTTA', base_size=520, crop_size=480)
        tta_pipeline = [
            dict(type='LoadImageFromFile', imdecode_backend='pillow'),
            dict(type='LoadAnnotations', reduce_zero_label=True),
            dict(type='PackSegInputs'),
        ]

    `LoadAnnotations` must be that of the test pipeline. Images of a batch may differ in size; each is run separately.

    Args:
        module: A segmentor whose logits have two or more channels, or its config.
        base_size: Long side of the image at scale 1 in pixels, at least 1.
        crop_size: Side of a window in pixels, at least 2; the crop size of the training.
        scales: Factors of `base_size`, one or more, each above 0.
        flip: Whether to run a horizontally flipped copy of each window, too.
        windows_per_batch: Number of windows in a batch, at least 1. More windows need more memory and may be faster on
            a GPU; the scores are the same.
        data_preprocessor: Config of the data preprocessor if the config of `module` has none. The Runner passes the one
            at the top level of the config.

    Raises:
        TypeError: An argument has the wrong type, or the module has no `encode_decode`.
        ValueError: An argument is out of range, or the module has one output channel.

    Source: zhanghang1989/PyTorch-Encoding@ac74841, `MultiEvalModule` in encoding/models/sseg/base.py.
    """

    def __init__(
        self,
        *,
        module: nn.Module | Mapping[str, Any],
        base_size: int = 520,
        crop_size: int = 480,
        scales: Sequence[float] = SCALES,
        flip: bool = True,
        windows_per_batch: int = 1,
        data_preprocessor: Mapping[str, Any] | None = None,
    ) -> None:
        base_size = integer('base_size', base_size, least=1)
        crop_size = integer('crop_size', crop_size, least=2)
        scales = check_scales(scales)
        flip = boolean('flip', flip)
        windows_per_batch = integer('windows_per_batch', windows_per_batch, least=1)
        super().__init__(module=_with_preprocessor(module, data_preprocessor))
        check_segmentor(self.module)
        self.base_size = base_size
        self.crop_size = crop_size
        self.scales = scales
        self.flip = flip
        self.windows_per_batch = windows_per_batch

    @torch.no_grad()
    def test_step(self, data: Mapping[str, Any]) -> list[SegDataSample]:
        """Return the data samples with `seg_logits`, the summed scores, and `pred_sem_seg`, their argmax.

        Args:
            data: `inputs`, a list of images [C, H, W], and optionally `data_samples`.

        Shape:
            seg_logits [channels, H, W], pred_sem_seg [1, H, W].

        Raises:
            ValueError: An image was resized or flipped, comes in several versions, or is resized by the segmentor's
                preprocessor.
        """
        inputs = data['inputs']
        samples = data.get('data_samples') or [SegDataSample() for _ in inputs]
        for image, sample in zip(inputs, samples, strict=True):
            check_original(image, sample)
            scores = self.scores(image)
            sample.seg_logits = PixelData(data=scores)
            sample.pred_sem_seg = PixelData(data=scores.argmax(0, keepdim=True))
        return list(samples)

    def merge_preds(self, data_samples_list: Any) -> Any:
        """Not used, but required by mmengine's base class: `test_step` adds scores instead of merging predictions."""
        raise NotImplementedError('MultiScaleSlideTTA sums scores in test_step and merges no predictions')

    def scores(self, image: Tensor) -> Tensor:
        """Return the summed scores of an image, in float32 or float64.

        Args:
            image: The loaded pixels, before the segmentor's preprocessor.

        Shape:
            image [C, H, W], scores [channels, H, W].
        """
        prepared = self._prepare(image)
        black = self._prepare(torch.zeros_like(image[:, :1, :1]))
        total = self._sum_scales(prepared, black, dtype=torch.promote_types(prepared.dtype, torch.float32))
        if not total.isfinite().all():
            # In float32 the exponential of a logit above 88 is infinite, and resizing turns infinity into NaN.
            total = self._sum_scales(prepared, black, dtype=torch.float64)
        return total[0]

    def _prepare(self, image: Tensor) -> Tensor:
        preprocessor = copy.copy(self.module.data_preprocessor)
        preprocessor.test_cfg = None  # otherwise it would pad the image before resizing, with the mean colour
        prepared = preprocessor({'inputs': [image]}, False)['inputs']
        if not isinstance(prepared, Tensor) or prepared.shape != (1, *image.shape):
            got = tuple(prepared.shape) if isinstance(prepared, Tensor) else type(prepared).__name__
            raise ValueError(
                f'{type(preprocessor).__name__} returns {got} for an image {tuple(image.shape)} and must return '
                f'{(1, *image.shape)}: use SegDataPreProcessor, or one that does not pad in testing'
            )
        return prepared

    def _sum_scales(self, image: Tensor, black: Tensor, *, dtype: torch.dtype) -> Tensor:
        height, width = image.shape[-2:]
        sizes = (scaled_size(height, width, long=long_side(self.base_size, scale)) for scale in self.scales)
        scores_by_size = (
            slide(
                resize(image, *size),
                run=functools.partial(self._run, dtype=dtype),
                black=black,
                crop_size=self.crop_size,
                windows_per_batch=self.windows_per_batch,
            )
            for size in sizes
        )
        return functools.reduce(Tensor.add_, (resize(scores, height, width) for scores in scores_by_size))

    def _run(self, windows: Tensor, *, dtype: torch.dtype) -> Tensor:
        logits = self._logits(windows).to(dtype)
        if self.flip:
            logits = logits + self._logits(windows.flip(-1)).flip(-1).to(dtype)
        return logits.exp()

    def _logits(self, windows: Tensor) -> Tensor:
        size = windows.shape[-2:]
        metas = [
            {'ori_shape': size, 'img_shape': size, 'pad_shape': size, 'padding_size': [0] * 4}
            for _ in range(len(windows))
        ]
        logits: Tensor = self.module.encode_decode(windows, metas)
        return logits


def _with_preprocessor(module: Any, data_preprocessor: Mapping[str, Any] | None) -> Any:
    if isinstance(module, nn.Module):
        if data_preprocessor is not None:
            raise ValueError('data_preprocessor is given with a built module, which has its own; give one of the two')
        return module
    if not isinstance(module, Mapping):
        raise TypeError(f'module={module!r} must be a segmentor or its config')
    # In mmengine's base class the preprocessor at the top level replaces the segmentor's. Without test-time
    # augmentation the Runner uses it as a default. Both must preprocess in the same way, so it is a default here, too.
    module = copy.deepcopy(module)
    if data_preprocessor is not None:
        module.setdefault('data_preprocessor', copy.deepcopy(data_preprocessor))
    return module
