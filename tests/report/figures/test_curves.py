"""The curves of any log are drawn at the documented size, and interrupted drawing leaves no file."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resnest_mm.drawing.palette import COLOURS
from resnest_mm.report.figures.curves import DPI, SIZE_INCHES, draw_curves, smooth
from resnest_mm.report.logs.run import Evaluation, Run, TrainPoint
from resnest_mm.report.summary import summarise

POINTS = tuple(TrainPoint(step * 10, 3 / step, 0.02 * step / 20, 0.5) for step in range(1, 21))
SCORES = tuple(Evaluation(step * 50, {'mAP': 0.1 * step, 'AP50': 0.2 * step}) for step in range(1, 5))
BROKEN = (TrainPoint(5, math.nan, math.nan, None), *POINTS)
MAPS = tuple(Evaluation(step * 50, {'mIoU': 0.15 * step, 'mAcc': 0.2 * step, 'aAcc': 0.24 * step}) for step in (2, 4))
NAMES = ('PQ', 'SQ', 'RQ', 'mAP', 'AP50', 'AP75', 'mask mAP', 'mask AP50', 'mask AP75')
SEGMENTS = tuple(Evaluation(step * 50, {name: 0.1 * step for name in NAMES}) for step in (2, 4))


@pytest.mark.parametrize(
    'run',
    [Run(POINTS, SCORES), Run(POINTS, ()), Run(BROKEN, SCORES), Run(POINTS, MAPS), Run(POINTS[:1], SCORES[:1])],
    ids=['usual', 'no evaluation', 'nan', 'segmentation', 'one line'],
)
def test_picture(tmp_path: Path, run: Run) -> None:
    draw_curves(run, tmp_path / 'curves.png', summary=summarise(run))
    with Image.open(tmp_path / 'curves.png') as picture:
        assert picture.format == 'PNG'
        assert picture.size == (round(SIZE_INCHES[0] * DPI), round(SIZE_INCHES[1] * DPI))
        pixels = np.asarray(picture.convert('RGB'))
    left, right = np.split(pixels, 2, axis=1)
    assert left.std() > 5
    assert right.std() > 2
    if run.evaluations:
        assert (right == COLOURS[0]).all(-1).any(), 'the headline metric is drawn'
    assert [path.name for path in tmp_path.iterdir()] == ['curves.png']


@pytest.mark.parametrize('scores', [SCORES, MAPS, SEGMENTS], ids=['detection', 'segmentation', 'panoptic'])
def test_evaluations_are_shown_from_0_to_1(scores: tuple[Evaluation, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Both hosts on one scale, every metric with its own line, the headline ringed where it is highest."""
    from matplotlib.figure import Figure

    figures: list[Figure] = []
    monkeypatch.setattr(Figure, 'savefig', lambda figure, *_, **__: figures.append(figure))
    run = Run(POINTS, scores)
    with pytest.raises(FileNotFoundError):
        draw_curves(run, Path('absent') / 'curves.png', summary=summarise(run))
    axes = figures[0].axes[1]
    assert axes.get_ylim() == (0, 1.03)
    words = 'metrics' if len(scores[0].metrics) > 3 else ', '.join(scores[0].metrics)
    assert axes.get_ylabel() == f'{words}, from 0 to 1'
    *lines, ring = axes.get_lines()
    assert len({line.get_color() for line in lines}) == len(lines)
    drawn = {str(line.get_label()): [float(value) for value in line.get_ydata()] for line in lines}
    assert drawn == {name: [item.metrics[name] for item in scores] for name in scores[0].metrics}
    headline, (best,) = next(iter(scores[0].metrics)), ring.get_ydata()
    assert best == scores[-1].metrics[headline]
    assert ring.get_label() == f'best {headline}: {best:.3f} at 200 iterations'


def test_smoothing_is_a_centred_mean_of_finite_values() -> None:
    values = np.array([1.0, 2.0, math.nan, 6.0, 8.0])
    np.testing.assert_allclose(smooth(values, 3), [1.5, 1.5, 4.0, 7.0, 7.0])
    np.testing.assert_allclose(smooth(values, 1), values)


def test_failed_drawing_keeps_the_old_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.figure import Figure

    path = tmp_path / 'curves.png'
    path.write_bytes(b'old')

    def fail(_figure: Figure, target: Path, **_options: object) -> None:
        target.write_bytes(b'half')
        raise OSError('disk full')

    monkeypatch.setattr(Figure, 'savefig', fail)
    run = Run(POINTS, SCORES)
    with pytest.raises(OSError, match='disk full'):
        draw_curves(run, path, summary=summarise(run))
    assert path.read_bytes() == b'old'
    assert [item.name for item in tmp_path.iterdir()] == ['curves.png']
