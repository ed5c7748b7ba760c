"""Writing the demo data set to disk, whole or not at all."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, cast

import cv2
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from resnest_mm.atomic import replacing_folder
from resnest_mm.demo_data.coco import coco_annotations
from resnest_mm.demo_data.panoptic import panoptic_annotations, segment_numbers
from resnest_mm.demo_data.scenes import Instance, draw_scene
from resnest_mm.demo_data.settings import SPLITS, DemoSettings, settings_from_meta

META: Final = 'meta.json'
ENCODING: Final = MappingProxyType({'.jpg': (cv2.IMWRITE_JPEG_QUALITY, 92), '.png': ()})


def write_demo_data(out: str | os.PathLike[str], *, settings: DemoSettings, force: bool = False) -> Path:
    """Write the demo data set, unless the folder already holds the same one, and show the progress on a terminal.

    The files are written into a temporary folder beside `out`, which replaces `out` when all of them are there.

    Args:
        out: Folder to write; its parents are created.
        settings: Seed, size and number of the images.
        force: Whether to replace a demo data set of other settings. One with the same settings that lacks files is
            always completed, and a folder with other files is never replaced.

    Returns:
        The folder with links resolved.

    Raises:
        ValueError: `out` exists and is neither this data set nor, with `force`, another demo data set.
        OSError: A file cannot be written.
    """
    target = Path(out).resolve()
    if holds_demo_data(target, settings=settings):
        return target
    if target.exists():
        _check_replaceable(target, settings=settings, force=force)
    with replacing_folder(target) as folder:
        _build(folder, settings=settings)
    return target


def holds_demo_data(out: str | os.PathLike[str], *, settings: DemoSettings) -> bool:
    """Return whether a folder holds the complete data set of these settings.

    Args:
        out: Folder to look into; it need not exist.
        settings: Those of the data set.
    """
    folder = Path(out)
    return _read_meta(folder) == settings.meta() and not _expected_files(settings) - _files(folder)


def _check_replaceable(target: Path, *, settings: DemoSettings, force: bool) -> None:
    meta = _read_meta(target)
    if meta is None:
        raise ValueError(f'out={str(target)!r} exists and is no demo data set; choose another folder')
    foreign = sorted(_files(target) - _expected_files(settings_from_meta(meta)))
    if foreign:
        raise ValueError(
            f'out={str(target)!r} holds {foreign[0]!r}, which is not part of the demo data set; '
            'move it away or choose another folder'
        )
    if not force and meta != settings.meta():
        raise ValueError(
            f'out={str(target)!r} holds a demo data set that was made with other settings; '
            'replace it with --force (force=True) or choose another folder'
        )


def _read_meta(folder: Path) -> dict[str, Any] | None:
    try:
        meta = json.loads((folder / META).read_text(encoding='utf-8'))
        settings_from_meta(meta)
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return cast(dict[str, Any], meta)


def _files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob('*') if not path.is_dir()}


def _expected_files(settings: DemoSettings) -> set[str]:
    files = {META}
    for split in SPLITS:
        files |= {f'annotations/{kind}_{split}.json' for kind in ('instances', 'panoptic')}
        for index in range(settings.count(split)):
            maps = {f'{kind}/{split}/{index:06d}.png' for kind in ('semantic', 'panoptic')}
            files |= {f'{split}/{index:06d}.jpg', *maps}
    return files


def _build(folder: Path, *, settings: DemoSettings) -> None:
    for split in SPLITS:
        scenes: dict[str, tuple[Instance, ...]] = {}
        # disable=None: a bar on a terminal only.
        for index in tqdm(range(settings.count(split)), desc=split, unit='image', disable=None):
            scene = draw_scene(settings, split, index)
            name = f'{index:06d}'
            _write_image(folder / split / f'{name}.jpg', scene.image)
            _write_image(folder / 'semantic' / split / f'{name}.png', scene.semantic)
            numbers = segment_numbers(scene.instances, size=settings.size)
            _write_image(folder / 'panoptic' / split / f'{name}.png', numbers)
            scenes[f'{name}.jpg'] = scene.instances
        for kind, describe in (('instances', coco_annotations), ('panoptic', panoptic_annotations)):
            _write_json(folder / 'annotations' / f'{kind}_{split}.json', describe(scenes, size=settings.size))
    _write_json(folder / META, settings.meta())


def _write_image(path: Path, image: npt.NDArray[np.uint8]) -> None:
    encoded, data = cv2.imencode(path.suffix, image, ENCODING[path.suffix])
    if not encoded:
        raise OSError(f'OpenCV could not encode {path.name!r}; check its {path.suffix} support')
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.tobytes())


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content) + '\n', encoding='utf-8')
