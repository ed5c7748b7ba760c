"""The check that what mmengine's own `Pretrained` loads into a part of a model fits this part."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.model import BaseModule
from torch import nn

from resnest_mm.errors import CheckpointError
from resnest_mm.models.initialization import prepare_pretrained
from resnest_mm.models.resnest import ResNeSt
from resnest_mm.training.checks.checkpoints import check_checkpoint, is_remote
from resnest_mm.training.config.walk import is_own, type_name
from resnest_mm.training.pretrained import PretrainedEntry
from resnest_mm.weights.hub.local import local_copy
from resnest_mm.weights.hub.resolve import SCHEMES
from resnest_mm.weights.io.plausible import check_values
from resnest_mm.weights.io.read import read_checkpoint
from resnest_mm.weights.model_fit import ModelFit, fill_model
from resnest_mm.weights.pretrained import under_prefix

_OF_TORCHVISION = ('torchvision', 'modelzoo')


def localize_initializers(cfg: Config, entries: Iterable[PretrainedEntry]) -> tuple[Config, dict[str, Path]]:
    """Download what mmengine's own `Pretrained` would download, and return a config that names the files.

    mmengine keeps a download under the last part of its URL, so that two URLs can share a file.

    Args:
        cfg: Parsed config.
        entries: From `resnest_mm.training.pretrained.find_pretrained`. Published files, and what this package,
            torchvision or a file backend loads, stay as they are.

    Returns:
        The config, and the file of each URL that was replaced.

    Raises:
        CheckpointError: A file cannot be downloaded or is no checkpoint.
    """
    changed, files = copy.deepcopy(cfg), dict[str, Path]()
    for entry in entries:
        scheme = entry.checkpoint.partition('://')[0].lower()
        if entry.is_own or entry.record is not None or not is_remote(entry.checkpoint) or scheme in _OF_TORCHVISION:
            continue
        with local_copy(entry.checkpoint) as local:
            check_checkpoint(str(local.file), source=entry.key)
        if scheme in SCHEMES:
            files[entry.checkpoint] = local.file
            changed.merge_from_dict({entry.key: str(local.file)})
    return changed, files


def check_initializers(model: nn.Module, files: dict[str, Path], *, partial: bool = False) -> tuple[str, ...]:
    """Refuse a file that fills nothing of a part that mmengine's `Pretrained` initialises; return notes on others.

    The file of a ResNeSt must fill the whole of it, as its own `Pretrained` demands when the run starts. mmengine loads
    what fits and says so in its log alone. Parts that initialise themselves in another way, such as a Swin transformer,
    are not looked at.

    Args:
        model: The model of the config, not yet initialised.
        files: The files of URLs, from `localize_initializers`.
        partial: Whether a file that fills nothing is a note, too.

    Raises:
        CheckpointError: A file cannot be read, has no key with the prefix, or fills nothing.
    """
    for module in model.modules():
        if isinstance(module, ResNeSt):
            prepare_pretrained(module, module.pretrained_init)
    notes = []
    for name, module, settings in _initializers(model):
        checkpoint = settings['checkpoint']
        file = files.get(checkpoint) or (None if is_remote(checkpoint) else Path(os.path.expanduser(checkpoint)))
        if file is None:
            continue
        fit = _fit(module, file, settings.get('prefix'))
        if fit.missing or fit.reshaped:
            where = f'init_cfg of {name or "the model"} ({type(module).__name__})'
            problem = f'{where}: {checkpoint} {fit}'
            if not fit.filled and not partial:
                raise CheckpointError(
                    f'{problem}. Set the prefix of the part to load, or name the weights of this part'
                )
            notes.append(f'warning: {problem}')
    return tuple(notes)


def _fit(module: nn.Module, file: Path, prefix: str | None) -> ModelFit:
    content = read_checkpoint(file)
    tensors = under_prefix(content.tensors, prefix, checkpoint=str(file))
    check_values(tensors, source=f'checkpoint {str(file)!r}', advice='take another file')
    return fill_model(module, tensors, metadata=content.metadata if prefix is None else None)


def _initializers(model: nn.Module) -> Iterator[tuple[str, nn.Module, Any]]:
    """Yield each part with a `Pretrained` of mmengine, by its name in the model."""
    for name, module in model.named_modules():
        if not isinstance(module, BaseModule) or type(module).init_weights is not BaseModule.init_weights:
            continue
        settings = module.init_cfg
        for entry in settings if isinstance(settings, (list, tuple)) else [settings]:
            is_pretrained = isinstance(entry, dict) and type_name(entry) in ('Pretrained', 'PretrainedInit')
            if is_pretrained and not is_own(entry) and isinstance(entry.get('checkpoint'), str):
                yield name, module, entry
