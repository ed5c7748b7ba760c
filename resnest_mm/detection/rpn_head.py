"""The region proposal network's head, with losses divided as in detectron2."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmdet.models.dense_heads import RPNHead
from mmengine.structures import InstanceData
from torch import Tensor

from resnest_mm.registry import MODELS


@MODELS.register_module()
class Detectron2RPNHead(RPNHead):
    """`RPNHead` whose two losses are divided by the same number of anchors for every image.

    That number is `num` of the sampler, 256 in the authors' detectors, times the number of images. mmdet divides by the
    number of anchors that the sampler found, and counts one anchor too many for an image without objects. The arguments
    and the keys of the state dict are those of `RPNHead`.

    Raises:
        ValueError: The train config of the RPN has no sampler with `num`.

    Source: detectron2-ResNeSt@54ec876, detectron2/modeling/proposal_generator/rpn_outputs.py.
    """

    def get_targets(
        self,
        anchor_list: Sequence[Sequence[Tensor]],
        valid_flag_list: Sequence[Sequence[Tensor]],
        batch_gt_instances: Sequence[InstanceData],
        batch_img_metas: Sequence[Mapping[str, Any]],
        batch_gt_instances_ignore: Sequence[InstanceData | None] | None = None,
        unmap_outputs: bool = True,
        return_sampling_results: bool = False,
    ) -> tuple[Any, ...]:
        """Return the targets of `RPNHead`, with the number by which the losses are divided in the fifth place.

        Args:
            anchor_list: Anchors of each image and each level.
            valid_flag_list: Whether each anchor is used.
            batch_gt_instances: Ground truth of each image.
            batch_img_metas: Sizes of each image.
            batch_gt_instances_ignore: Ignored regions of each image.
            unmap_outputs: Whether targets are returned for unused anchors, too.
            return_sampling_results: Whether the samples of each image are returned, too.
        """
        number = getattr(self.sampler, 'num', None)
        if number is None:
            raise ValueError(
                f'train_cfg.rpn.sampler is a {type(self.sampler).__name__}, which has no number of anchors; use '
                "dict(type='RandomSampler', num=256, pos_fraction=0.5, add_gt_as_proposals=False)"
            )
        targets = super().get_targets(
            anchor_list,
            valid_flag_list,
            batch_gt_instances,
            batch_img_metas,
            batch_gt_instances_ignore=batch_gt_instances_ignore,
            unmap_outputs=unmap_outputs,
            return_sampling_results=return_sampling_results,
        )
        return (*targets[:4], number * len(batch_img_metas), *targets[5:])
