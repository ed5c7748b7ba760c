"""What happens around the stages of a cascade, for the images of a batch: sample, refine, match, average."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Sized
from typing import Any

import torch
from mmdet.models.task_modules.samplers import PseudoSampler, SamplingResult
from mmdet.structures.bbox import get_box_tensor
from mmengine.structures import InstanceData
from torch import Tensor

Ignored = Sequence[InstanceData | None]


def sample(
    x: Sequence[Tensor],
    boxes: Sequence[Tensor],
    objects: Sequence[InstanceData],
    ignored: Ignored,
    *,
    assigner: Any,
    sampler: Any,
) -> list[SamplingResult]:
    """Return the boxes that the first stage is trained on, matched to objects.

    Args:
        x: Feature maps of all levels, for samplers that look at them.
        boxes: Proposals of each image in pixels, shape (N, 4).
        objects: Objects of each image.
        ignored: Regions of each image that the assigner may be told to leave out.
        assigner: mmdet's assigner of the first stage.
        sampler: mmdet's sampler of the first stage.
    """
    samples = []
    for index, found in enumerate(boxes):
        given = InstanceData(priors=found)
        assigned = assigner.assign(given, objects[index], ignored[index])
        features = [level[index : index + 1] for level in x]
        samples.append(sampler.sample(assigned, given, objects[index], feats=features))
    return samples


def match_all(
    boxes: Sequence[Tensor], objects: Sequence[InstanceData], ignored: Ignored, *, assigner: Any
) -> list[SamplingResult]:
    """Return all boxes matched to objects: none is left out by chance, and no object is added as a box.

    Args:
        boxes: Boxes of each image in pixels, shape (N, 4).
        objects: Objects of each image.
        ignored: Regions of each image that the assigner may be told to leave out.
        assigner: mmdet's assigner of the stage.
    """
    samples = []
    for index, found in enumerate(boxes):
        given = InstanceData(priors=found)
        assigned = assigner.assign(given, objects[index], ignored[index])
        samples.append(PseudoSampler().sample(assigned, given, objects[index]))
    return samples


def refine(boxes: Sequence[Tensor], deltas: Tensor, *, coder: Any, metas: Sequence[Mapping[str, Any]]) -> list[Tensor]:
    """Return the boxes that a stage makes of those it was given, without gradient and inside their images.

    Args:
        boxes: Boxes of each image in pixels, shape (N, 4).
        deltas: What the stage predicts for each box, the same for all classes, shape (sum of N, 4).
        coder: mmdet's box coder of the stage.
        metas: Of each image `img_shape`, its height and width without padding, in pixels.
    """
    refined = []
    for before, change, meta in zip(boxes, split_like(deltas.detach(), boxes), metas, strict=True):
        before = get_box_tensor(before).detach()
        # Coordinates in large images need more digits than the half precision in which a network may predict.
        after = coder.decode(before, change.to(before.dtype), max_shape=meta['img_shape'])
        refined.append(get_box_tensor(after))
    return refined


def without_empty(boxes: Tensor) -> Tensor:
    """Return the boxes that have a width and a height.

    Args:
        boxes: Boxes in pixels, shape (N, 4).
    """
    return boxes[(boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])]


def mean_probability_logits(stages: Sequence[Tensor]) -> Tensor:
    """Return logits whose softmax is the mean over the stages of the softmax of theirs.

    The softmax of the mean logits would be the stages' geometric mean instead, normalised.

    Args:
        stages: The logits of each stage, all of one shape (N, classes + 1).
    """
    logs = torch.stack([logits.log_softmax(-1) for logits in stages])
    return logs.logsumexp(0) - math.log(len(stages))


def split_like(joined: Tensor, images: Sequence[Sized]) -> list[Tensor]:
    """Return the part of each image.

    Args:
        joined: The rows of all images, one image behind the other.
        images: Something of each image that has as many entries as the image has rows.
    """
    return list(torch.split(joined, [len(image) for image in images]))
