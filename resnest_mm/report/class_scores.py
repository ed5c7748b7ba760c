"""The scores of a segmenter class by class, as a table for people and as a record for programs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from resnest_mm.report.confusion import Scores
from resnest_mm.report.scalars import Run

TOLERANCE: Final = 1e-3
"""Largest difference between a measured and a logged mIoU, both in 0..1, that still counts as the same.

mmseg rounds to a hundredth of a percent, and a GPU adds in another order.
"""
_NAME: Final = 20
_LONGEST_NAME: Final = 36


@dataclass(frozen=True)
class Logged:
    """The mIoU that the training logged for the weights in question.

    Args:
        iteration: Iterations done before that evaluation.
        mean_iou: In 0..1.
    """

    iteration: int
    mean_iou: float

    def agrees(self, scores: Scores) -> bool:
        """Return whether it is the measured one within `TOLERANCE`.

        Args:
            scores: What was measured.
        """
        return math.isclose(self.mean_iou, scores.mean_iou, rel_tol=0.0, abs_tol=TOLERANCE)


def logged_score(run: Run, *, iteration: int | None) -> Logged | None:
    """Return what the training logged after an iteration, or None where it did not evaluate there.

    Args:
        run: The training.
        iteration: Iterations that the weights were trained; None where that is not known.
    """
    values = [
        item.metrics['mIoU'] for item in run.evaluations if item.iteration == iteration and 'mIoU' in item.metrics
    ]
    return Logged(iteration, values[-1]) if iteration is not None and values else None


def render_scores(scores: Scores, *, class_names: Sequence[str], source: str, logged: Logged | None) -> str:
    """Return scores as aligned plain text, without a newline at the end.

    Args:
        scores: What was measured.
        class_names: Names by label.
        source: Where it was measured, such as `'87 val images'`.
        logged: What the training logged; None where nothing can be compared.
    """
    width = max(_NAME, 2 + min(_LONGEST_NAME, max(len(name) for name in class_names)))
    rows = [('class', 'IoU', 'Acc', 'of all pixels')]
    for name, iou, accuracy, share in zip(class_names, scores.iou, scores.accuracy, scores.share, strict=True):
        short = name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + '…'
        rows.append((short, _text(iou), _text(accuracy), _text(share)))
    rows.append(('mean', _text(scores.mean_iou), _text(scores.mean_accuracy), ''))
    rows.append(('all pixels', '', _text(scores.overall), ''))
    lines = [f'{row[0]:<{width}}{row[1]:>8}{row[2]:>15}{row[3]:>15}'.rstrip() for row in rows]
    lines += ['', f'{"measured on":<{_NAME}}{source}; values from 0 to 1, - where there is nothing to measure']
    if logged:
        verdict = 'the same' if logged.agrees(scores) else 'NOT the same: other data, options or precision?'
        lines.append(f'{"logged mIoU":<{_NAME}}{_text(logged.mean_iou)} at {logged.iteration} iterations, {verdict}')
    return '\n'.join(lines)


def scores_record(
    scores: Scores, *, class_names: Sequence[str], source: str, logged: Logged | None
) -> dict[str, object]:
    """Return scores as plain values that strict JSON can hold; what is not defined becomes None.

    Args:
        scores: What was measured.
        class_names: Names by label.
        source: Where it was measured, such as `'87 val images'`.
        logged: What the training logged; None where nothing can be compared.
    """
    classes = [
        {'name': name, 'IoU': _plain(iou), 'Acc': _plain(accuracy), 'of_all_pixels': _plain(share)}
        for name, iou, accuracy, share in zip(class_names, scores.iou, scores.accuracy, scores.share, strict=True)
    ]
    return {
        'measured': {
            'source': source,
            'mIoU': _plain(scores.mean_iou),
            'mAcc': _plain(scores.mean_accuracy),
            'aAcc': _plain(scores.overall),
            'classes': classes,
            'logged_mIoU': _plain(logged.mean_iou) if logged else None,
            'agrees_with_log': logged.agrees(scores) if logged else None,
        }
    }


def _text(value: float) -> str:
    return f'{value:.3f}' if math.isfinite(value) else '-'


def _plain(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
