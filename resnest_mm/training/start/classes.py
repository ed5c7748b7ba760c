"""Whether a checkpoint was trained for the classes of a config, in their order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.config import Config
from mmengine.registry import DefaultScope

from resnest_mm.training.data_check.source import Source, iter_sources


def classes_of_file(extras: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the classes that a checkpoint was trained for, by label; empty where it does not say.

    Args:
        extras: The entries of the file beside its tensors. mmengine keeps the names in `meta`, under `dataset_meta`;
            earlier versions of the hosts had `CLASSES` there.
    """
    meta = extras.get('meta')
    meta = meta if isinstance(meta, Mapping) else {}
    dataset = meta.get('dataset_meta')
    names = dataset.get('classes') if isinstance(dataset, Mapping) else meta.get('CLASSES')
    usable = isinstance(names, (list, tuple)) and all(isinstance(name, str) for name in names)
    return tuple(names) if usable and names is not None else ()


def classes_of_config(cfg: Config, *, split: str) -> tuple[str, ...]:
    """Return the names of the classes of the first data set of a split, by label; empty where it has none.

    A panoptic data set has the classes of stuff after those of things. Where the training has only the things, the
    checkpoint has only these names, so the classes of stuff are left out.

    Args:
        cfg: Parsed config, whose types are known.
        split: `'train'`, `'val'` or `'test'`.
    """
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope') or 'mmengine'):
        found = next(iter_sources(cfg, (split,)), None)
        if not isinstance(found, Source):
            return ()
        trained = next(iter_sources(cfg, ('train',)), None) if found.is_a('CocoPanopticDataset') else None
    things = tuple(found.dataset.metainfo.get('thing_classes') or ())
    return things if isinstance(trained, Source) and trained.names == things else found.names


def compare_classes(given: Sequence[str], own: Sequence[str]) -> str | None:
    """Return how the classes of a checkpoint differ from those of a config; None where a label means the same in both.

    Args:
        given: Names of the checkpoint's classes by label; empty where they are not known.
        own: Names of the config's classes by label; empty where they are not known. Upper and lower case, `_`, `-` and
            blanks are not told apart.
    """
    if not given or not own:
        return None
    if len(given) != len(own):
        return f'the file has {count_classes(given)}, the config {len(own)}'
    pairs = [(label, name, wanted) for label, (name, wanted) in enumerate(zip(given, own, strict=True))]
    label, name, wanted = next((pair for pair in pairs if _plain(pair[1]) != _plain(pair[2])), (None, '', ''))
    if label is None:
        return None
    if sorted(map(_plain, given)) == sorted(map(_plain, own)):
        return f"the file's classes are in another order: label {label} is {name!r} there and {wanted!r} in the config"
    return f'the classes differ: label {label} is {name!r} in the file and {wanted!r} in the config'


def count_classes(names: Sequence[str]) -> str:
    """Return the number of classes in words, such as `1 class`."""
    return f'{len(names)} class{"" if len(names) == 1 else "es"}'


def _plain(name: str) -> str:
    return ''.join(letter for letter in name.casefold() if letter not in ' _-')
