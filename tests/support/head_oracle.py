"""Heads, losses and resizing written down again with nothing but functions, explicit weights and loops."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

State = Mapping[str, Tensor]


def conv_norm_relu(
    x: Tensor, state: State, name: str, *, padding: int = 0, dilation: int = 1, training: bool, by_batch: bool = True
) -> Tensor:
    """Return what a convolution without bias, a batch norm and a ReLU make of maps.

    In training the norm goes by the batch, unless `by_batch` says otherwise.
    """
    x = F.conv2d(x, state[f'{name}.conv.weight'], None, padding=padding, dilation=dilation)
    mean, var = state[f'{name}.bn.running_mean'], state[f'{name}.bn.running_var']
    if training and by_batch:
        mean = x.mean((0, 2, 3))
        var = (x - mean[:, None, None]).square().mean((0, 2, 3))
    scale = state[f'{name}.bn.weight'] / (var + 1e-5).sqrt()
    x = (x - mean[:, None, None]) * scale[:, None, None] + state[f'{name}.bn.bias'][:, None, None]
    return x.clamp(min=0)


def fcn(x: Tensor, state: State, *, training: bool) -> Tensor:
    """Return the logits of an FCN head without dropout."""
    x = conv_norm_relu(x, state, 'convs.0', padding=1, training=training)
    return F.conv2d(x, state['conv_seg.weight'], state['conv_seg.bias'])


def deeplabv3(x: Tensor, state: State, rates: Sequence[int], *, training: bool) -> Tensor:
    """Return the logits of a DeepLabV3 head without dropout."""
    b0 = conv_norm_relu(x, state, 'branches.0', training=training)
    b1 = conv_norm_relu(x, state, 'branches.1', padding=rates[0], dilation=rates[0], training=training)
    b2 = conv_norm_relu(x, state, 'branches.2', padding=rates[1], dilation=rates[1], training=training)
    b3 = conv_norm_relu(x, state, 'branches.3', padding=rates[2], dilation=rates[2], training=training)
    pool = F.adaptive_avg_pool2d(x, 1)
    pool = conv_norm_relu(pool, state, 'image_pool', training=training, by_batch=len(x) > 1)
    pool = F.interpolate(pool, x.shape[2:], mode='bilinear', align_corners=True)
    y = conv_norm_relu(torch.cat([b0, b1, b2, b3, pool], 1), state, 'project', training=training)
    y = conv_norm_relu(y, state, 'convs.0', padding=1, training=training)
    return F.conv2d(y, state['conv_seg.weight'], state['conv_seg.bias'])


def enlarge(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Return maps resized bilinearly with their corner pixels in the corners, pixel by pixel."""
    height, width = maps.shape[2:]
    resized = maps.new_zeros(*maps.shape[:2], *size)
    for i in range(size[0]):
        for j in range(size[1]):
            y, x = i * (height - 1) / (size[0] - 1), j * (width - 1) / (size[1] - 1)
            top, left = min(int(y), height - 2), min(int(x), width - 2)
            dy, dx = y - top, x - left
            resized[:, :, i, j] = (
                maps[:, :, top, left] * (1 - dy) * (1 - dx)
                + maps[:, :, top, left + 1] * (1 - dy) * dx
                + maps[:, :, top + 1, left] * dy * (1 - dx)
                + maps[:, :, top + 1, left + 1] * dy * dx
            )
    return resized


def pixel_losses(logits: Tensor, labels: Tensor, *, ignored: int) -> list[float]:
    """Return -log(probability of the label) of every pixel with another label than `ignored`."""
    losses = []
    for image, truth in zip(logits.tolist(), labels.tolist(), strict=True):
        for i, row in enumerate(truth):
            for j, label in enumerate(row):
                if label != ignored:
                    scores = [channel[i][j] for channel in image]
                    losses.append(math.log(sum(map(math.exp, scores))) - scores[label])
    return losses


def cross_entropy(logits: Tensor, labels: Tensor, *, ignored: int) -> float:
    """Return the mean over the pixels with another label than `ignored`."""
    losses = pixel_losses(logits, labels, ignored=ignored)
    return math.fsum(losses) / len(losses)
