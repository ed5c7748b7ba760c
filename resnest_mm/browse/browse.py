"""Drawing the images that a config's pipeline hands to the model into a folder of pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mmengine.config import Config
from tqdm import tqdm

from resnest_mm.annotations.annotated_image import AnnotatedImage
from resnest_mm.browse.folder import check_folder, picture_folder, write_record
from resnest_mm.browse.pipeline_steps import follow, load_sample
from resnest_mm.browse.sheets import Overview, draw_single, draw_steps
from resnest_mm.drawing.datasets import build_dataset, dataset_palette, evenly_spaced, without_model
from resnest_mm.drawing.palette import ClassStyles
from resnest_mm.errors import UserError, printable
from resnest_mm.training.checks.build import check_build
from resnest_mm.training.checks.data_files import check_data
from resnest_mm.training.data_check.check import check_datasets
from resnest_mm.training.data_check.verdict import judge

SPLITS: Final = ('train', 'val', 'test')
SHEET: Final = 'sheet.png'
_ADVICE: Final = 'correct it, or draw it nevertheless with --no-data-check'
_HIGHEST_SEED: Final = 2**32 - 1
_LONGEST_STEM: Final = 200


@dataclass(frozen=True, kw_only=True)
class BrowseRequest:
    """The pictures to draw.

    Args:
        cfg: A detector's or a segmentor's config; only its data sets are used.
        out: The folder to write; it may hold the pictures of an earlier run, but nothing else.
        split: One of `SPLITS`; its dataloader names the data set.
        number: Images wanted, evenly spaced over the data set, at least 1; all where there are fewer.
        seed: Seed of the random steps of the pipeline, 0 to 2**32 - 1. An image's pictures depend on the seed and on
            its place in the data set, not on the other images that are drawn.
        stages: Whether to draw each image after every step of the pipeline.
        data_check: Whether to refuse data with faults; some of them end the process when they are drawn.

    Raises:
        UserError: A value is outside its range, or `out` holds other files.
    """

    cfg: Config
    out: Path
    split: str = 'train'
    number: int = 16
    seed: int = 0
    stages: bool = False
    data_check: bool = True

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise UserError(f'split={self.split!r} is unknown; choose one of {SPLITS}')
        if self.number < 1:
            raise UserError(f'number={self.number} must be at least 1')
        if not 0 <= self.seed <= _HIGHEST_SEED:
            raise UserError(f'seed={self.seed} must lie in 0..{_HIGHEST_SEED}')
        check_folder(self.out)


@dataclass(frozen=True)
class Browsed:
    """The pictures that were drawn.

    Args:
        total: Images in the data set.
        pictures: One for each image drawn.
        sheet: All images, small.
        notes: What the check of the data found and does not refuse, a line each.
    """

    total: int
    pictures: tuple[Path, ...]
    sheet: Path
    notes: tuple[str, ...] = ()


def browse(request: BrowseRequest) -> Browsed:
    """Write a picture of each image, `sheet.png` with all of them, and `browse.json`, which names the files.

    A picture shows the image after the last step of the pipeline, before the model's own preprocessing.

    Args:
        request: The pictures to draw.

    Raises:
        UserError: The config has no such split, a file is missing, the data has faults, a type is unknown, a step of
            the pipeline fails, or the folder cannot be written. Nothing is written then.
    """
    from mmengine.registry import DefaultScope

    data = _data_part(request.cfg, request.split)
    check_data(data, splits=(request.split,))
    check_build(data, splits=(request.split,))
    notes = []
    if request.data_check:
        notes = judge(check_datasets(data, splits=(request.split,)), advice=_ADVICE)
    with DefaultScope.overwrite_default_scope(data.default_scope):
        dataset = build_dataset(data, request.split)
        total = len(dataset)
        with picture_folder(request.out) as folder:
            names = _draw(request, dataset, _class_styles(data, request.split, dataset), folder)
            content = {'config': _name(request.cfg), 'split': request.split, 'images': total, 'seed': request.seed}
            write_record(folder, content)
    return Browsed(total, tuple(request.out / name for name in names), request.out / SHEET, tuple(notes))


def _draw(request: BrowseRequest, dataset: Any, classes: ClassStyles, folder: Path) -> list[str]:
    """Draw everything into a folder; return the names of the images' pictures."""
    total = len(dataset)
    indices = evenly_spaced(total, request.number)
    digits = max(4, len(str(total - 1)))
    trace = follow(dataset, keep=request.stages)
    overview = Overview(count=len(indices), classes=classes)
    names = []
    # disable=None: a bar on a terminal only.
    for index in tqdm(indices, unit='image', disable=None):
        shown, steps = load_sample(dataset, index, seed=request.seed, trace=trace)
        names.append(f'{index:0{digits}d}_{_stem(shown)}.png')
        place = f'#{index} of {request.split}'
        if steps:
            draw_steps(steps, shown, folder / names[-1], classes=classes, place=place)
        else:
            draw_single(shown, folder / names[-1], classes=classes, place=place)
        overview.add(shown)
    title = f'{len(indices)} of {total} {request.split} images'
    overview.save(folder / SHEET, title=title, source=f'seed {request.seed}', model=_name(request.cfg))
    return names


def _data_part(cfg: Config, split: str) -> Config:
    """Return a config with the data set of a split alone."""
    key = f'{split}_dataloader'
    content = {'default_scope': cfg.get('default_scope') or 'mmdet', 'data_root': cfg.get('data_root')}
    return without_model(Config({**content, key: cfg.get(key)}))


def _class_styles(cfg: Config, split: str, dataset: Any) -> ClassStyles:
    metainfo = dataset.metainfo
    names = tuple(metainfo.get('classes') or ())
    # The labels of boxes and maps differ for COCO, unless the data set is a panoptic one.
    shared = cfg.default_scope == 'mmseg' or 'stuff_classes' in metainfo
    # A palette of another length belongs to the classes that the config has replaced.
    fits = shared and len(metainfo.get('palette') or ()) == len(names)
    return ClassStyles(names, dataset_palette(cfg, split, metainfo) if fits and names else (), shared)


def _stem(shown: AnnotatedImage) -> str:
    """Return the image's name for its picture: without control characters, and cut, as file systems hold 255 bytes."""
    return (
        printable(Path(shown.name).stem).replace('\\', '_').encode()[:_LONGEST_STEM].decode(errors='ignore') or 'image'
    )


def _name(cfg: Config) -> str:
    return Path(cfg.filename).stem if cfg.filename else ''
