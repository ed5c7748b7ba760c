"""Fetching an image from a data set while looking at what each step of its pipeline does."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import torch

from resnest_mm.browse.samples import UNSCALED, Fed, read_fed
from resnest_mm.errors import UserError, one_line

_ANNOTATIONS: Final = ('gt_bboxes', 'gt_seg_map')


@dataclass(frozen=True)
class Stage:
    """An image behind one step of a pipeline.

    Args:
        step: Name of the transform.
        fed: What it returned.
    """

    step: str
    fed: Fed


@dataclass
class Trace:
    """What the last run through the followed pipelines did.

    Args:
        keep: Whether to keep a copy of what every step returned; without, only the order of the steps is looked at.
        step: The step that ran last, such as `'3 RandomFlip'`.
        scale: Horizontal and vertical factor from the annotations to the image. Test pipelines load annotations behind
            the resize, so that they are the original image's.
        stages: What the steps returned that had an image.
    """

    keep: bool = False
    step: str = ''
    scale: tuple[float, float] = UNSCALED
    stages: list[Stage] = field(default_factory=list)


def follow(dataset: Any, *, keep: bool = False) -> Trace:
    """Return a trace that is written whenever an image is fetched.

    It follows the pipeline that runs last: that of a data set which mixes images, or else those of the innermost ones.

    Args:
        dataset: A built data set, wrapped or not; its pipelines are changed.
        keep: See `Trace`.
    """
    trace = Trace(keep=keep)
    for transforms in _pipelines(dataset):
        transforms[:] = [_Step(transform, index, trace) for index, transform in enumerate(transforms)]
    return trace


def fetch(dataset: Any, index: int, *, seed: int, trace: Trace) -> tuple[Fed, tuple[Stage, ...]]:
    """Return an image as the model gets it, and its stages.

    Args:
        dataset: What `follow` was given.
        index: Number of the image.
        seed: With `index` it decides every random number that is drawn from the generators of Python, numpy and torch.
        trace: What `follow` returned.

    Raises:
        UserError: A step failed, or no image comes out.
    """
    trace.step, trace.scale = '', UNSCALED
    trace.stages.clear()
    with _seeded(seed, index):
        try:
            data = dataset[index]
        except Exception as error:
            where = f'step {trace.step} of its pipeline' if trace.step else 'loading it'
            raise UserError(f'image {index} of the data set: {where}: {_why(error)}') from error
    fed = read_fed(data, scale=trace.scale) if isinstance(data, dict) and 'data_samples' in data else None
    if fed is None:
        last = f' ends with {trace.step} and' if trace.step else ''
        raise UserError(f'the pipeline{last} returns no packed image; end it with PackDetInputs or PackSegInputs')
    return fed, tuple(trace.stages)


class _Step:
    """A transform that writes down what it did; it has the transform's own attributes as well."""

    def __init__(self, transform: Any, index: int, trace: Trace) -> None:
        self._transform, self._index, self._trace = transform, index, trace
        self._name = getattr(transform, '__name__', type(transform).__name__)

    def __call__(self, results: Any) -> Any:
        trace = self._trace
        if self._index == 0:
            # A data set that gets nothing out of one image goes on with another.
            trace.scale = UNSCALED
            trace.stages.clear()
        trace.step = f'{self._index + 1} {self._name}'
        annotated = _annotated(results)
        returned = self._transform(results)
        if _annotated(returned) and not annotated:
            trace.scale = tuple(returned.get('scale_factor', UNSCALED))
        if trace.keep and (fed := read_fed(returned, scale=trace.scale)) is not None:
            trace.stages.append(Stage(self._name, fed))
        return returned

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transform, name)


def _annotated(results: Any) -> bool:
    return isinstance(results, dict) and any(results.get(key) is not None for key in _ANNOTATIONS)


def _pipelines(dataset: Any) -> Iterator[list[Any]]:
    pipeline = getattr(dataset, 'pipeline', None)
    transforms = getattr(pipeline, 'transforms', pipeline)
    if isinstance(transforms, list):
        yield transforms
        return
    inner = getattr(dataset, 'datasets', None) or [getattr(dataset, 'dataset', None)]
    for wrapped in {id(item): item for item in inner if item is not None}.values():
        yield from _pipelines(wrapped)


@contextmanager
def _seeded(seed: int, index: int) -> Iterator[None]:
    """Seed the global generators, differently for every image, and put them back afterwards."""
    number = int(np.random.SeedSequence([seed, index]).generate_state(1)[0])
    before = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        random.seed(number)
        np.random.seed(number)
        torch.manual_seed(number)
        try:
            yield
        finally:
            random.setstate(before[0])
            np.random.set_state(before[1])


def _why(error: Exception) -> str:
    return f'{type(error).__name__}: {one_line(error)}'
