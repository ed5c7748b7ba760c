"""Settings of segmentation heads that must agree with each other and with the data sets."""

from __future__ import annotations

from collections.abc import Sequence

from mmengine.config import Config

from resnest_mm.training.config.walk import iter_dicts
from resnest_mm.training.data_check.finding import Finding
from resnest_mm.training.data_check.segmentation.pipeline import heads
from resnest_mm.training.data_check.source import Source


def check_losses(cfg: Config, sources: Sequence[Source]) -> list[Finding]:
    """Return class weights that are not one for each class, and ignored labels that the loss does not ignore.

    Args:
        cfg: The whole config.
        sources: Its data sets.
    """
    findings = []
    for key, head in heads(cfg):
        classes = head.get('num_classes')
        for place, loss in iter_dicts(head.get('loss_decode'), f'{key}.loss_decode'):
            weights = loss.get('class_weight')
            if isinstance(weights, (list, tuple)) and isinstance(classes, int) and len(weights) != classes:
                what = f'class_weight has {len(weights)} numbers, but the head has {classes} classes'
                remedy = 'give one number for each class'
                findings.append(Finding(severity='error', key=place, what=what, remedy=remedy))
        ignored = head.get('ignore_index', 255)
        for source in sources:
            own = source.node.get('ignore_index', ignored)
            if source.split == 'train' and source.is_a('BaseSegDataset') and own != ignored:
                what = f'ignore_index={own} has no effect, because {key} ignores {ignored}'
                remedy = f'set ignore_index={own} in {key} and in the metric'
                findings.append(Finding(severity='warning', key=source.key, what=what, remedy=remedy))
    return findings
