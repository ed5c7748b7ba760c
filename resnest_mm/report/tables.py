"""The summary and the scores of the classes as aligned text for people, and as plain values for `report.json`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

from resnest_mm.errors import printable
from resnest_mm.report.class_scores import ClassScores, LoggedScore
from resnest_mm.report.logs.run import Evaluation
from resnest_mm.report.summary import Summary

_NAME: Final = 20
_LONGEST_NAME: Final = 36


def render_summary(summary: Summary, *, checkpoint: str | None = None, class_table: str | None = None) -> str:
    """Return the summary as aligned plain text, without a newline at the end.

    Args:
        summary: The training in numbers.
        checkpoint: The checkpoint that the report shows.
        class_table: The scores of this checkpoint for each class; they follow the evaluations.
    """
    lines: list[str] = []
    if summary.last and summary.best:
        best = f'best {summary.headline}' if summary.headline else 'last'
        lines += [f'{"":<20}{"last":>8}{best:>15}', _row('evaluated at', summary.last, summary.best)]
        lines += [_row(name, summary.last, summary.best) for name in summary.last.metrics]
    else:
        lines += ['no evaluation logged']
    lines += ['', class_table] if class_table else []
    facts = {'iterations': _parts(summary), 'duration': _duration(summary), 'time per iteration': _pace(summary)}
    if summary.bad_losses:
        first = f'the first at iteration {summary.first_bad_loss}'
        facts['warning'] = f'the training diverged: logged losses that are not finite: {summary.bad_losses}, {first}'
    if checkpoint:
        facts['checkpoint'] = checkpoint
    return '\n'.join([*lines, '', *(f'{name:<20}{value}' for name, value in facts.items())])


def summary_record(summary: Summary) -> dict[str, object]:
    """Return the summary as plain values that strict JSON can hold; numbers that are not finite become None.

    Args:
        summary: The training in numbers.
    """
    return {
        'headline': summary.headline,
        'last': _plain_evaluation(summary.last),
        'best': _plain_evaluation(summary.best),
        'iterations': summary.iterations,
        'seconds': summary.seconds,
        'seconds_are': summary.seconds_are,
        'seconds_per_iteration': summary.seconds_per_iteration,
        'parts': summary.parts,
        'bad_losses': summary.bad_losses,
        'first_bad_loss': summary.first_bad_loss,
    }


def render_class_scores(
    scores: ClassScores, *, class_names: Sequence[str], source: str, logged: LoggedScore | None
) -> str:
    """Return scores as aligned plain text, without a newline at the end.

    Args:
        scores: The measured scores.
        class_names: Names by label.
        source: The images of the measurement, such as `'87 val images'`.
        logged: The mIoU that the training logged; None where there is none to compare with.
    """
    names = [printable(name) for name in class_names]
    width = max(_NAME, 2 + min(_LONGEST_NAME, max(map(len, names))))
    rows = [('class', 'IoU', 'Acc', 'of all pixels')]
    for name, iou, accuracy, share in zip(names, scores.iou, scores.accuracy, scores.share, strict=True):
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


def class_scores_record(
    scores: ClassScores, *, class_names: Sequence[str], source: str, logged: LoggedScore | None
) -> dict[str, object]:
    """Return scores as plain values that strict JSON can hold; undefined scores become None.

    Args:
        scores: The measured scores.
        class_names: Names by label.
        source: The images of the measurement, such as `'87 val images'`.
        logged: The mIoU that the training logged; None where there is none to compare with.
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


def _row(name: str, last: Evaluation, best: Evaluation) -> str:
    cells = [str(item.iteration) if name == 'evaluated at' else _value(item.metrics.get(name)) for item in (last, best)]
    return f'{name:<20}{cells[0]:>8}{cells[1]:>15}'


def _value(value: float | None) -> str:
    return '-' if value is None else f'{value:.3f}'


def _parts(summary: Summary) -> str:
    return f'{summary.iterations}' + (f' (in {summary.parts} runs, resumed)' if summary.parts > 1 else '')


def _duration(summary: Summary) -> str:
    if summary.seconds is None:
        return 'not logged'
    minutes, seconds = divmod(round(summary.seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return (f'{hours} h ' if hours else '') + f'{minutes} min {seconds:02d} s ({summary.seconds_are})'


def _pace(summary: Summary) -> str:
    if summary.seconds_per_iteration is None:
        return 'not logged'
    return f'{summary.seconds_per_iteration:.3f} s (mean of the logged times, data loading included)'


def _plain_evaluation(evaluation: Evaluation | None) -> Mapping[str, object] | None:
    if evaluation is None:
        return None
    metrics = {name: _plain(value) for name, value in evaluation.metrics.items()}
    return {'iteration': evaluation.iteration, 'metrics': metrics}


def _text(value: float) -> str:
    return f'{value:.3f}' if math.isfinite(value) else '-'


def _plain(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
