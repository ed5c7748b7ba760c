"""Traced, exported and compiled backbones give the feature maps and running statistics of eager execution."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from resnest_mm.models import ResNeSt
from tests.support.tiny_backbones import image, scatter, snapshot, tiny

Maps = tuple[Tensor, ...]
Capture = Callable[[ResNeSt, Tensor], Maps]


def compare(
    capture: Capture, *, training: bool, batch: int = 2, exact: bool = True, num_stages: int = 2, with_cp: bool = False
) -> None:
    """Compare what `capture` returns, and leaves in the running statistics, with eager execution."""
    backbone = tiny(num_stages=num_stages, groups=2, base_width=40, with_cp=with_cp).double()
    scatter(backbone)
    backbone.train(training)
    x = image(batch).double()
    before = snapshot(backbone)
    expected = backbone(x)
    statistics = snapshot(backbone)
    backbone.load_state_dict(before)
    found = capture(backbone, x)
    # A compiler may sum in another order.
    tolerance = {'rtol': 0, 'atol': 0} if exact else {'rtol': 1e-9, 'atol': 1e-9}
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, **tolerance)
    for name, value in backbone.state_dict().items():
        torch.testing.assert_close(value, statistics[name], **tolerance)


modes = pytest.mark.parametrize('training', [False, True], ids=['eval', 'train'])


@modes
def test_traced_equals_eager(training: bool) -> None:
    def trace(backbone: ResNeSt, x: Tensor) -> Maps:
        before = snapshot(backbone)
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', torch.jit.TracerWarning)
            warnings.simplefilter('ignore', DeprecationWarning)
            traced = torch.jit.trace(backbone, image(3).double(), check_trace=False)
        backbone.load_state_dict(before)
        return traced(x)

    compare(trace, training=training)


@modes
def test_exported_equals_eager(training: bool) -> None:
    def export(backbone: ResNeSt, x: Tensor) -> Maps:
        program = torch.export.export(backbone, (x,))
        module = program.module()
        maps = module(x)
        backbone.load_state_dict(module.state_dict())
        return maps

    compare(export, training=training)


def test_exported_for_any_batch_and_size() -> None:
    """Sides are multiples of the stride: torch cannot export rounded-up pooling of any other."""
    backbone = tiny(num_stages=2).eval()
    scatter(backbone)
    batch, height, width = (torch.export.Dim(name, min=1, max=64) for name in ('batch', 'height', 'width'))
    sizes = {0: batch, 2: 8 * height, 3: 8 * width}
    program = torch.export.export(backbone, (image(2, (32, 48)),), dynamic_shapes=(sizes,))
    for x in (image(1, (24, 64)), image(3, (64, 40))):
        for a, b in zip(program.module()(x), backbone(x), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


def whole_graph(backbone: ResNeSt, x: Tensor) -> Maps:
    torch._dynamo.reset()
    maps: Maps = torch.compile(backbone, fullgraph=True, backend='aot_eager')(x)
    return maps


@pytest.mark.slow
@pytest.mark.parametrize('batch', [1, 2])
@modes
def test_captured_graph_equals_eager(training: bool, batch: int) -> None:
    """One graph without a break, also for the single image whose statistics are too few."""
    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', message='a training batch of one image')
        compare(whole_graph, training=training, batch=batch, exact=False)


@pytest.mark.slow
def test_captured_graph_with_checkpointing_equals_eager() -> None:
    compare(whole_graph, training=True, with_cp=True, exact=False)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which('g++') is None and shutil.which('clang++') is None, reason='needs a C++ compiler')
@modes
def test_compiled_equals_eager(training: bool) -> None:
    def compiled(backbone: ResNeSt, x: Tensor) -> Maps:
        torch._dynamo.reset()
        maps: Maps = torch.compile(backbone, fullgraph=True)(x)
        return maps

    compare(compiled, training=training, num_stages=1, exact=False)
