"""Building the model of a config and loading the weights of a checkpoint into it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from resnest_mm.errors import UserError, one_line


@dataclass(frozen=True)
class Trained:
    """A model with the weights of a checkpoint.

    Args:
        model: The model, in training mode, on the CPU.
        iteration: Iterations that the weights were trained; None where the checkpoint does not say.
    """

    model: Any
    iteration: int | None


def load_trained(cfg: Config, checkpoint: Path, *, split: str, partial: bool = False) -> Trained:
    """Return the config's model with the checkpoint's weights, all of them unless `partial` is given.

    Args:
        cfg: A model's config; it is not changed. mmengine's default scope is the one it names.
        checkpoint: Weights as mmengine saves them.
        split: Which dataloader of the config names the data set, whose classes must be those of the checkpoint.
        partial: Whether a checkpoint that does not fill the model is printed as a warning instead of an error.

    Raises:
        UserError: The model cannot be built.
        CheckpointError: The file cannot be read, or it does not suit the model or the classes.
    """
    from mmengine.model import revert_sync_batchnorm

    from resnest_mm.training.start.classes import classes_of_config
    from resnest_mm.training.start.fit import check_fit

    model = revert_sync_batchnorm(_build_model(cfg))
    classes = classes_of_config(cfg, split=split)
    filled = check_fit(model, checkpoint, source='--checkpoint', use='test', classes=classes, partial=partial)
    for note in filled.notes:
        print(note, flush=True)
    meta = filled.checkpoint.extras.get('meta')
    iteration = meta.get('iter') if isinstance(meta, Mapping) else None
    return Trained(model, iteration if isinstance(iteration, int) else None)


def _build_model(cfg: Config) -> Any:
    from mmengine.registry import MODELS

    model_cfg = copy.deepcopy(cfg.model)
    if cfg.get('data_preprocessor') is not None:
        model_cfg.setdefault('data_preprocessor', copy.deepcopy(cfg.data_preprocessor))
    try:
        return MODELS.build(model_cfg)
    except (TypeError, ValueError, KeyError, AssertionError, AttributeError, ImportError) as error:
        raise UserError(f'the model cannot be built: {type(error).__name__}: {one_line(error)}') from error
