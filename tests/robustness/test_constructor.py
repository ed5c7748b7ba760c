"""Whatever the backbone is asked to be, it refuses with a clear error, or it is built and trains."""

from __future__ import annotations

import importlib
import inspect
import logging
import random
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from resnest_mm.errors import CheckpointError
from resnest_mm.models import ResNeSt
from resnest_mm.models.arguments.refused import REFUSED_KEYWORDS
from resnest_mm.models.layers.normalize import warn_of_single_value
from tests.support.amounts import amount, record_counts
from tests.support.drawn_backbones import draw_arguments

NAMES = {*inspect.signature(ResNeSt).parameters, *REFUSED_KEYWORDS}

OWN_WARNINGS = (
    'leaves the stages after index',  # out_indices
    'makes the first stage',  # a narrow base_width
    'each block stays its shortcut',  # zero_init_residual with frozen norms
    'that no weights were loaded into',  # frozen_stages and norm_eval
    'it uses its running statistics for such steps',  # one value per channel
)

SEEDS = 5000
PART = 150


@pytest.fixture(scope='module', autouse=True)
def compiled_ops() -> Iterator[None]:
    """Skip without the ops of deformable convolutions, and do not log each initial value."""
    pytest.importorskip('mmcv._ext')
    importlib.import_module('mmcv.cnn.bricks.transformer')  # warns when it is imported, which mmcv does on demand
    logging.disable(logging.INFO)
    yield
    logging.disable(logging.NOTSET)


def test_every_draw_is_refused_or_trains(record_property: Callable[[str, object], None]) -> None:
    """Refusals are one line and name an argument; what is built has finite maps of the announced shapes."""
    seeds = range(SEEDS) if (number := amount(PART, whole=SEEDS)) == SEEDS else range(0, SEEDS, SEEDS // number)
    outcomes: Counter[str] = Counter()
    faults = []
    for seed in seeds:
        try:
            outcomes[outcome(seed)] += 1
        except Exception as error:  # the test lists all faults at once
            outcomes['FAULT'] += 1
            faults.append(f'seed {seed}: {type(error).__name__}: {error}\n    {draw_arguments(seed)}')
    record_counts(record_property, 'constructor draws', outcomes)
    assert not faults, f'{len(faults)} faults:\n' + '\n'.join(faults[:20])
    assert min(outcomes['refused'], outcomes['built and trained']) > len(seeds) // 5, outcomes


def outcome(seed: int) -> str:
    """Return how a draw ends, or raise what must not be."""
    arguments = draw_arguments(seed)
    torch.manual_seed(seed)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        warn_of_single_value.cache_clear()
        try:
            backbone = ResNeSt(**arguments)
        except (ValueError, TypeError) as error:
            check_refusal(error)
            return 'refused'
        size = sum(parameter.numel() for parameter in backbone.parameters())
        ended = 'built, too wide to train in a test' if size > 3_000_000 else 'built and trained'
        if size > 3_000_000:
            assert size <= 1.05e9
        else:
            try:
                backbone.init_weights()
            except CheckpointError as error:
                assert str(arguments['pretrained']) in str(error)
                return 'refused a checkpoint that does not exist'
            if not trains(backbone, seed):
                ended = 'refused a feature map of one value'
    foreign = [str(w.message) for w in caught if not any(own in str(w.message) for own in OWN_WARNINGS)]
    assert foreign == [], foreign
    return ended


def check_refusal(error: Exception) -> None:
    message = str(error)
    assert type(error) in (ValueError, TypeError), type(error)
    assert '\n' not in message
    assert len(message) < 1000, message
    assert any(name in message for name in NAMES), message
    assert error.__traceback__ is not None


def trains(backbone: ResNeSt, seed: int) -> bool:
    """Check maps, gradients and statistics in evaluation and training; return whether the maps were large enough."""
    rng = random.Random(seed)
    size = rng.choice(((64, 64), (33, 50), (96, 40)))
    channels = backbone.stem[0].in_channels
    x = torch.randn(rng.choice((1, 2, 2, 3)), channels, *size)
    if rng.random() < 0.3:
        x = x.to(memory_format=torch.channels_last)
    for mode in (False, True):
        backbone.train(mode)
        try:
            maps = backbone(x)
        except ValueError as error:
            assert 'needs more than 1 value per channel, because it has no running statistics' in str(error), error
            assert backbone.out_strides[-1] >= 8
            return False
        check_maps(maps, backbone, x)
    sum((y.square().mean() for y in maps), torch.zeros(())).requires_grad_().backward()
    gradients = {name: p.grad for name, p in backbone.named_parameters() if p.requires_grad}
    assert [
        name for name, gradient in gradients.items() if gradient is not None and not gradient.isfinite().all()
    ] == []
    used = len(backbone.stage_names) == backbone.out_indices[-1] + 1
    assert not used or [name for name, gradient in gradients.items() if gradient is None] == []
    assert [name for name, value in backbone.state_dict().items() if not value.isfinite().all()] == []
    with torch.no_grad():
        check_maps(backbone.eval()(x), backbone, x)
        check_maps(backbone(x[:0]), backbone, x[:0])
    return True


def check_maps(maps: Any, backbone: ResNeSt, x: torch.Tensor) -> None:
    sizes = [[-(-side // stride) for side in x.shape[2:]] for stride in backbone.out_strides]
    expected = [(len(x), channels, *size) for channels, size in zip(backbone.out_channels, sizes, strict=True)]
    assert [tuple(y.shape) for y in maps] == expected
    assert all(y.isfinite().all() for y in maps)
