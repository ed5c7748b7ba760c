"""One image with its objects and its label map, annotated or predicted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.integer[Any]]

IGNORE_INDEX: Final = 255
"""Label of the ignored pixels where the data does not say: the default of mmseg's losses and metrics."""


@dataclass(frozen=True, eq=False)
class ImageObjects:
    """The objects of one image.

    Args:
        corners: Left, top, right and bottom of each box in pixels of the image.
        labels: Indices of classes.
        ignored: Whether training and evaluation leave the object out, such as a crowd.
        masks: The pixels of each object; None without masks.
        scores: Confidence in 0..1; None for annotations.

    Shape:
        - corners: [N, 4]
        - labels, ignored, scores: [N]
        - masks: [N, h, w], the image's size or, where the annotation was not resized with the image, another
    """

    corners: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    ignored: npt.NDArray[np.bool_]
    masks: npt.NDArray[np.bool_] | None = None
    scores: npt.NDArray[np.float32] | None = None

    @property
    def flat(self) -> npt.NDArray[np.bool_]:
        """Whether each box has no area; [N]."""
        return np.asarray((self.corners[:, 2:] <= self.corners[:, :2]).any(axis=1))

    def select(self, chosen: npt.NDArray[np.bool_]) -> ImageObjects:
        """Return some of the objects.

        Args:
            chosen: Whether to take each object, [N].
        """
        return ImageObjects(
            self.corners[chosen],
            self.labels[chosen],
            self.ignored[chosen],
            None if self.masks is None else self.masks[chosen],
            None if self.scores is None else self.scores[chosen],
        )


@dataclass(frozen=True, eq=False)
class AnnotatedImage:
    """One image with its objects and its label map.

    Args:
        image: RGB, 0 to 255.
        name: The file's name; empty where it is unknown.
        objects: None where no objects were loaded, which is not the same as an image without objects.
        label_map: Class of every pixel; None where no label map was loaded.
        ignore_index: Label of the ignored pixels.

    Shape:
        - image: [H, W, 3]
        - label_map: [h, w], the image's size or, where the annotation was not resized with the image, another
    """

    image: Pixels
    name: str
    objects: ImageObjects | None = None
    label_map: Labels | None = None
    ignore_index: int = IGNORE_INDEX

    def shows_the_same_as(self, other: AnnotatedImage) -> bool:
        """Return whether image, objects and label map are equal.

        Args:
            other: The image to compare with.
        """
        return all(_equal(one, two) for one, two in zip(self._arrays(), other._arrays(), strict=True))

    def _arrays(self) -> tuple[npt.NDArray[Any] | None, ...]:
        objects = self.objects
        parts = (objects.corners, objects.labels, objects.ignored, objects.masks) if objects else (None,) * 4
        return (self.image, self.label_map, *parts)


def _equal(one: npt.NDArray[Any] | None, two: npt.NDArray[Any] | None) -> bool:
    if one is None or two is None:
        return one is two
    return np.array_equal(one, two)
