"""mmdet's mask head with detectron2's initial weights."""

from __future__ import annotations

from typing import Final

from mmdet.models.roi_heads.mask_heads import FCNMaskHead
from torch import nn

from resnest_mm.registry import MODELS

PREDICTOR_STD: Final = 0.001
"""Standard deviation of the initial weights of the layer that predicts the masks."""


@MODELS.register_module()
class Detectron2FCNMaskHead(FCNMaskHead):
    """`FCNMaskHead` whose predictor starts with normal weights of standard deviation 0.001 and zero bias.

    All pixels then start with a probability close to 0.5. mmdet's standard deviation is sqrt(2 / classes), which is
    0.16 for COCO. Arguments, layers, keys and all other initial weights are those of `FCNMaskHead`.

    Source: detectron2-ResNeSt@54ec876, detectron2/modeling/roi_heads/mask_head.py.
    """

    def init_weights(self) -> None:
        """Initialise all layers like `FCNMaskHead`, then the predictor."""
        super().init_weights()
        nn.init.normal_(self.conv_logits.weight, std=PREDICTOR_STD)
        nn.init.zeros_(self.conv_logits.bias)
