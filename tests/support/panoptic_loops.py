"""detectron2's rules for a panoptic map, written out pixel by pixel."""

from __future__ import annotations

from mmengine.structures import InstanceData
from torch import Tensor


def fuse(
    instances: InstanceData,
    logits: Tensor,
    *,
    things: int,
    score_thr: float,
    mask_overlap: float,
    stuff_area_limit: int,
) -> list[list[int]]:
    """Return the map of an image: lists and pixels, no tensors.

    Args:
        instances: Masks, scores and labels of the objects.
        logits: Scores of the semantic head, whose first channel stands for all things.
        things: Number of classes of things.
        score_thr: Lowest score of an object that takes part.
        mask_overlap: Largest share of an object's mask that may be taken already.
        stuff_area_limit: Fewest pixels of a class of stuff.
    """
    stuff, height, width = logits.shape[0] - 1, *logits.shape[1:]
    void = things + stuff
    result = [[void] * width for _ in range(height)]
    scores = instances.scores.tolist()
    pixels = [(row, column) for row in range(height) for column in range(width)]
    number = 0
    for index in sorted(range(len(scores)), key=lambda place: -scores[place]):
        if scores[index] < score_thr:
            continue
        mask = instances.masks[index].tolist()
        own = [(row, column) for row, column in pixels if mask[row][column]]
        free = [(row, column) for row, column in own if result[row][column] == void]
        if not own or (len(own) - len(free)) / len(own) > mask_overlap:
            continue
        number += 1
        for row, column in free:
            result[row][column] = int(instances.labels[index]) + 1000 * number
    best = logits.argmax(0).tolist()
    for kind in range(1, stuff + 1):
        free = [(row, column) for row, column in pixels if result[row][column] == void and best[row][column] == kind]
        if len(free) >= stuff_area_limit:
            for row, column in free:
                result[row][column] = things + kind - 1
    return result
