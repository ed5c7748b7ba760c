"""Data sets of label maps: mmseg's BaseSegDataset and its subclasses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from resnest_mm.training.data_check.finding import Finding
from resnest_mm.training.data_check.fingerprints import hash_contents, hash_stats
from resnest_mm.training.data_check.segmentation.listing import list_files
from resnest_mm.training.data_check.segmentation.maps import read_maps
from resnest_mm.training.data_check.segmentation.pipeline import (
    label_rules,
    loading_step,
    number_of_classes,
    resizes,
)
from resnest_mm.training.data_check.segmentation.reading import Pair
from resnest_mm.training.data_check.segmentation.verdict import ReadMaps, judge
from resnest_mm.training.data_check.source import Contents, ImageEntry, Kind, Settings, Source


def applies(source: Source) -> bool:
    """Return whether a data set is one of label maps.

    Args:
        source: The data set.
    """
    return source.is_a('BaseSegDataset')


def fingerprint(source: Source) -> str | None:
    """Return a text that changes with the files' names, sizes and times, and with the settings that explain labels.

    Args:
        source: The data set.
    """
    try:
        entries = source.dataset.load_data_list()
        paths = [path for entry in entries for path in (entry['img_path'], entry.get('seg_map_path')) if path]
    except Exception:
        return None
    lists = [source.dataset.ann_file] if source.dataset.ann_file else []
    rules = label_rules(source, classes=max(1, number_of_classes(source)))
    return f'{hash_stats(paths)} {hash_contents(lists)} {rules}'


def read(source: Source, settings: Settings) -> Contents:
    """Return the findings about the files and values of the label maps.

    Args:
        source: The data set.
        settings: How many maps to read.
    """
    step, kind = loading_step(source.node.get('pipeline'))
    listing = list_files(source, with_maps=step is not None)
    findings = list(listing.findings)
    labels = None
    if step is None or kind.__name__ != 'LoadAnnotations':
        what = 'the label maps were not read: the pipeline has no LoadAnnotations'
        findings.append(Finding(severity='note', key=source.key, what=what))
    elif listing.pairs:
        found, labels = _check_maps(source, step, listing.pairs, settings)
        findings += found
    return Contents(tuple(findings), tuple(ImageEntry(path) for path in listing.images), labels)


def _check_maps(
    source: Source, step: Any, pairs: Sequence[Pair], settings: Settings
) -> tuple[list[Finding], tuple[int, ...] | None]:
    key, findings = source.key, []
    own, given = bool(source.dataset.reduce_zero_label), step.get('reduce_zero_label')
    if given is not None and bool(given) != own:
        what = f'reduce_zero_label={own}, but LoadAnnotations of its pipeline has {given}'
        remedy = 'set it in the data set alone'
        findings.append(Finding(severity='error', key=key, what=what, remedy=remedy))
    classes = number_of_classes(source)
    if not classes:
        what = 'the values of the label maps were not checked: neither the data set nor the model says the classes'
        return [*findings, Finding(severity='note', key=key, what=what)], None
    maps = read_maps(source, pairs, settings, backend=step.get('imdecode_backend') or 'pillow')
    complete = len(maps) == len(pairs)
    scalable = source.split == 'train' and resizes(source.node.get('pipeline'))
    rules = label_rules(source, classes=classes)
    found, pixels = judge(key, ReadMaps(maps=maps, complete=complete, scalable=scalable), rules, names=source.names)
    return [*findings, *found], _labels(pixels) if complete else None


def _labels(pixels: Counter[int]) -> tuple[int, ...]:
    return tuple(sorted(label for label, count in pixels.items() if count))


KIND: Final = Kind(applies=applies, fingerprint=fingerprint, read=read)
