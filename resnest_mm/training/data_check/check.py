"""The check of all data sets of a config: which kind reads which data set, and all findings together."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Final

from mmengine.config import Config
from mmengine.registry import DefaultScope
from torch import nn

from resnest_mm.errors import UserError, one_line
from resnest_mm.training.checks.build import check_build
from resnest_mm.training.checks.data_files import check_data
from resnest_mm.training.data_check.cache import digest, keep, recall
from resnest_mm.training.data_check.classes import check_classes, check_same_classes
from resnest_mm.training.data_check.detection import generic, voc
from resnest_mm.training.data_check.detection.coco import kind as coco
from resnest_mm.training.data_check.detection.coco.evaluators import check_evaluators
from resnest_mm.training.data_check.finding import Finding
from resnest_mm.training.data_check.heads import check_heads
from resnest_mm.training.data_check.images import check_images
from resnest_mm.training.data_check.overlap import check_overlap
from resnest_mm.training.data_check.segmentation import kind as label_maps
from resnest_mm.training.data_check.segmentation.losses import check_losses
from resnest_mm.training.data_check.segmentation.splits import check_splits
from resnest_mm.training.data_check.segmentation.stuff import check_stuff_maps
from resnest_mm.training.data_check.source import REMOTE, Contents, ImageEntry, Kind, Settings, Source, iter_sources

KINDS: Final[tuple[Kind, ...]] = (coco.KIND, voc.KIND, label_maps.KIND, generic.KIND)
"""Kinds of data sets; the first one that applies reads a data set."""

SPLITS: Final = ('train', 'val', 'test')

_ORDER: Final = ('error', 'warning', 'note')


def check_datasets(
    cfg: Config, *, splits: Sequence[str], model: nn.Module | None = None, settings: Settings | None = None
) -> list[Finding]:
    """Return everything that is wrong, or may be wrong, with the data sets of a config, errors first.

    Nothing is raised for damaged data. Data sets on remote storage are not read. What was found in annotations is kept
    in the cache of `resnest_mm.training.data_check.cache`, unless there is an error anywhere: a
    run that is refused writes nothing. Image files are opened in each run.

    Args:
        cfg: Parsed config whose types are registered and whose files exist; left unchanged.
        splits: Which of `train`, `val` and `test` to check.
        model: The built model of the config, whose heads are compared with the data; None judges the config instead.
        settings: How much is looked at.
    """
    settings = settings or Settings()
    findings: list[Finding] = []
    sources: list[Source] = []
    images: list[tuple[Source, Sequence[ImageEntry]]] = []
    labels: list[tuple[Source, Sequence[int] | None]] = []
    fresh: dict[str, Contents] = {}
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope') or 'mmengine'):
        for source in iter_sources(cfg, splits):
            if isinstance(source, Finding):
                findings.append(source)
                continue
            sources.append(source)
            findings += check_classes(source)
            contents = _read(cfg, source, settings, fresh)
            findings += contents.findings
            findings += check_images(source, contents.images, settings)
            findings += check_stuff_maps(source, contents.images, settings)
            images.append((source, contents.images))
            labels.append((source, contents.labels))
        findings += check_same_classes(sources)
        findings += check_heads(cfg, model, sources)
        findings += check_overlap(images)
        findings += check_splits(labels)
        findings += check_losses(cfg, sources)
        for split in splits:
            if split != 'train':
                findings += check_evaluators(cfg, split, [source for source in sources if source.split == split])
    if not any(finding.severity == 'error' for finding in findings):
        for name, contents in fresh.items():
            keep(name, contents)
    return sorted(dict.fromkeys(findings), key=lambda finding: _ORDER.index(finding.severity))


def check_config(
    cfg: Config, *, splits: Sequence[str] | None = None, settings: Settings | None = None
) -> list[Finding]:
    """Return all findings about the data sets of a config.

    Args:
        cfg: Parsed config; left unchanged. It may have no model.
        splits: Which of `SPLITS`; all that the config has by default.
        settings: How much is looked at.

    Raises:
        UserError: The config has no such split, a file is missing, or a type is unknown.
    """
    present = [split for split in SPLITS if cfg.get(f'{split}_dataloader') is not None]
    wanted = present if splits is None else list(dict.fromkeys(splits))
    if not wanted:
        raise UserError('the config has no train_dataloader, val_dataloader or test_dataloader to check')
    for split in wanted:
        if split not in present:
            raise UserError(f'the config has no {split}_dataloader; choose another --split, or add one')
    whole = copy.deepcopy(cfg)
    if whole.get('model') is None:
        whole.model = {'type': 'mmengine.BaseDataPreprocessor'}
    check_data(whole, splits=wanted)
    model = check_build(whole, splits=wanted)
    return check_datasets(cfg, splits=wanted, model=model, settings=settings)


def _read(cfg: Config, source: Source, settings: Settings, fresh: dict[str, Contents]) -> Contents:
    """Return what is known about a data set, from the cache or by reading it, and add what may be kept to `fresh`."""
    if source.is_remote:
        return _unread(source, REMOTE)
    try:
        kind = next((kind for kind in KINDS if kind.applies(source)), None)
        if kind is None:
            return _unread(source, f'the contents of a {type(source.dataset).__name__} were not checked')
        state = kind.fingerprint(source)
        if state is None:
            return kind.read(source, settings)
        config = [source.node, cfg.get('model'), cfg.get(f'{source.split}_evaluator')]
        name = digest(state, source.key, type(source.dataset).__qualname__, source.classes, config, settings)
        contents = recall(name)
        if contents is None:
            contents = fresh[name] = kind.read(source, settings)
        return contents
    except Exception as error:
        # A mistake of the check itself shall not keep anybody from training.
        return _unread(source, f'the check stopped at {type(error).__name__}: {one_line(error)}; please report this')


def _unread(source: Source, what: str) -> Contents:
    return Contents((Finding(severity='note', key=source.key, what=what),))
