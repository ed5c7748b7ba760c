"""The check that a checkpoint fills the model of a run, so that no layer keeps random weights unnoticed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from torch import nn

from resnest_mm.errors import CheckpointError
from resnest_mm.training.start.classes import classes_of_file, compare_classes, count_classes
from resnest_mm.weights.convert.tensors import Shape
from resnest_mm.weights.fit_advice import advise
from resnest_mm.weights.io.contents import Checkpoint, FileError, count_not_finite
from resnest_mm.weights.io.plausible import check_values
from resnest_mm.weights.io.read import read_checkpoint
from resnest_mm.weights.model_fit import ModelFit, fill_model

Use = Literal['test', 'train', 'resume']
"""What the weights are for: a test or a report, the start of a training, or its continuation."""

_MMENGINES: Final = (None, 'state_dict')
"""Entries in which mmengine looks for the tensors."""


@dataclass(frozen=True)
class Filled:
    """What a checkpoint did to a model.

    Args:
        checkpoint: The content of the file.
        notes: What does not fit though the run goes on, a line each.
    """

    checkpoint: Checkpoint
    notes: tuple[str, ...]


def check_fit(
    model: nn.Module, file: Path, *, source: str, use: Use, classes: Sequence[str] = (), partial: bool = False
) -> Filled:
    """Load a checkpoint into a model, and refuse one that does not fill it or was trained for other classes.

    Args:
        model: The model; whatever fits is loaded into it.
        file: The checkpoint, which torch can load.
        source: Where its name comes from, for the message: `load_from`, `--resume`.
        use: What the weights are for. A training may start from weights for other classes.
        classes: The names of the config's classes by label; empty where they are not known.
        partial: Whether a checkpoint that does not fit is a note instead of an error. A training can only be continued
            with all weights.

    Raises:
        CheckpointError: The file cannot be read, has values that no training leaves behind, or does not fit.
    """
    own = model.state_dict()
    shapes = {key: tuple(value.shape) for key, value in own.items()}
    # A buffer may be infinite by design, such as a mask of attention.
    usual = count_not_finite(own)
    try:
        checkpoint = read_checkpoint(file)
    except FileError as error:
        raise CheckpointError(f'{source}: {error}') from error
    tensors = checkpoint.tensors if checkpoint.entry in _MMENGINES else {}
    fit = fill_model(model, tensors, metadata=checkpoint.metadata)
    values = {key: value for key, value in checkpoint.tensors.items() if key not in usual}
    check_values(values, source=f'{source}: {file}', advice='take an earlier checkpoint')
    notes = []
    if not fit.is_complete:
        problem = f'{source}: {file} does not fit: it {fit}'
        if not partial:
            raise CheckpointError(f'{problem}. {_advice(fit, checkpoint, shapes, file, use=use, classes=classes)}')
        if use == 'resume' and (fit.missing or fit.reshaped):
            raise CheckpointError(f'{problem}. --partial is for load_from: a training continues with all weights only')
        notes.append(f'warning: {problem}')
    if use == 'resume' and 'optimizer' not in checkpoint.extras:
        notes.append(
            f'warning: {source}: {file} was saved without the state of the optimizer (save_optimizer=False, or a best '
            'checkpoint); the optimizer starts anew, without momentum'
        )
    differing = compare_classes(classes_of_file(checkpoint.extras), classes)
    if differing is not None and use == 'train':
        notes.append(f'{source}: {file} was trained for other classes: {differing}')
    elif differing is not None:
        problem = f'{source}: {file} does not suit the classes of the data set: {differing}'
        if not partial:
            raise CheckpointError(f'{problem}. Correct metainfo.classes; if both are right all the same, say --partial')
        notes.append(f'warning: {problem}')
    return Filled(checkpoint, tuple(notes))


def _advice(
    fit: ModelFit,
    checkpoint: Checkpoint,
    shapes: Mapping[str, Shape],
    file: Path,
    *,
    use: Use,
    classes: Sequence[str],
) -> str:
    partial = 'to test it all the same, say --partial' if use == 'test' else 'to load what fits, say --partial'
    known = advise(checkpoint.tensors, shapes, file=file, entry=checkpoint.entry)
    if known is not None:
        return known[0].upper() + known[1:]
    if fit.differs_in_classes:
        given = classes_of_file(checkpoint.extras)
        counts = f'those of {count_classes(given)}' if given else 'those of another number of classes'
        counts += f', and the config has {count_classes(classes)}' if classes else ''
        if use == 'train':
            return (
                f'Perhaps the layers of another shape are {counts}; to fine-tune to other classes, say --partial: '
                'these layers then start from their initial values'
            )
        return f'Perhaps the layers of another shape are {counts}; give the config of the file'
    if use == 'resume':
        return 'A training continues with the config that it began with; to start a new one, use load_from'
    return f'Give the config that the file was trained with; {partial}'
