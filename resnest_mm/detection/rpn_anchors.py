"""mmdet's anchors, none of which is left out of training."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmdet.models.task_modules.prior_generators import AnchorGenerator
from torch import Tensor

from resnest_mm.registry import TASK_UTILS


@TASK_UTILS.register_module()
class AllValidAnchorGenerator(AnchorGenerator):
    """`AnchorGenerator` whose anchors are all valid, as in detectron2.

    mmdet leaves out of training the anchors that stand in the padding which only the other images of a batch need. In
    detectron2 they are negatives like all others. The arguments are those of `AnchorGenerator`. An RPN's train config
    also needs `allowed_border=-1`, or anchors that leave the image are left out all the same.

    Source: detectron2-ResNeSt@54ec876, detectron2/modeling/proposal_generator/rpn_outputs.py.
    """

    def valid_flags(
        self,
        featmap_sizes: Sequence[tuple[int, int]],
        pad_shape: Sequence[int],
        device: str | torch.device = 'cuda',
    ) -> list[Tensor]:
        """Return True for every anchor of every level.

        Args:
            featmap_sizes: Height and width of each level's feature map.
            pad_shape: Height and width of an image with its own padding, which make no difference here.
            device: Where the flags are put.
        """
        return [
            torch.ones(height * width * anchors, dtype=torch.bool, device=device)
            for (height, width), anchors in zip(featmap_sizes, self.num_base_priors, strict=True)
        ]
