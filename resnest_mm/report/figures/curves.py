"""The picture of a training: loss and learning rate on the left, evaluations on the right."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from resnest_mm.atomic import replacing
from resnest_mm.drawing.palette import class_colour
from resnest_mm.report.logs.run import Run
from resnest_mm.report.metrics import HEADLINES
from resnest_mm.report.summary import Summary

SIZE_INCHES: Final = (12.0, 4.8)
DPI: Final = 150
_BLUE, _RED = (tuple(value / 255 for value in class_colour(index)) for index in (0, 4))
_GREY: Final = '0.45'


def smooth(values: npt.NDArray[np.float64], window: int) -> npt.NDArray[np.float64]:
    """Return the centred running mean of the finite values; NaN where a window has no finite value.

    Args:
        values: A series.
        window: Values in the mean, at least 1; near the ends it shrinks to those that exist.

    Shape:
        - values: [N]
        - output: [N]
    """
    finite = np.isfinite(values)
    ones = np.ones(window)
    start = (window - 1) // 2
    totals = np.convolve(np.where(finite, values, 0.0), ones)[start : start + len(values)]
    counts = np.convolve(finite.astype(np.float64), ones)[start : start + len(values)]
    means: npt.NDArray[np.float64] = np.full(len(values), math.nan)
    np.divide(totals, counts, out=means, where=counts > 0.5)
    return means


def draw_curves(run: Run, path: Path, *, summary: Summary, title: str = 'Training') -> None:
    """Draw a training as a PNG of `SIZE_INCHES` x `DPI` pixels.

    Args:
        run: A training with at least one training line.
        path: The picture to write or replace.
        summary: The same training in numbers; its best evaluation is marked.
        title: Line above both panels.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=SIZE_INCHES, dpi=DPI, layout='constrained')
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    _draw_loss(left, run)
    _draw_evaluations(right, run, summary)
    figure.suptitle(title, fontsize=13, fontweight='bold')
    with replacing(path) as temporary:
        figure.savefig(temporary, format='png')


def _draw_loss(axes: Any, run: Run) -> None:
    iterations = np.array([point.iteration for point in run.points])
    losses = np.array([point.loss for point in run.points])
    window = len(losses) // 15 | 1
    if window == 1:
        axes.plot(iterations, losses, color=_BLUE, linewidth=2.0, label='loss, as logged')
    else:
        axes.plot(iterations, losses, color=_BLUE, alpha=0.35, linewidth=0.8, label='loss, as logged')
        mean = smooth(losses, window)
        axes.plot(iterations, mean, color=_BLUE, linewidth=2.0, label=f'loss, mean of {window} log lines')
    bad = iterations[~np.isfinite(losses)]
    if len(bad):
        axes.plot(bad, np.zeros(len(bad)), 'x', color=_RED, label='loss not finite', clip_on=False, zorder=5)
    axes.set(title='Loss and learning rate', xlabel='iterations', ylabel='training loss, sum of all terms')
    axes.set(xlim=(0, None), ylim=(0, _top(losses)))
    _tidy(axes)
    rate = axes.twinx()
    rates = [point.lr for point in run.points]
    rate.plot(iterations, rates, color=_GREY, linestyle='--', linewidth=1.2, label='learning rate (right axis)')
    rate.set_ylabel('learning rate', color=_GREY)
    rate.set_ylim(0, _top(np.array(rates)))
    rate.tick_params(axis='y', colors=_GREY)
    rate.spines['top'].set_visible(False)
    _legend(axes, [*axes.get_lines(), *rate.get_lines()])


def _draw_evaluations(axes: Any, run: Run, summary: Summary) -> None:
    _tidy(axes)
    axes.set(title='Evaluation', xlabel='iterations')
    names = list(run.evaluations[-1].metrics) if run.evaluations else []
    if not names:
        axes.text(0.5, 0.5, 'no evaluation logged', transform=axes.transAxes, ha='center', va='center', color=_GREY)
        axes.set(xticks=[], yticks=[])
        return
    iterations = [item.iteration for item in run.evaluations]
    for index, name in enumerate(names):
        colour = tuple(value / 255 for value in class_colour(index))
        values = [item.metrics.get(name, math.nan) for item in run.evaluations]
        width = 2.2 if name in HEADLINES else 1.4
        axes.plot(
            iterations, values, marker='o', markersize=4, color=colour, linewidth=width, label=name, clip_on=False
        )
    axes.set(xlim=(0, None), ylim=(0, 1.03))
    # The names of more than three are too long for the axis, and the legend has them.
    axes.set_ylabel(('metrics' if len(names) > 3 else ', '.join(names)) + ', from 0 to 1')
    _mark_best(axes, summary)
    _legend(axes, axes.get_lines())


def _mark_best(axes: Any, summary: Summary) -> None:
    if summary.best is None or summary.headline is None:
        return
    value = summary.best.metrics.get(summary.headline, math.nan)
    if not math.isfinite(value):
        return
    label = f'best {summary.headline}: {value:.3f} at {summary.best.iteration} iterations'
    ring = {'marker': 'o', 'markersize': 11, 'markerfacecolor': 'none', 'markeredgecolor': 'black'}
    axes.plot([summary.best.iteration], [value], linestyle='none', clip_on=False, label=label, **ring)


def _legend(axes: Any, lines: Sequence[Any]) -> None:
    """Name the lines below the panel, where the names hide nothing."""
    names = [str(line.get_label()) for line in lines]
    axes.legend(lines, names, loc='upper center', bbox_to_anchor=(0.5, -0.14), ncols=2, fontsize=9, frameon=False)


def _top(values: npt.NDArray[np.float64]) -> float:
    """Return the end of an axis, a little above the largest finite value."""
    return 1.08 * float(np.max(values, where=np.isfinite(values), initial=0.0)) or 1.0


def _tidy(axes: Any) -> None:
    axes.grid(color='0.9', linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines['top'].set_visible(False)
    axes.spines['right'].set_visible(False)
