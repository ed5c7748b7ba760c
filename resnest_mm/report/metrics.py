"""The metrics of mmengine's logs that a report shows, and those that decide which evaluation is the best."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

METRIC_NAMES: Final[Mapping[str, str]] = {
    'PQ': 'PQ',
    'SQ': 'SQ',
    'RQ': 'RQ',
    'bbox_mAP': 'mAP',
    'bbox_mAP_50': 'AP50',
    'bbox_mAP_75': 'AP75',
    'segm_mAP': 'mask mAP',
    'segm_mAP_50': 'mask AP50',
    'segm_mAP_75': 'mask AP75',
    'mAP': 'mAP',
    'AP50': 'AP50',
    'AP75': 'AP75',
    'mIoU': 'mIoU',
    'mAcc': 'mAcc',
    'aAcc': 'aAcc',
}
"""Last part of the logged name -> the usual name of the metric, in the order in which a report shows them."""

PERCENTAGES: Final = frozenset({'PQ', 'SQ', 'RQ', 'mIoU', 'mAcc', 'aAcc'})
"""Logged names of the metrics in 0..100: mmseg's and those of mmdet's CocoPanopticMetric. The others are in 0..1."""

HEADLINES: Final = ('PQ', 'mAP', 'mask mAP', 'mIoU')
"""The first of these that a training logs decides which of its evaluations is the best; higher is better."""
