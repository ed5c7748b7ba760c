"""mmdet's mask head with the initial values of detectron2's."""

from __future__ import annotations

from typing import Final

from mmdet.models.roi_heads.mask_heads import FCNMaskHead
from torch import nn

from resnest_mm.registry import MODELS

PREDICTOR_STD: Final = 0.001
"""Standard deviation of the initial weights of the layer that predicts the masks."""


@MODELS.register_module()
class Detectron2FCNMaskHead(FCNMaskHead):
    """`FCNMaskHead` whose predictor starts with normal weights of deviation 0.001 and no bias.

    Masks then start close to the probability 0.5. mmdet's own predictor starts with the deviation sqrt(2 / classes),
    which is 0.16 for COCO. Arguments, layers, keys and all other initial values are those of `FCNMaskHead`.

    Source: detectron2-ResNeSt@54ec876, detectron2/modeling/roi_heads/mask_head.py.
    """

    def init_weights(self) -> None:
        """Initialise all layers as `FCNMaskHead` does, and then the predictor."""
        super().init_weights()
        nn.init.normal_(self.conv_logits.weight, std=PREDICTOR_STD)
        nn.init.zeros_(self.conv_logits.bias)
