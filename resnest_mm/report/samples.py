"""Images with what they should show and what a model found, as boxes or as maps, and which images to take."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Boxes:
    """Boxes in one image.

    Args:
        corners: Left, top, right, bottom in pixels of the image.
        labels: Indices of classes.
        scores: Confidence in 0..1; None for ground truth.

    Shape:
        - corners: [N, 4]
        - labels: [N]
        - scores: [N]
    """

    corners: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Sample:
    """One image with its boxes.

    Args:
        image: RGB, 0 to 255.
        name: What to call it, such as the file's name.
        truth: The annotated boxes.
        prediction: The boxes found.

    Shape:
        - image: [H, W, 3]
    """

    image: npt.NDArray[np.uint8]
    name: str
    truth: Boxes
    prediction: Boxes


@dataclass(frozen=True)
class MapSample:
    """One image with a class for every pixel.

    Args:
        image: RGB, 0 to 255.
        name: What to call it, such as the file's name.
        truth: The annotated labels, or the one that means "does not count".
        prediction: The labels found.
        accuracy: Share of the pixels that count and were labelled right, in 0..1; NaN where none counts.

    Shape:
        - image: [H, W, 3]
        - truth, prediction: [H, W]
    """

    image: npt.NDArray[np.uint8]
    name: str
    truth: npt.NDArray[np.int16]
    prediction: npt.NDArray[np.int16]
    accuracy: float


def evenly_spaced(total: int, count: int) -> list[int]:
    """Return `count` indices spread evenly over `total`, the first and the last included; all where there are fewer.

    Args:
        total: Number of images, at least 0.
        count: Number wanted, at least 1.
    """
    if count >= total:
        return list(range(total))
    if count == 1:
        return [total // 2]
    return [round(step * (total - 1) / (count - 1)) for step in range(count)]
