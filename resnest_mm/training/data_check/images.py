"""Image files of a data set: missing ones, and ones that cannot be read or are of another size than annotated."""

from __future__ import annotations

import os
import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from mmengine.registry import TRANSFORMS
from PIL import Image, UnidentifiedImageError
from tqdm import tqdm

from resnest_mm.errors import one_line
from resnest_mm.training.data_check.finding import Finding, Tally
from resnest_mm.training.data_check.sampling import choose
from resnest_mm.training.data_check.source import ImageEntry, Settings, Source

_THREADS: Final = 8
_ORIENTATION: Final = 0x0112
"""EXIF tag; from 5 on it turns the image by 90 degrees."""


def check_images(source: Source, entries: Sequence[ImageEntry], settings: Settings) -> list[Finding]:
    """Return the faults of image files. All files are looked for, and a sample of them, or all, are opened.

    A file is opened as the pipeline of the data set opens it, with `LoadImageFromFile`. A pipeline without that step
    may read other kinds of files, so nothing is opened then.

    Args:
        source: The data set.
        entries: Its images.
        settings: How many to open.
    """
    missing = find_missing([entry.path for entry in entries])
    findings = _missing_findings(source, missing, total=len(entries))
    absent = set(missing)
    present = [entry for entry in entries if entry.path not in absent]
    step = _loading_step(source.node.get('pipeline'))
    if step is None:
        if present:
            what = 'the image files were not opened: the pipeline has no LoadImageFromFile'
            findings.append(Finding(severity='note', key=source.key, what=what))
        return findings
    return findings + _open(source, step, choose(present, settings.images, seed=settings.seed), settings)


def find_missing(paths: Sequence[str]) -> list[str]:
    """Return the files that do not exist, without asking the file system for each one.

    Args:
        paths: Paths of files, also of many.
    """
    folders: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        folder, _, name = path.rpartition('/')
        folders[folder if folder or not path.startswith('/') else '/'].append(name)
    missing = []
    for folder, names in folders.items():
        try:
            with os.scandir(folder or '.') as entries:
                there = {entry.name for entry in entries}
        except (OSError, ValueError):
            there = set()
        lost = [name for name in names if name not in there]
        # Names such as `..`, and what a file system holds to be equal, are not in its list
        missing += [path for path in (f'{folder}/{name}' if folder else name for name in lost) if not _is_file(path)]
    return missing


def _is_file(path: str) -> bool:
    try:
        return os.path.isfile(path)
    except ValueError:  # a null character
        return False


def _missing_findings(source: Source, missing: Sequence[str], *, total: int) -> list[Finding]:
    remedy = 'bring them, or correct data_prefix or the names in the annotations'
    tally = Tally('error', 'image files do not exist', remedy)
    for path in missing:
        tally.add(f'{path}{_near(path)}')
    return tally.findings(source.key, total=total)


def _near(path: str) -> str:
    """Return a hint at a file of nearly the same name: with another suffix, or in another case."""
    folder, name = os.path.split(path)
    stem = os.path.splitext(name)[0].lower()
    try:
        with os.scandir(folder or '.') as entries:
            near = next((entry.name for entry in entries if os.path.splitext(entry.name)[0].lower() == stem), None)
    except (OSError, ValueError):
        return ''
    return f', but {near} does' if near else ''


def _loading_step(pipeline: Any) -> Any:
    """Return the config of the step that reads the image; None where no such step is known."""
    for step in pipeline if isinstance(pipeline, (list, tuple)) else ():
        kind = step.get('type') if isinstance(step, Mapping) else None
        if isinstance(kind, str):
            with TRANSFORMS.switch_scope_and_registry(None) as registry:
                kind = registry.get(kind)
        if any(base.__name__ == 'LoadImageFromFile' for base in getattr(kind, '__mro__', ())):
            return step
    return None


def _open(source: Source, step: Any, entries: Sequence[ImageEntry], settings: Settings) -> list[Finding]:
    load = TRANSFORMS.build(dict(step))
    broken = Tally('error', 'image files cannot be read', 'replace or remove them')
    other = Tally(
        'error', 'images have another size than their annotations say', 'correct the annotations or the images'
    )
    with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1)) as pool:
        sizes = pool.map(lambda entry: _size(load, entry.path), entries)
        shown = tqdm(
            zip(entries, sizes, strict=True),
            total=len(entries),
            desc=f'images of {source.split}',
            unit='image',
            disable=None if settings.progress else True,
            leave=False,
        )
        for entry, (size, fault) in shown:
            if size is None:
                broken.add(f'{entry.path}: {fault}')
            elif entry.width is not None and entry.height is not None and size != (entry.width, entry.height):
                said = f'{entry.width}x{entry.height}'
                other.add(f'{entry.path}: {size[0]}x{size[1]}{fault}, annotated as {said}')
    total = len(entries)
    return [*broken.findings(source.key, total=total), *other.findings(source.key, total=total)]


def _size(load: Any, path: str) -> tuple[tuple[int, int] | None, str]:
    """Return width and height of an image as the pipeline sees it, or None, and what is odd about the file."""
    try:
        fault, turned = _look_inside(path)
        if fault:
            return None, fault
        image = load({'img_path': path})['img']
        if image is None:
            return None, 'it cannot be decoded'
    except Exception as error:
        return None, f'{type(error).__name__}: {one_line(error)}'
    return (int(image.shape[1]), int(image.shape[0])), ' after its EXIF orientation' if turned else ''


def _look_inside(path: str) -> tuple[str, bool]:
    """Return why a file is damaged, empty if it is not, and whether its EXIF orientation turns it.

    OpenCV fills a truncated JPEG with grey and says nothing; Pillow refuses it.
    """
    if os.path.getsize(path) == 0:
        return 'the file is empty', False
    try:
        with warnings.catch_warnings(), Image.open(path) as image:
            warnings.simplefilter('ignore')
            turned = image.getexif().get(_ORIENTATION, 1) >= 5
            image.draft('L', (image.width // 8, image.height // 8))  # a JPEG is decoded in a third of the time
            image.load()
    except UnidentifiedImageError:
        return '', False  # Pillow does not know every format that the host can read
    except Image.DecompressionBombError:
        return '', False
    except Exception as error:
        return one_line(error), False
    return '', turned
