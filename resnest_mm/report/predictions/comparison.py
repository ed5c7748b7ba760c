"""One image with its ground truth and with a model's prediction."""

from __future__ import annotations

import math
from dataclasses import dataclass

from resnest_mm.annotations.annotated_image import AnnotatedImage


@dataclass(frozen=True, eq=False)
class Comparison:
    """The same image twice.

    Args:
        truth: The image with its ground truth.
        prediction: The image with the prediction.
        accuracy: Share of the labelled pixels that the prediction classifies correctly, in 0..1; NaN where no pixel is
            labelled or the model is no segmentor.
    """

    truth: AnnotatedImage
    prediction: AnnotatedImage
    accuracy: float = math.nan
