"""The checkpoint that a run starts from: which one it is, a copy on this machine, and whether it fills the model."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mmengine.config import Config
from torch import nn

from resnest_mm.training.checks.checkpoints import check_checkpoint, is_remote
from resnest_mm.training.start.classes import classes_of_config
from resnest_mm.training.start.fit import Use, check_fit
from resnest_mm.weights.hub.local import LocalCopy, local_copy


@dataclass(frozen=True)
class Start:
    """The checkpoint that a run starts from.

    Args:
        checkpoint: Its path or URL.
        source: Where this comes from, for messages.
        use: What the weights are for.
    """

    checkpoint: str
    source: str
    use: Use


def find_start(cfg: Config) -> Start | None:
    """Return the checkpoint that a training starts from, None where it starts without one.

    Args:
        cfg: Parsed config, after `apply_newest_checkpoint`.
    """
    if not cfg.get('load_from'):
        return None
    resumes = bool(cfg.get('resume'))
    return Start(cfg.load_from, '--resume' if resumes else 'load_from', 'resume' if resumes else 'train')


def keep_load_from(cfg: Config, load_from: str | None) -> Config:
    """Return a copy that starts from the config's `load_from` where there is no checkpoint to resume from yet.

    Args:
        cfg: Parsed config, after `apply_resume`, which replaces `load_from`.
        load_from: `load_from` of the config before that.
    """
    changed = copy.deepcopy(cfg)
    if load_from and find_start(cfg) is None:
        changed.load_from, changed.resume = load_from, False
    return changed


def load_start(cfg: Config, start: Start, model: nn.Module, *, partial: bool) -> tuple[Config, tuple[str, ...]]:
    """Load a checkpoint into the model, refuse one that does not fill it; return a config for the Runner, and notes.

    A checkpoint at a URL is downloaded, and the returned config names the file, so that the run loads what was checked.

    Args:
        cfg: Parsed config.
        start: The checkpoint.
        model: The model of the config; it is filled with the checkpoint.
        partial: Whether a checkpoint that does not fit is a note instead of an error.

    Raises:
        CheckpointError: The checkpoint cannot be found or read, or it does not fit.
    """
    split = 'test' if start.use == 'test' else 'train'
    changed = copy.deepcopy(cfg)
    with _local(start) as local:
        classes = classes_of_config(cfg, split=split)
        filled = check_fit(model, local.file, source=start.source, use=start.use, classes=classes, partial=partial)
    if local.stays and is_remote(start.checkpoint):
        changed.load_from = str(local.file)
    return changed, filled.notes


@contextmanager
def _local(start: Start) -> Iterator[LocalCopy]:
    if is_remote(start.checkpoint):
        with local_copy(start.checkpoint) as local:
            check_checkpoint(str(local.file), source=start.source, resumes=start.use == 'resume')
            yield local
    else:
        yield LocalCopy(Path(os.path.expanduser(start.checkpoint)))
