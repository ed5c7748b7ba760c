"""The steps between the stages of a cascade, for a batch of images: sample, refine, match, average."""

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
    ground_truth: Sequence[InstanceData],
    ignored: Ignored,
    *,
    assigner: Any,
    sampler: Any,
) -> list[SamplingResult]:
    """Return the training samples of the first stage, matched to the ground truth.

    Args:
        x: Feature maps of all levels, for samplers that use them.
        boxes: Proposals of each image in pixels, shape (N, 4).
        ground_truth: Ground truth of each image.
        ignored: Ignored regions of each image, for assigners that use them.
        assigner: mmdet's assigner of the first stage.
        sampler: mmdet's sampler of the first stage.
    """
    samples = []
    for index, found in enumerate(boxes):
        given = InstanceData(priors=found)
        assigned = assigner.assign(given, ground_truth[index], ignored[index])
        features = [level[index : index + 1] for level in x]
        samples.append(sampler.sample(assigned, given, ground_truth[index], feats=features))
    return samples


def match_all(
    boxes: Sequence[Tensor], ground_truth: Sequence[InstanceData], ignored: Ignored, *, assigner: Any
) -> list[SamplingResult]:
    """Return all boxes matched to the ground truth, without random sampling and without adding ground truth boxes.

    Args:
        boxes: Boxes of each image in pixels, shape (N, 4).
        ground_truth: Ground truth of each image.
        ignored: Ignored regions of each image, for assigners that use them.
        assigner: mmdet's assigner of the stage.
    """
    samples = []
    for index, found in enumerate(boxes):
        given = InstanceData(priors=found)
        assigned = assigner.assign(given, ground_truth[index], ignored[index])
        samples.append(PseudoSampler().sample(assigned, given, ground_truth[index]))
    return samples


def refine(boxes: Sequence[Tensor], deltas: Tensor, *, coder: Any, metas: Sequence[Mapping[str, Any]]) -> list[Tensor]:
    """Return the boxes that a stage refines, without gradient and clipped to their images.

    Args:
        boxes: Boxes of each image in pixels, shape (N, 4).
        deltas: Predicted deltas of each box, the same for all classes, shape (sum of N, 4).
        coder: mmdet's box coder of the stage.
        metas: The `img_shape` of each image, its height and width without padding, in pixels.
    """
    refined = []
    for before, change, meta in zip(boxes, split_like(deltas.detach(), boxes), metas, strict=True):
        before = get_box_tensor(before).detach()
        # Half precision, in which a network may predict, has too few digits for coordinates in large images.
        after = coder.decode(before, change.to(before.dtype), max_shape=meta['img_shape'])
        refined.append(get_box_tensor(after))
    return refined


def without_empty(boxes: Tensor) -> Tensor:
    """Return the boxes whose width and height are above 0.

    Args:
        boxes: Boxes in pixels, shape (N, 4).
    """
    return boxes[(boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])]


def mean_probability_logits(stages: Sequence[Tensor]) -> Tensor:
    """Return logits whose softmax is the mean of the stages' softmax probabilities.

    The mean of the logits would give the normalised geometric mean instead.

    Args:
        stages: The logits of each stage, all of shape (N, classes + 1).
    """
    logs = torch.stack([logits.log_softmax(-1) for logits in stages])
    return logs.logsumexp(0) - math.log(len(stages))


def split_like(joined: Tensor, images: Sequence[Sized]) -> list[Tensor]:
    """Split the rows of a batch into the rows of each image.

    Args:
        joined: The rows of all images, one image after another.
        images: One object per image, whose length is the image's number of rows.
    """
    return list(torch.split(joined, [len(image) for image in images]))
