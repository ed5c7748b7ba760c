"""The check of all data sets of a config: which kind reads which data set, and all findings together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from mmengine.config import Config
from mmengine.registry import DefaultScope

from resnest_mm.training.data_check.finding import Finding
from resnest_mm.training.data_check.source import Contents, Kind, Settings, Source, iter_sources

KINDS: Final[tuple[Kind, ...]] = ()
"""Kinds of data sets; the first one that applies reads a data set."""


def check_datasets(cfg: Config, *, splits: Sequence[str], settings: Settings | None = None) -> list[Finding]:
    """Return everything that is wrong, or may be wrong, with the data sets of a config, errors first.

    Nothing is raised for damaged data. Data sets on remote storage are not read.

    Args:
        cfg: Parsed config whose types are registered and whose files exist; left unchanged.
        splits: Which of `train`, `val` and `test` to check.
        settings: How much is looked at.
    """
    settings = settings or Settings()
    findings: list[Finding] = []
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope') or 'mmengine'):
        for source in iter_sources(cfg, splits):
            if isinstance(source, Finding):
                findings.append(source)
                continue
            findings += _read(source, settings).findings
    order = {'error': 0, 'warning': 1, 'note': 2}
    return sorted(findings, key=lambda finding: order[finding.severity])


def _read(source: Source, settings: Settings) -> Contents:
    if source.is_remote:
        what = 'the data is on remote storage and was not checked'
        return Contents((Finding(severity='note', key=source.key, what=what),))
    for kind in KINDS:
        if kind.applies(source):
            return kind.read(source, settings)
    what = f'the contents of a {type(source.dataset).__name__} were not checked: no kind of data check knows it'
    return Contents((Finding(severity='note', key=source.key, what=what),))
