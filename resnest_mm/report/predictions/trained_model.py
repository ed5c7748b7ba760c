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


def load_trained(cfg: Config, checkpoint: Path) -> Trained:
    """Return the config's model with the checkpoint's weights, all of them.

    Args:
        cfg: A model's config; it is not changed. mmengine's default scope is the one it names.
        checkpoint: Weights as mmengine saves them.

    Raises:
        UserError: The file is no checkpoint, the model cannot be built, or names or shapes of the two differ.
    """
    from mmengine.model import revert_sync_batchnorm
    from mmengine.runner import CheckpointLoader

    try:
        content = CheckpointLoader.load_checkpoint(str(checkpoint), map_location='cpu')
    except Exception as error:
        raise UserError(f'{checkpoint} cannot be read as a checkpoint: {one_line(error)[:160]}') from error
    content = content if isinstance(content, Mapping) else {}
    state = content.get('state_dict', content)
    model = revert_sync_batchnorm(_build_model(cfg))
    _check_fit(model.state_dict(), state, checkpoint)
    model.load_state_dict(state)
    iteration = (content.get('meta') or {}).get('iter')
    return Trained(model, None if iteration is None else int(iteration))


def _build_model(cfg: Config) -> Any:
    from mmengine.registry import MODELS

    model_cfg = copy.deepcopy(cfg.model)
    if cfg.get('data_preprocessor') is not None:
        model_cfg.setdefault('data_preprocessor', copy.deepcopy(cfg.data_preprocessor))
    try:
        return MODELS.build(model_cfg)
    except (TypeError, ValueError, KeyError, AssertionError, AttributeError, ImportError) as error:
        raise UserError(f'the model cannot be built: {type(error).__name__}: {one_line(error)}') from error


def _check_fit(wanted: Mapping[str, Any], given: Mapping[str, Any], checkpoint: Path) -> None:
    missing = sorted(set(wanted) - set(given))
    extra = sorted(set(given) - set(wanted))
    shapes = sorted(name for name in set(wanted) & set(given) if wanted[name].shape != given[name].shape)
    found = [
        f'{len(names)} {what} (first: {names[0]})'
        for what, names in (('missing', missing), ('unknown', extra), ('of another shape', shapes))
        if names
    ]
    if found:
        raise UserError(f"{checkpoint} does not fit the config's model: {', '.join(found)}; give its own config")
