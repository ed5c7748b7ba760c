"""The data set whose images are drawn: building it, choosing images from it, and the colours of its classes."""

from __future__ import annotations

import copy
from typing import Any

from mmengine.config import Config

from resnest_mm.drawing.palette import COLOURS, Colour, class_colour
from resnest_mm.errors import UserError, one_line
from resnest_mm.training.config.walk import iter_datasets


def build_dataset(cfg: Config, split: str) -> Any:
    """Return the data set that the dataloader of a split names.

    Args:
        cfg: A config; it is not changed. mmengine's default scope is the one it names.
        split: `'train'`, `'val'` or `'test'`.

    Raises:
        UserError: The config has no such split, its annotations cannot be loaded, or the split is empty.
    """
    from mmengine.registry import DATASETS

    loader = cfg.get(f'{split}_dataloader')
    if loader is None:
        raise UserError(f'the config has no {split}_dataloader; choose another --split, or add one')
    try:
        dataset = DATASETS.build(copy.deepcopy(loader.dataset))
    except Exception as error:
        # mmengine joins the serialised images, and numpy cannot join none.
        if 'at least one array' not in str(error):
            raise UserError(
                f'{split}_dataloader.dataset cannot be built: {type(error).__name__}: {one_line(error)}'
            ) from error
        dataset = ()
    if len(dataset) == 0:
        raise UserError(f'the {split} data set is empty; check its ann_file, data_prefix and data_root')
    return dataset


def without_model(cfg: Config) -> Config:
    """Return a copy of a config with an empty model, for checks that need not build the real one.

    Args:
        cfg: A config; it is not changed.
    """
    changed = copy.deepcopy(cfg)
    changed.model = {'type': 'mmengine.BaseDataPreprocessor'}
    changed.data_preprocessor = None
    return changed


def evenly_spaced(total: int, count: int) -> list[int]:
    """Return `count` indices spread evenly over `total`, the first and the last included; all where there are fewer.

    Args:
        total: Number of images, at least 0.
        count: Number wanted, at least 1.
    """
    if count >= total:
        return list(range(total))
    if count == 1:
        return [total // 2]
    return [round(step * (total - 1) / (count - 1)) for step in range(count)]


def dataset_palette(cfg: Config, split: str, metainfo: Any) -> tuple[Colour, ...]:
    """Return the colours of the classes of a data set.

    mmseg invents random colours for a data set without a palette. They are used only where the classes are more than
    our own colours.

    Args:
        cfg: The config of the data set. mmengine's default scope is the one it names.
        split: Which dataloader of the config names the data set.
        metainfo: `metainfo` of the built data set.
    """
    classes, palette = len(metainfo['classes']), metainfo.get('palette')
    if palette and (_has_palette(cfg[f'{split}_dataloader'].dataset) or classes > len(COLOURS)):
        return tuple((int(red), int(green), int(blue)) for red, green, blue in palette)
    return tuple(class_colour(label) for label in range(classes))


def _has_palette(dataset: Any) -> bool:
    from mmengine.registry import DATASETS

    with DATASETS.switch_scope_and_registry(None) as registry:
        for _, node in iter_datasets(dataset, 'dataset'):
            kind = registry.get(node['type']) if isinstance(node['type'], str) else node['type']
            if (node.get('metainfo') or {}).get('palette') or kind.METAINFO.get('palette'):
                return True
    return False
