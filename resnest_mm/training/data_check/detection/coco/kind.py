"""Data sets of COCO files, also of panoptic ones, as mmdet's CocoDataset and CocoPanopticDataset read them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from resnest_mm.training.config.walk import iter_dicts, type_name
from resnest_mm.training.data_check.detection.boxes import MOST
from resnest_mm.training.data_check.detection.coco.annotation_list import (
    AnnotationList,
    Annotations,
    describe,
    read_annotations,
)
from resnest_mm.training.data_check.detection.coco.categories import compare_classes, read_categories
from resnest_mm.training.data_check.detection.coco.evaluators import is_scored
from resnest_mm.training.data_check.detection.coco.file import read_lists
from resnest_mm.training.data_check.detection.coco.image_list import ImageList, read_images
from resnest_mm.training.data_check.detection.coco.masks import check_masks
from resnest_mm.training.data_check.detection.coco.segments import flatten
from resnest_mm.training.data_check.finding import Finding, Severity, tallied
from resnest_mm.training.data_check.fingerprints import hash_contents
from resnest_mm.training.data_check.images import find_missing
from resnest_mm.training.data_check.source import Contents, ImageEntry, Kind, Settings, Source


def _applies(source: Source) -> bool:
    """A subclass that reads its file in another way is left to the generic kind."""
    reads = getattr(type(source.dataset), 'load_data_list', None)
    parses = getattr(type(source.dataset), 'parse_data_info', None)
    names = {getattr(method, '__qualname__', '').partition('.')[0] for method in (reads, parses)}
    return bool(source.dataset.ann_file) and names <= {'CocoDataset', 'CocoPanopticDataset', 'Detectron2CocoDataset'}


def _fingerprint(source: Source) -> str:
    return hash_contents([source.dataset.ann_file])


def _read(source: Source, settings: Settings) -> Contents:
    key, dataset = source.key, source.dataset
    lists, findings = read_lists(key, dataset.ann_file)
    if lists is None:
        return Contents(tuple(findings))
    images = read_images(key, lists['images'])
    categories = read_categories(key, lists['categories'])
    findings += [*images.findings, *categories.findings]
    panoptic = source.is_a('CocoPanopticDataset')
    annotations = lists['annotations']
    if panoptic:
        annotations, broken = flatten(key, annotations)
        findings += broken
    training = not dataset.test_mode
    read = read_annotations(
        key, annotations, images, categories.names, scored=not training and not panoptic, panoptic=panoptic
    )
    findings += read.findings
    if source.names:
        findings += compare_classes(key, categories.names, source.names, read.counts, training=training)
    if not panoptic and _needs_masks(source):
        findings += check_masks(key, annotations, images)
    elif source.is_a('Detectron2CocoDataset'):
        findings += _without_outline(source, annotations, images)
    if training:
        findings += _emptiness(source, images, annotations, read, categories.names)
    elif not annotations and is_scored(source.cfg, source.split):
        what = 'there is no annotation to score predictions with'
        remedy = 'name a file with annotations, or set format_only=True in the evaluator'
        findings.append(Finding(severity='error', key=key, what=what, remedy=remedy))
    findings += _missing_maps(source, images)
    return Contents(tuple(findings), _entries(source, images))


KIND = Kind(applies=_applies, fingerprint=_fingerprint, read=_read)


def _entries(source: Source, images: ImageList) -> tuple[ImageEntry, ...]:
    prefix = source.dataset.data_prefix.get('img') or ''
    sized = zip(images.names, images.sizes.tolist(), strict=True)
    return tuple(
        ImageEntry(os.path.join(prefix, name), *((int(width), int(height)) if width > 0 < height else (None, None)))
        for name, (width, height) in sized
    )


def _missing_maps(source: Source, images: ImageList) -> list[Finding]:
    """Return the label maps of the images that do not exist, where the data set has a folder of them."""
    prefix = source.dataset.data_prefix.get('seg')
    if not prefix:
        return []
    suffix = getattr(source.dataset, 'seg_map_suffix', '.png')
    paths = [os.path.join(prefix, name.rsplit('.', 1)[0] + suffix) for name in images.names]
    remedy = 'bring them, or correct data_prefix.seg'
    return tallied(source.key, 'error', 'label maps do not exist', find_missing(paths), total=len(paths), remedy=remedy)


def _needs_masks(source: Source) -> bool:
    steps = iter_dicts(source.node.get('pipeline'), 'pipeline')
    return any(step.get('with_mask') for _, step in steps if type_name(step).startswith('Load'))


def _without_outline(source: Source, annotations: Annotations, images: ImageList) -> list[Finding]:
    """Return the objects that `resnest_mm.Detectron2CocoDataset` leaves out and whose boxes could be used."""
    dropped = [
        f'{describe(row, one, images)}: {one["segmentation"]!r}'
        for row, one in enumerate(annotations)
        if not source.dataset.has_outline(one.get('segmentation'))
    ]
    what = 'objects have only polygons of fewer than 3 points, the data set leaves them out'
    remedy = "correct segmentation, or set type='CocoDataset', which keeps their boxes"
    severity: Severity = 'error' if len(dropped) >= MOST * len(annotations) else 'warning'
    return tallied(source.key, severity, what, dropped, total=len(annotations), remedy=remedy)


def _emptiness(
    source: Source, images: ImageList, annotations: Annotations, read: AnnotationList, names: Mapping[Any, str]
) -> list[Finding]:
    """Return whether the training has something to learn from after the data set has dropped what it drops."""
    key = source.key
    if not annotations:
        return [Finding(severity='error', key=key, what='there is no annotation to learn from')]
    wanted = {identity for identity, name in names.items() if not source.names or name in source.names}
    used = [
        one
        for one, good in zip(annotations, read.usable, strict=True)
        if good and one.get('category_id') in wanted and one.get('area', 1)
    ]
    if not used:
        what = f'no annotation of {len(annotations)} is left to learn from, after the faulty ones and other classes'
        return [Finding(severity='error', key=key, what=what)]
    crowds = sum(one.get('iscrowd') == 1 for one in used)
    if crowds == len(used):
        what = f'all {crowds} annotations are crowds (iscrowd=1), which no detector learns'
        return [Finding(severity='error', key=key, what=what, remedy='set iscrowd=0 for single objects')]
    findings = []
    if crowds > MOST * len(used):
        what = f'{crowds} of {len(used)} annotations are crowds (iscrowd=1), which no detector learns'
        findings.append(Finding(severity='warning', key=key, what=what))
    least = (source.node.get('filter_cfg') or {}).get('min_size', 0)
    if len(images.sizes) and isinstance(least, (int, float)):
        small = int(np.sum(images.sizes.min(1) < least))
        if small:
            severity, rest = (
                ('error', 'no image is left') if small == len(images.sizes) else ('warning', 'they are dropped')
            )
            what = f'images are smaller than filter_cfg.min_size={least}, {rest}'
            findings.append(
                Finding(severity=severity, key=key, what=what, count=small, total=len(images.sizes))  # type: ignore[arg-type]
            )
    return findings
