"""detectron2's training targets, losses and refinement, written out box by box with Python's numbers.

Only what a network predicts is a tensor, so that gradients can be compared too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Box = tuple[float, float, float, float]


def iou(a: Sequence[float], b: Sequence[float]) -> float:
    """Return intersection over union."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    inner = width * height
    return inner / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inner)


def encode(box: Sequence[float], target: Sequence[float], units: Sequence[float]) -> list[float]:
    """Return the deltas that turn a box into its target."""
    width, height = box[2] - box[0], box[3] - box[1]
    wanted_width, wanted_height = target[2] - target[0], target[3] - target[1]
    return [
        units[0] * (target[0] + wanted_width / 2 - box[0] - width / 2) / width,
        units[1] * (target[1] + wanted_height / 2 - box[1] - height / 2) / height,
        units[2] * math.log(wanted_width / width),
        units[3] * math.log(wanted_height / height),
    ]


def decode(box: Sequence[float], deltas: Sequence[float], units: Sequence[float], size: tuple[int, int]) -> Box:
    """Return the box that the deltas make, cut at the image's border."""
    width, height = box[2] - box[0], box[3] - box[1]
    x = box[0] + width / 2 + deltas[0] / units[0] * width
    y = box[1] + height / 2 + deltas[1] / units[1] * height
    width *= math.exp(min(deltas[2] / units[2], math.log(1000 / 16)))
    height *= math.exp(min(deltas[3] / units[3], math.log(1000 / 16)))
    corners = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    limits = (size[1], size[0], size[1], size[0])
    x1, y1, x2, y2 = (min(max(value, 0.0), float(limit)) for value, limit in zip(corners, limits, strict=True))
    return x1, y1, x2, y2


def nearest(box: Sequence[float], targets: Sequence[Sequence[float]]) -> tuple[int, float]:
    """Return which target a box overlaps most, the first of equals, and how much."""
    best, overlap = -1, 0.0
    for index, target in enumerate(targets):
        found = iou(box, target)
        if best < 0 or found > overlap:
            best, overlap = index, found
    return best, overlap


def cross_entropy(logits: Tensor, label: int) -> Tensor:
    """Return the negative log of a class's softmax."""
    highest = max(logits.tolist())
    return sum((logit - highest).exp() for logit in logits).log() + highest - logits[label]  # type: ignore[union-attr]


def binary_cross_entropy(logits: Tensor, targets: Sequence[Sequence[int]] | int) -> Tensor:
    """Return the sum of the negative logs of sigmoids, or of their complements where the target is 0."""
    return torch.log1p(torch.exp(torch.where(torch.tensor(targets) > 0, -logits, logits))).sum()


def l1(found: Tensor, wanted: Sequence[float]) -> Tensor:
    """Return the sum of absolute differences."""
    total = found.new_zeros(())
    for value, target in zip(found, wanted, strict=True):
        total = total + (value - target).abs()
    return total


Predict = Callable[[int, list[list[Box]]], tuple[list[Tensor], list[Tensor]]]
"""From a stage and the boxes of each image to the logits and the deltas of each image."""


def stage_losses(
    boxes: Sequence[Sequence[Box]],
    objects: Sequence[Sequence[Box]],
    labels: Sequence[Sequence[int]],
    logits: Sequence[Tensor],
    deltas: Sequence[Tensor],
    *,
    threshold: float,
    units: Sequence[float],
    background: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return a stage's classification and box loss and its positive boxes, all divided by the number of boxes."""
    total = sum(len(part) for part in boxes)
    score, place = logits[0].sum() * 0, deltas[0].sum() * 0
    positives = torch.zeros(())
    for image, part in enumerate(boxes):
        for row, box in enumerate(part):
            target, overlap = nearest(box, objects[image])
            positive = target >= 0 and overlap >= threshold
            score = score + cross_entropy(logits[image][row], labels[image][target] if positive else background)
            if positive:
                positives += 1
                place = place + l1(deltas[image][row], encode(box, objects[image][target], units))
    return score / total, place / total, positives / total


def box_losses(
    predict: Predict,
    proposals: Sequence[Sequence[Box]],
    objects: Sequence[Sequence[Box]],
    labels: Sequence[Sequence[int]],
    sizes: Sequence[tuple[int, int]],
    *,
    thresholds: Sequence[float],
    units: Sequence[Sequence[float]],
    background: int,
) -> dict[str, Tensor]:
    """Return the losses of all stages, and their shares of positives, where the first takes every proposal."""
    boxes = [[*objects[image], *part] for image, part in enumerate(proposals)]
    losses = {}
    for stage, threshold in enumerate(thresholds):
        logits, deltas = predict(stage, boxes)
        names = (f's{stage}.{name}' for name in ('loss_cls', 'loss_bbox', 'positives'))
        values = stage_losses(
            boxes,
            objects,
            labels,
            logits,
            deltas,
            threshold=threshold,
            units=units[stage],
            background=background,
        )
        losses.update(zip(names, values, strict=True))
        refined = [
            [decode(box, deltas[image][row].tolist(), units[stage], sizes[image]) for row, box in enumerate(part)]
            for image, part in enumerate(boxes)
        ]
        boxes = [[box for box in part if box[2] > box[0] and box[3] > box[1]] for part in refined]
    return losses


def crop_mask(mask: Sequence[Sequence[int]], box: Sequence[float], size: int) -> list[list[int]]:
    """Return the part of a mask in a box, resized by averaging bilinear samples and cut at one half."""
    cell_x, cell_y = (box[2] - box[0]) / size, (box[3] - box[1]) / size
    steps_x, steps_y = math.ceil(cell_x), math.ceil(cell_y)
    rows = []
    for row in range(size):
        cells = []
        for column in range(size):
            total = 0.0
            for i in range(steps_y):
                for j in range(steps_x):
                    y = box[1] - 0.5 + (row + (i + 0.5) / steps_y) * cell_y
                    x = box[0] - 0.5 + (column + (j + 0.5) / steps_x) * cell_x
                    total += _bilinear(mask, x, y)
            cells.append(int(total / (steps_x * steps_y) >= 0.5))
        rows.append(cells)
    return rows


def _bilinear(mask: Sequence[Sequence[int]], x: float, y: float) -> float:
    height, width = len(mask), len(mask[0])
    x, y = min(max(x, 0.0), width - 1.0), min(max(y, 0.0), height - 1.0)
    left, top = int(x), int(y)
    right, bottom = min(left + 1, width - 1), min(top + 1, height - 1)
    upper = mask[top][left] * (1 - x + left) + mask[top][right] * (x - left)
    lower = mask[bottom][left] * (1 - x + left) + mask[bottom][right] * (x - left)
    return upper * (1 - y + top) + lower * (y - top)


def rpn_targets(
    anchors: Sequence[Sequence[float]], objects: Sequence[Sequence[float]], *, low: float = 0.3, high: float = 0.7
) -> list[tuple[int, int]]:
    """Return for each anchor 1, 0 or -1 (takes part as object, as background, not) and its object."""
    table = [[iou(anchor, target) for target in objects] for anchor in anchors]
    largest = [max((row[index] for row in table), default=0.0) for index in range(len(objects))]
    targets = []
    for anchor, row in zip(anchors, table, strict=True):
        index, overlap = nearest(anchor, objects)
        sign = 1 if overlap >= high else 0 if overlap < low else -1
        if any(row[target] == largest[target] for target in range(len(objects))):
            sign = 1
        targets.append((sign, index))
    return targets


def rpn_losses(
    logits: Sequence[Tensor],
    deltas: Sequence[Tensor],
    anchors: Sequence[Sequence[float]],
    objects: Sequence[Sequence[Sequence[float]]],
    *,
    batch: int,
    chosen: Sequence[Sequence[int]] | None = None,
) -> tuple[Tensor, Tensor]:
    """Return objectness and box loss, both divided by the number of images times that of anchors of an image to choose.

    `batch` is that number, however many can be chosen; `chosen` are the anchors of each image, all of them if None.
    """
    score, place = logits[0].sum() * 0, deltas[0].sum() * 0
    for image, part in enumerate(objects):
        for index, (sign, target) in enumerate(rpn_targets(anchors, part)):
            if sign < 0 or (chosen is not None and index not in chosen[image]):
                continue
            score = score + binary_cross_entropy(logits[image][index], sign)
            if sign:
                place = place + l1(deltas[image][index], encode(anchors[index], part[target], (1, 1, 1, 1)))
    return score / (batch * len(objects)), place / (batch * len(objects))
