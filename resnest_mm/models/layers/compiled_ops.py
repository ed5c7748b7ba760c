"""What mmcv's compiled deformable convolutions do not do themselves: memory formats, bfloat16 and empty batches.

The ops read the memory of a tensor as if it were contiguous. For any other tensor, version 1 raises an error and
version 2 returns wrong values.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import torch
import torch.nn.functional as F
from mmcv.ops import DeformConv2d, ModulatedDeformConv2d
from torch import Tensor

from resnest_mm.models.layers.empty_batch import has_no_images

_MOST_IMAGES: Final = 32
"""The most images that mmcv's version 1 gives to its kernel at once."""


def run_compiled(
    op: Callable[..., Tensor], layer: DeformConv2d | ModulatedDeformConv2d, x: Tensor, *predicted: Tensor
) -> Tensor:
    """Return the output of a deformable convolution in the memory format of its input.

    Args:
        op: Calls the compiled op with contiguous tensors: the input, the weight, and `predicted`.
        layer: The deformable convolution.
        x: Its input in any memory format.
        predicted: The predicted offsets, and in version 2 the modulations; their type is the type of the output.

    Shape:
        x [N, C, H, W], output [N, C', H', W'].
    """
    if has_no_images(x):
        unused = sum(values.sum() for values in predicted)  # every parameter gets a gradient, which is zero
        return F.conv2d(x, layer.weight, None, layer.stride, layer.padding, layer.dilation, layer.groups) + unused
    kept = predicted[0].dtype
    computed = torch.float32 if kept == torch.bfloat16 else kept  # the ops have no code for bfloat16
    y = op(*(tensor.to(computed).contiguous() for tensor in (x, layer.weight, *predicted))).to(kept)
    if x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous():
        y = y.contiguous(memory_format=torch.channels_last)
    return y


def largest_step(images: int) -> int:
    """Return how many images of a batch to give to version 1 at once: the batch must be divisible by it."""
    return next(step for step in range(_MOST_IMAGES, 0, -1) if images % step == 0)
