"""Cross entropy that averages over the labelled pixels alone, also where classes have weights."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resnest_mm.registry import MODELS


@MODELS.register_module()
class LabelledCrossEntropyLoss(nn.Module):
    """Weighted mean of the cross entropy over all pixels that have a label, as `torch.nn.functional.cross_entropy`.

    mmseg's `CrossEntropyLoss` means the same by `avg_non_ignore=True`, but with `class_weight` beside it the first
    ignored pixel ends the training: it looks up the weight of class 255. A batch without any label costs 0 here.

    Args:
        class_weight: Weight of each class, above or equal to 0; None means 1 for all.
        loss_weight: Factor of the loss, at least 0.
        loss_name: Key of the loss in the log; mmseg sums up those that begin with `loss_`.

    Shape:
        cls_score [N, classes, H, W], label and weight [N, H, W], output [] in float32 or wider.

    Raises:
        TypeError: On a class_weight that is no list of numbers.
        ValueError: On a negative weight or a loss_name without `loss_`.
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
                raise ValueError(f'class_weight={class_weight!r} must hold no negative number, and one above 0')
        if loss_weight < 0:
            raise ValueError(f'loss_weight={loss_weight} must be at least 0')
        if not loss_name.startswith('loss_'):
            raise ValueError(f"loss_name={loss_name!r} must begin with 'loss_', or mmseg leaves it out of the sum")
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
            weight: Weight of each pixel beside that of its class, as mmseg's pixel samplers give it.
            ignore_index: Label of the pixels that do not count; None where all do.

        Raises:
            ValueError: The logits have another number of classes than `class_weight`.
        """
        classes = cls_score.shape[1]
        if self.class_weight is not None and len(self.class_weight) != classes:
            raise ValueError(
                f'class_weight has {len(self.class_weight)} numbers, but there are {classes} classes; give one for each'
            )
        # Half precision holds neither the exponentials nor, beyond 65504, the number of a crop's pixels.
        cls_score = cls_score.to(torch.promote_types(cls_score.dtype, torch.float32))
        shares = cls_score.new_tensor(self.class_weight or (1.0,) * classes)
        ignored = -100 if ignore_index is None else ignore_index
        losses = F.cross_entropy(cls_score, label, weight=shares, ignore_index=ignored, reduction='none')  # [N, H, W]
        labelled = label != ignored
        counted = shares[torch.where(labelled, label, 0)] * labelled
        if weight is not None:
            losses, counted = losses * weight, counted * (weight > 0)
        total = counted.sum()
        return self.loss_weight * losses.sum() / torch.where(total > 0, total, 1.0)
