"""The data sets of a config, each built without reading its annotations, and what a kind of data set says about it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from mmengine.config import Config
from mmengine.registry import DATASETS

from resnest_mm.errors import one_line
from resnest_mm.training.checks.checkpoints import is_remote
from resnest_mm.training.config.walk import iter_datasets
from resnest_mm.training.data_check.finding import Finding

REMOTE: Final = 'the data is on remote storage and was not checked'


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How much of the data is looked at.

    Args:
        images: Number of image files, and of label maps, to open in each data set; None opens all.
        seed: Seed of the sample.
        progress: Whether to show progress bars on a terminal.
    """

    images: int | None = 200
    seed: int = 0
    progress: bool = True


class ImageEntry(NamedTuple):
    """An image of a data set.

    Args:
        path: Where it is, as the data set joins it.
        width: In pixels by the annotations; None where they do not say it.
        height: As `width`.
    """

    path: str
    width: int | None = None
    height: int | None = None


@dataclass(frozen=True)
class Contents:
    """What a kind of data set found in the annotations.

    Args:
        findings: All faults.
        images: All images that the data set names, also those that a filter of the config drops later.
        labels: The classes that its label maps hold; None where not all maps were read.
    """

    findings: tuple[Finding, ...]
    images: tuple[ImageEntry, ...] = ()
    labels: tuple[int, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Source:
    """A data set of a config that reads files.

    Args:
        key: Its dotted key in the config.
        split: `'train'`, `'val'` or `'test'`.
        node: Its config.
        cfg: The whole config, for the model and the metrics.
        dataset: The data set, built with `lazy_init` and without a pipeline, so that its paths are joined and its
            annotations are not read.
        classes: `metainfo['classes']` of the data set, of any type; None where it has none.
    """

    key: str
    split: str
    node: Any
    cfg: Config
    dataset: Any
    classes: Any

    def is_a(self, name: str) -> bool:
        """Return whether the class of the data set, or one of its bases, has this name.

        Args:
            name: Name of a class without its module.
        """
        return any(base.__name__ == name for base in type(self.dataset).__mro__)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the classes; empty where `classes` is no list of texts."""
        usable = isinstance(self.classes, (list, tuple)) and all(isinstance(name, str) for name in self.classes)
        return tuple(self.classes) if usable else ()

    @property
    def things(self) -> tuple[str, ...]:
        """The names of the classes that have boxes: without those of stuff in a panoptic data set."""
        things = self.dataset.metainfo.get('thing_classes') if self.is_a('CocoPanopticDataset') else None
        return self.names if things is None else tuple(things)

    @property
    def is_remote(self) -> bool:
        """Whether its files are not on this machine's file system."""
        return is_remote_node(self.node)


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of data set and how it is checked; `__init__.py` says what the functions do.

    Args:
        applies: Whether a data set is of this kind.
        fingerprint: A text that changes with the annotations; None if they cannot be told apart, for no cache.
        read: All annotations, read once.
    """

    applies: Callable[[Source], bool]
    fingerprint: Callable[[Source], str | None]
    read: Callable[[Source, Settings], Contents]


def iter_sources(cfg: Config, splits: Sequence[str]) -> Iterator[Source | Finding]:
    """Yield every data set of the splits, inside its wrappers, or a finding that says why it cannot be built.

    mmengine's default scope is the one of the config.

    Args:
        cfg: Parsed config; left unchanged.
        splits: Which of `train`, `val` and `test`.
    """
    for split in splits:
        loader = cfg.get(f'{split}_dataloader') or {}
        for key, node in iter_datasets(loader.get('dataset'), f'{split}_dataloader.dataset'):
            try:
                dataset = _build_lazily(node)
            except Exception as error:
                if is_remote_node(node):
                    yield Finding(severity='note', key=key, what=REMOTE)
                    continue
                what = f'the data set cannot be built: {type(error).__name__}: {one_line(error)}'
                yield Finding(severity='error', key=key, what=what)
                continue
            metainfo = getattr(dataset, 'metainfo', None) or {}
            yield Source(key=key, split=split, node=node, cfg=cfg, dataset=dataset, classes=metainfo.get('classes'))


def is_remote_node(node: Any) -> bool:
    """Return whether the files of a data set are not on this machine's file system.

    Args:
        node: Config of the data set.
    """
    backend = node.get('backend_args')
    paths = [node.get('data_root'), node.get('ann_file'), *(node.get('data_prefix') or {}).values()]
    named = isinstance(backend, dict) and backend.get('backend', 'local') not in ('local', 'LocalBackend')
    return named or any(isinstance(path, str) and is_remote(path) for path in paths)


def _build_lazily(node: Any) -> Any:
    plain = copy.deepcopy(node)
    return DATASETS.build({**plain, 'lazy_init': True, 'pipeline': []})
