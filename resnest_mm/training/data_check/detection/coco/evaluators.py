"""The annotation file of an evaluator against the data set that is evaluated."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmengine.config import Config

from resnest_mm.errors import first_names
from resnest_mm.training.checks.checkpoints import is_remote
from resnest_mm.training.config.walk import iter_dicts, type_name
from resnest_mm.training.data_check.detection.coco.file import read_lists
from resnest_mm.training.data_check.finding import Finding
from resnest_mm.training.data_check.source import Source

_COCO_METRICS = ('CocoMetric', 'CocoPanopticMetric')


def check_evaluators(cfg: Config, split: str, sources: Sequence[Source]) -> list[Finding]:
    """Return every COCO evaluator that scores against other images or categories than the data set has.

    Args:
        cfg: Parsed config.
        split: `'val'` or `'test'`.
        sources: The data sets of the split.
    """
    files = [getattr(source.dataset, 'ann_file', None) for source in sources]
    own = [file for file in files if isinstance(file, str) and file.endswith('.json') and os.path.isfile(file)]
    findings: list[Finding] = []
    for key, file in _files(cfg, split):
        if not own or len(own) < len(sources) or any(os.path.samefile(file, path) for path in own):
            continue
        findings += _compare(f'{key}.ann_file', file, own)
    return findings


def is_scored(cfg: Config, split: str) -> bool:
    """Return whether a split is measured, so that its data set needs annotations.

    Args:
        cfg: Parsed config.
        split: `'val'` or `'test'`.
    """
    metrics = [node for _, node in iter_dicts(cfg.get(f'{split}_evaluator'), '') if node.get('type')]
    return any(not metric.get('format_only') for metric in metrics if type_name(metric) != 'Evaluator')


def _files(cfg: Config, split: str) -> Iterator[tuple[str, str]]:
    for key, node in iter_dicts(cfg.get(f'{split}_evaluator'), f'{split}_evaluator'):
        file = node.get('ann_file')
        if type_name(node) in _COCO_METRICS and isinstance(file, str) and not is_remote(file) and os.path.isfile(file):
            yield key, file


def _compare(key: str, file: str, own: Sequence[str]) -> list[Finding]:
    lists, faults = read_lists(key, file)
    if lists is None:
        return faults
    theirs, names = _images(lists), _categories(lists)
    mine: dict[Any, Any] = {}
    categories: list[Any] = []
    boxes: list[str] = []
    panoptic = False
    for path in own:
        loaded, _ = read_lists(key, path)
        if loaded is None:
            return []  # the data set's own check has said so
        mine.update(_images(loaded))
        categories = _categories(loaded)
        boxes += _boxes(loaded)
        panoptic |= _is_panoptic(loaded)
    where = first_names(own)
    remedy = 'name the file of the data set itself'
    if mine != theirs:
        only = [image for image, name in mine.items() if theirs.get(image) != name]
        more = [image for image, name in theirs.items() if mine.get(image) != name]
        what = (
            f'{file} has other images than the data set of {where}, against which predictions are scored: '
            f'{len(only)} only in the data set (ids {first_names(only)}), {len(more)} only in this file '
            f'(ids {first_names(more)})'
        )
        return [Finding(severity='error', key=key, what=what, remedy=remedy)]
    if _is_panoptic(lists) != panoptic:
        return []  # objects are scored next to panoptic maps, with the things among their categories
    if names != categories:
        what = f'{file} has other categories ({first_names(names)}) than {where} ({first_names(categories)})'
        return [Finding(severity='error', key=key, what=what, remedy=remedy)]
    if sorted(_boxes(lists)) != sorted(boxes):
        what = f'{file} has other annotations than {where}, of the same images'
        return [Finding(severity='warning', key=key, what=what, remedy=remedy)]
    return []


def _images(lists: Mapping[str, list[dict[str, Any]]]) -> dict[str, str]:
    return {repr(image.get('id')): repr(image.get('file_name')) for image in lists['images']}


def _categories(lists: Mapping[str, list[dict[str, Any]]]) -> list[str]:
    return [f'{entry.get("id")}={entry.get("name")}' for entry in lists['categories']]


def _boxes(lists: Mapping[str, list[dict[str, Any]]]) -> list[str]:
    fields = ('image_id', 'category_id', 'bbox')
    return [repr([entry.get(field) for field in fields]) for entry in lists['annotations']]


def _is_panoptic(lists: Mapping[str, list[dict[str, Any]]]) -> bool:
    return any('segments_info' in entry for entry in lists['annotations'])
