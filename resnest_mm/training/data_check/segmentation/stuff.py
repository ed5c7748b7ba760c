"""The label maps that a detector with a semantic head reads beside its boxes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from resnest_mm.training.config.walk import type_name
from resnest_mm.training.data_check.finding import Finding
from resnest_mm.training.data_check.images import find_missing
from resnest_mm.training.data_check.segmentation.labels import BYTE, LabelRules
from resnest_mm.training.data_check.segmentation.maps import read_maps
from resnest_mm.training.data_check.segmentation.pipeline import loading_step, resizes
from resnest_mm.training.data_check.segmentation.reading import Pair
from resnest_mm.training.data_check.segmentation.verdict import ReadMaps, judge
from resnest_mm.training.data_check.source import ImageEntry, Settings, Source


def check_stuff_maps(source: Source, images: Sequence[ImageEntry], settings: Settings) -> list[Finding]:
    """Return what is wrong with the semantic maps of a data set of mmdet; nothing where it reads none.

    Args:
        source: A data set of boxes.
        images: All its images.
        settings: How many maps to read.
    """
    key = source.key
    step, kind = loading_step(source.node.get('pipeline'))
    if step is None or not step.get('with_seg') or not source.is_a('CocoDataset') or source.is_a('CocoPanopticDataset'):
        return []
    head = (source.cfg.get('model') or {}).get('semantic_head') or {}
    rules = _rules(head, step)
    prefix = source.dataset.data_prefix.get('seg')
    if not prefix or rules is None or kind.__name__ != 'LoadAnnotations':
        what = 'the semantic maps were not checked: no data_prefix.seg, or an unknown semantic_head or LoadAnnotations'
        return [Finding(severity='note', key=key, what=what)]
    pairs = [Pair(image.path, _map_path(source.dataset, image.path)) for image in images]
    # The check of the annotations reports the missing ones.
    missing = set(find_missing([pair.label_map for pair in pairs]))
    there = [pair for pair in pairs if pair.label_map not in missing]
    maps = read_maps(source, there, settings, backend=step.get('imdecode_backend') or 'cv2')
    scalable = source.split == 'train' and resizes(source.node.get('pipeline'))
    read = ReadMaps(maps=maps, complete=len(maps) == len(pairs), scalable=scalable)
    return judge(key, read, rules, names=())[0]


def _rules(head: Mapping[str, Any], step: Mapping[str, Any]) -> LabelRules | None:
    """Return which labels a semantic head learns, or None for a head that is not known."""
    classes = {
        'Detectron2SemanticHead': head.get('num_stuff_classes', 53) + 1,
        'PanopticFPNHead': head.get('num_things_classes', 80) + head.get('num_stuff_classes', 53),
        'FusedSemanticHead': head.get('num_classes', 183),
    }.get(type_name(head))
    if classes is None:
        return None
    loss = head.get('loss_seg') or {}
    return LabelRules(
        classes=classes,
        ignored=frozenset({head.get('ignore_label') or loss.get('ignore_index', BYTE)}),
        reduce_zero_label=bool(step.get('reduce_zero_label')),
        bytes_only=False,
    )


def _map_path(dataset: Any, image: str) -> str:
    """Return the path that mmdet's CocoDataset gives to the map of an image."""
    name = os.path.relpath(image, dataset.data_prefix.get('img') or '.')
    return os.path.join(str(dataset.data_prefix['seg']), name.rsplit('.', 1)[0] + dataset.seg_map_suffix)
