"""mmdet's anchors, all of which are used in training."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmdet.models.task_modules.prior_generators import AnchorGenerator
from torch import Tensor

from resnest_mm.registry import TASK_UTILS


@TASK_UTILS.register_module()
class AllValidAnchorGenerator(AnchorGenerator):
    """`AnchorGenerator` whose anchors are all valid, as in detectron2.

    A smaller image is padded to the size of its batch. mmdet does not train on anchors in this padding; in detectron2
    they are negatives. The arguments are those of `AnchorGenerator`. The train config of the RPN also needs
    `allowed_border=-1`, which keeps the anchors that cross the border of the image.

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
            pad_shape: Height and width of an image with its own padding; not used.
            device: Device of the flags.
        """
        return [
            torch.ones(height * width * anchors, dtype=torch.bool, device=device)
            for (height, width), anchors in zip(featmap_sizes, self.num_base_priors, strict=True)
        ]
