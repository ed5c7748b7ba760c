"""Cross entropy averaged over the labelled pixels, also with class weights."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resnest_mm.registry import MODELS


@MODELS.register_module()
class LabelledCrossEntropyLoss(nn.Module):
    """Weighted mean of the cross entropy over all labelled pixels, as in `torch.nn.functional.cross_entropy`.

    mmseg's `CrossEntropyLoss(avg_non_ignore=True)` is the same, but with `class_weight` it fails at the first ignored
    pixel, because it looks up the weight of class 255. The loss of a batch without labelled pixels is 0.

    Args:
        class_weight: Weight of each class, at least 0; None means 1 for all.
        loss_weight: Factor of the loss, at least 0.
        loss_name: Key of the loss in the log; mmseg adds up the losses whose names begin with `loss_`.

    Shape:
        cls_score [N, classes, H, W], label and weight [N, H, W], output [] in float32 or wider.

    Raises:
        TypeError: `class_weight` is not a list of numbers.
        ValueError: A weight is negative, all class weights are 0, or `loss_name` does not begin with `loss_`.
    """

    def __init__(
        self,
        *,
        class_weight: Sequence[float] | None = None,
        loss_weight: float = 1.0,
        loss_name: str = 'loss_ce',
    ) -> None:
        if class_weight is not None:
            if isinstance(class_weight, str) or not isinstance(class_weight, Sequence) or not class_weight:
                raise TypeError(f'class_weight={class_weight!r} must be a list with one number a class, or None')
            if any(isinstance(value, bool) or not isinstance(value, int | float) for value in class_weight):
                raise TypeError(f'class_weight={class_weight!r} must hold numbers only')
            if min(class_weight) < 0 or max(class_weight) == 0:
                raise ValueError(f'class_weight={class_weight!r} must have no negative number and one above 0')
        if loss_weight < 0:
            raise ValueError(f'loss_weight={loss_weight} must be at least 0')
        if not loss_name.startswith('loss_'):
            raise ValueError(f"loss_name={loss_name!r} must begin with 'loss_', or mmseg does not sum it up")
        super().__init__()
        self.class_weight = None if class_weight is None else tuple(map(float, class_weight))
        self.loss_weight = loss_weight
        self.loss_name = loss_name

    def forward(
        self, cls_score: Tensor, label: Tensor, weight: Tensor | None = None, *, ignore_index: int | None = 255
    ) -> Tensor:
        """Return the loss.

        Args:
            cls_score: Logits.
            label: Class of each pixel, or `ignore_index`.
            weight: Additional weight of each pixel, from mmseg's pixel samplers.
            ignore_index: Label of ignored pixels; None means that no pixel is ignored.

        Raises:
            ValueError: `class_weight` does not have one number for each class of the logits.
        """
        classes = cls_score.shape[1]
        if self.class_weight is not None and len(self.class_weight) != classes:
            raise ValueError(
                f'class_weight has {len(self.class_weight)} numbers, but there are {classes} classes; give one for each'
            )
        # Half precision is too narrow for the exponentials, and for a number of pixels above 65504.
        cls_score = cls_score.to(torch.promote_types(cls_score.dtype, torch.float32))
        class_weight = cls_score.new_tensor(self.class_weight or (1.0,) * classes)
        ignored = -100 if ignore_index is None else ignore_index
        # [N, H, W]
        losses = F.cross_entropy(cls_score, label, weight=class_weight, ignore_index=ignored, reduction='none')
        labelled = label != ignored
        pixel_weight = class_weight[torch.where(labelled, label, 0)] * labelled
        if weight is not None:
            losses, pixel_weight = losses * weight, pixel_weight * (weight > 0)
        total = pixel_weight.sum()
        return self.loss_weight * losses.sum() / torch.where(total > 0, total, 1.0)
