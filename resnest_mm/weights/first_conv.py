"""Fitting the first convolution to images of other than three channels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from torch import Tensor

FIRST_CONV: Final = 'stem.0.weight'


def fit_first_conv(given: dict[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    """Fit the first convolution in `given` to the image channels of the backbone, in place of the mapping's entry.

    A grey image answers with the response to it as RGB; four and more channels repeat the colours in turn, each divided
    by how often it occurs, so that repeated input answers as RGB does.

    Args:
        given: Tensors by name; its entry is replaced.
        wanted: The backbone's own.
    """
    weight, target = given.get(FIRST_CONV), wanted.get(FIRST_CONV)
    if weight is None or target is None or weight.dim() != 4 or target.dim() != 4:
        return
    outputs, colours = weight.shape[:2]
    channels = target.shape[1]
    if colours != 3 or channels == 3 or outputs != target.shape[0]:
        return
    if channels < colours:
        given[FIRST_CONV] = weight.sum(1, keepdim=True).repeat(1, channels, 1, 1) / channels
    else:
        source = [channel % colours for channel in range(channels)]
        shares = weight.new_tensor([source.count(colour) for colour in source]).view(1, -1, 1, 1)
        given[FIRST_CONV] = weight[:, source] / shares
