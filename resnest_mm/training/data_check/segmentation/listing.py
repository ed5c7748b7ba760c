"""The images of a data set and their label maps: files that are missing, left over or listed wrongly."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from resnest_mm.errors import one_line
from resnest_mm.training.data_check.finding import Finding, tallied
from resnest_mm.training.data_check.images import find_missing
from resnest_mm.training.data_check.segmentation.reading import Pair
from resnest_mm.training.data_check.source import Source

_IMAGES: Final = ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp')


@dataclass(frozen=True)
class Listing:
    """The files of a data set.

    Args:
        images: Paths of all images that the data set names.
        pairs: The images whose map exists.
        findings: What is wrong.
    """

    images: tuple[str, ...]
    pairs: tuple[Pair, ...]
    findings: tuple[Finding, ...]


def list_files(source: Source, *, with_maps: bool) -> Listing:
    """Return the images and label maps of a data set.

    Args:
        source: A data set of mmseg's BaseSegDataset.
        with_maps: Whether its pipeline reads label maps.
    """
    key, dataset = source.key, source.dataset
    try:
        entries = dataset.load_data_list()
        images = [str(entry['img_path']) for entry in entries]
    except Exception as error:
        return _fault(key, f'its files cannot be listed: {type(error).__name__}: {one_line(error)}')
    if not images:
        return _fault(key, _why_empty(dataset))
    findings = _check_folder(source, images)
    twice = [f'{path}, {count} times' for path, count in Counter(images).items() if count > 1]
    findings += tallied(key, 'warning', 'images are listed more than once', twice, total=len(images))
    if not with_maps:
        return Listing(tuple(images), (), tuple(findings))
    maps = [entry.get('seg_map_path') for entry in entries]
    if not all(isinstance(path, str) for path in maps):
        what = 'it has no label maps, which its pipeline loads'
        remedy = 'set data_prefix.seg_map_path'
        return Listing(tuple(images), (), (*findings, Finding(severity='error', key=key, what=what, remedy=remedy)))
    missing = find_missing(maps)
    findings += tallied(
        key,
        'error',
        'label maps do not exist',
        missing,
        total=len(maps),
        remedy=_suffix_hint(dataset, 'seg_map') if len(missing) == len(maps) else 'bring them, or remove the images',
    )
    findings += _left_over(source, maps)
    lost = set(missing)
    pairs = tuple(Pair(image, path) for image, path in zip(images, maps, strict=True) if path not in lost)
    return Listing(tuple(images), pairs, tuple(findings))


def _fault(key: str, what: str) -> Listing:
    return Listing((), (), (Finding(severity='error', key=key, what=what),))


def _why_empty(dataset: Any) -> str:
    if _is_listed(dataset):
        return f'{dataset.ann_file} lists no image'
    return f'it has no image: {_suffix_hint(dataset, "img")}'


def _check_folder(source: Source, images: list[str]) -> list[Finding]:
    """Return what the folder of images says about the suffix: other images in it, which the data set leaves out."""
    dataset = source.dataset
    suffix = str(dataset.img_suffix)
    if _is_listed(dataset):
        double = [Path(path).name for path in images if _ends_twice(path, suffix)]
        remedy = f'remove {suffix} from the names in {dataset.ann_file}, or set img_suffix=""'
        return tallied(source.key, 'error', f'listed names end with {suffix} already', double, remedy=remedy)
    others = sorted(path for path in _files(_folder(dataset, 'img')) if path.lower().endswith(_IMAGES))
    known = {os.path.normpath(path) for path in images}
    left = [path for path in others if os.path.normpath(path) not in known]
    what = f'image files are left out, because their names do not end with img_suffix={suffix!r}'
    return tallied(source.key, 'warning', what, left, total=len(others))


def _left_over(source: Source, maps: list[str]) -> list[Finding]:
    """Return the maps without an image; a list of names may leave out some on purpose."""
    dataset = source.dataset
    if _is_listed(dataset):
        return []
    known = {os.path.normpath(path) for path in maps}
    found = [path for path in _files(_folder(dataset, 'seg_map')) if path.endswith(str(dataset.seg_map_suffix))]
    left = sorted(path for path in found if os.path.normpath(path) not in known)
    return tallied(source.key, 'warning', 'label maps have no image', left, total=len(found))


def _suffix_hint(dataset: Any, kind: str) -> str:
    """Return what a folder holds in place of the files that are looked for."""
    folder, suffix = _folder(dataset, kind), str(getattr(dataset, f'{kind}_suffix'))
    endings = Counter(os.path.splitext(path)[1] or 'no suffix' for path in _files(folder))
    holds = ', '.join(f'{count} files with {ending}' for ending, count in endings.most_common(3)) or 'no files'
    return f'{folder} holds {holds}, and {kind}_suffix={suffix!r}; correct the suffix or data_prefix.{kind}_path'


def _is_listed(dataset: Any) -> bool:
    return bool(dataset.ann_file) and not os.path.isdir(dataset.ann_file)


def _ends_twice(path: str, suffix: str) -> bool:
    return bool(suffix) and path.endswith(2 * suffix)


def _folder(dataset: Any, kind: str) -> str:
    return str(dataset.data_prefix.get(f'{kind}_path') or '')


def _files(folder: str) -> list[str]:
    """Return all files below a folder without hidden ones, which mmengine leaves out, too."""
    found = []
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith('.')]
        found += [os.path.join(parent, name) for name in names if not name.startswith('.')]
    return found
