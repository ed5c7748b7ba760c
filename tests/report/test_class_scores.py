"""The exact text of the table of classes, its record, and the comparison with what the training logged."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from resnest_mm.report.class_scores import Logged, logged_score, render_scores, scores_record
from resnest_mm.report.confusion import Scores
from resnest_mm.report.scalars import Evaluation, Run

SCORES = Scores(
    iou=np.array([0.75, 0.25, math.nan]),
    accuracy=np.array([0.875, math.nan, math.nan]),
    share=np.array([0.9, 0.1, 0.0]),
    overall=0.8125,
)
NAMES = ('background', 'disc', 'ring')


def test_table() -> None:
    expected = """\
class                    IoU            Acc  of all pixels
background             0.750          0.875          0.900
disc                   0.250              -          0.100
ring                       -              -          0.000
mean                   0.500          0.875
all pixels                            0.812

measured on         9 val images; values from 0 to 1, - where there is nothing to measure
logged mIoU         0.500 at 200 iterations, the same"""
    found = render_scores(SCORES, class_names=NAMES, source='9 val images', logged=Logged(200, 0.5004))
    assert found == expected


def test_table_tells_when_the_log_says_otherwise() -> None:
    found = render_scores(SCORES, class_names=NAMES, source='9 val images', logged=Logged(200, 0.62))
    assert found.endswith(
        '\nlogged mIoU         0.620 at 200 iterations, NOT the same: other data, options or precision?'
    )
    silent = render_scores(SCORES, class_names=NAMES, source='9 test images', logged=None)
    assert 'logged' not in silent


def test_long_names_keep_the_columns_aligned() -> None:
    names = ('background', 'conveyer belt, conveyor belt, conveyer, conveyor, transporter', 'screen door, screen')
    lines = render_scores(SCORES, class_names=names, source='9 val images', logged=None).split('\n')[:4]
    assert {len(line) for line in lines} == {38 + 38}
    assert lines[2].startswith('conveyer belt, conveyor belt, conve…     0.250')


def test_record_is_strict_json() -> None:
    found = scores_record(SCORES, class_names=NAMES, source='9 val images', logged=Logged(200, 0.62))
    assert json.loads(json.dumps(found, allow_nan=False)) == {
        'measured': {
            'source': '9 val images',
            'mIoU': 0.5,
            'mAcc': 0.875,
            'aAcc': 0.8125,
            'classes': [
                {'name': 'background', 'IoU': 0.75, 'Acc': 0.875, 'of_all_pixels': 0.9},
                {'name': 'disc', 'IoU': 0.25, 'Acc': None, 'of_all_pixels': 0.1},
                {'name': 'ring', 'IoU': None, 'Acc': None, 'of_all_pixels': 0.0},
            ],
            'logged_mIoU': 0.62,
            'agrees_with_log': False,
        }
    }
    without = scores_record(SCORES, class_names=NAMES, source='9 val images', logged=None)['measured']
    assert isinstance(without, dict)
    assert (without['logged_mIoU'], without['agrees_with_log']) == (None, None)


@pytest.mark.parametrize(
    ('value', 'same'), [(0.5009, True), (0.4991, True), (0.502, False), (0.498, False), (math.nan, False)]
)
def test_tolerance(value: float, same: bool) -> None:
    """Less than the three digits shown, more than mmseg's rounding."""
    assert Logged(200, value).agrees(SCORES) is same


@pytest.mark.parametrize(
    ('iteration', 'expected'),
    [(100, Logged(100, 0.4)), (200, Logged(200, 0.6)), (300, None), (150, None), (None, None)],
)
def test_only_the_evaluation_of_the_same_weights_is_compared(iteration: int | None, expected: Logged | None) -> None:
    evaluations = (
        Evaluation(100, {'mIoU': 0.4}),
        Evaluation(200, {'mIoU': 0.6, 'aAcc': 0.9}),
        Evaluation(300, {'aAcc': 0.9}),
    )
    assert logged_score(Run((), evaluations), iteration=iteration) == expected
