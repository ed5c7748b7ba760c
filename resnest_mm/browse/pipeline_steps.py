"""Fetching an image from a data set while recording the output of each step of its pipeline."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import torch

from resnest_mm.annotations.annotated_image import AnnotatedImage
from resnest_mm.annotations.read import UNSCALED, read_annotated
from resnest_mm.errors import UserError, one_line

_ANNOTATIONS: Final = ('gt_bboxes', 'gt_seg_map')


@dataclass(frozen=True)
class PipelineStep:
    """One step of a pipeline and the image after it.

    Args:
        name: Name of the transform.
        output: The image that the transform returned, with its annotations.
    """

    name: str
    output: AnnotatedImage


@dataclass
class Trace:
    """A record of the last run through the followed pipelines.

    Args:
        keep: Whether to keep a copy of the output of every step; otherwise only the order of the steps is recorded.
        step: The step that ran last, such as `'3 RandomFlip'`.
        scale: Horizontal and vertical factor from the annotations to the image. Test pipelines load annotations after
            the resize, so that they are those of the original image.
        steps: The steps whose output holds an image.
    """

    keep: bool = False
    step: str = ''
    scale: tuple[float, float] = UNSCALED
    steps: list[PipelineStep] = field(default_factory=list)


def follow(dataset: Any, *, keep: bool = False) -> Trace:
    """Return a trace that is written whenever an image is fetched.

    The pipeline that runs last is followed: that of a data set which mixes images, or else those of the innermost data
    sets.

    Args:
        dataset: A built data set, wrapped or not; its pipelines are changed.
        keep: See `Trace`.
    """
    trace = Trace(keep=keep)
    for transforms in _pipelines(dataset):
        transforms[:] = [_TracedTransform(transform, index, trace) for index, transform in enumerate(transforms)]
    return trace


def load_sample(
    dataset: Any, index: int, *, seed: int, trace: Trace
) -> tuple[AnnotatedImage, tuple[PipelineStep, ...]]:
    """Return an image as the model gets it, and the steps of its pipeline.

    Args:
        dataset: The data set that `follow` has changed.
        index: Number of the image.
        seed: With `index` it decides every random number that is drawn from the generators of Python, numpy and torch.
        trace: The trace that `follow` returned.

    Raises:
        UserError: A step failed, or the pipeline returns no image.
    """
    trace.step, trace.scale = '', UNSCALED
    trace.steps.clear()
    with _seeded(seed, index):
        try:
            data = dataset[index]
        except Exception as error:
            where = f'step {trace.step} of its pipeline' if trace.step else 'loading it'
            raise UserError(f'image {index} of the data set: {where}: {_why(error)}') from error
    packed = isinstance(data, dict) and 'data_samples' in data
    shown = read_annotated(data, scale=trace.scale) if packed else None
    if shown is None:
        last = f' ends with {trace.step} and' if trace.step else ''
        raise UserError(f'the pipeline{last} returns no packed image; end it with PackDetInputs or PackSegInputs')
    return shown, tuple(trace.steps)


class _TracedTransform:
    """A transform that records its output; it has the transform's own attributes as well."""

    def __init__(self, transform: Any, index: int, trace: Trace) -> None:
        self._transform, self._index, self._trace = transform, index, trace
        self._name = getattr(transform, '__name__', type(transform).__name__)

    def __call__(self, results: Any) -> Any:
        trace = self._trace
        if self._index == 0:
            # A data set whose pipeline returns None for one image goes on with another.
            trace.scale = UNSCALED
            trace.steps.clear()
        trace.step = f'{self._index + 1} {self._name}'
        annotated = _annotated(results)
        returned = self._transform(results)
        if _annotated(returned) and not annotated:
            trace.scale = tuple(returned.get('scale_factor', UNSCALED))
        if trace.keep and (output := read_annotated(returned, scale=trace.scale)) is not None:
            trace.steps.append(PipelineStep(self._name, output))
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
    """Seed the global generators, differently for every image, and restore them afterwards."""
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
