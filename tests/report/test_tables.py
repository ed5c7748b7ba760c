"""The exact text of the tables and the exact values of their records."""

from __future__ import annotations

import json
import math

import numpy as np

from resnest_mm.report.class_scores import ClassScores, LoggedScore
from resnest_mm.report.logs.run import Evaluation, Run
from resnest_mm.report.summary import summarise
from resnest_mm.report.tables import class_scores_record, render_class_scores, render_summary, summary_record
from tests.report.runs import RUN, evaluation, point

SCORES = ClassScores(
    iou=np.array([0.75, 0.25, math.nan]),
    accuracy=np.array([0.875, math.nan, math.nan]),
    share=np.array([0.9, 0.1, 0.0]),
    overall=0.8125,
)
NAMES = ('background', 'disc', 'ring')


def test_class_table() -> None:
    expected = """\
class                    IoU            Acc  of all pixels
background             0.750          0.875          0.900
disc                   0.250              -          0.100
ring                       -              -          0.000
mean                   0.500          0.875
all pixels                            0.812

measured on         9 val images; values from 0 to 1, - where there is nothing to measure
logged mIoU         0.500 at 200 iterations, the same"""
    found = render_class_scores(SCORES, class_names=NAMES, source='9 val images', logged=LoggedScore(200, 0.5004))
    assert found == expected


def test_table_tells_when_the_log_says_otherwise() -> None:
    found = render_class_scores(SCORES, class_names=NAMES, source='9 val images', logged=LoggedScore(200, 0.62))
    assert found.endswith(
        '\nlogged mIoU         0.620 at 200 iterations, NOT the same: other data, options or precision?'
    )
    silent = render_class_scores(SCORES, class_names=NAMES, source='9 test images', logged=None)
    assert 'logged' not in silent


def test_long_names_keep_the_columns_aligned() -> None:
    names = ('background', 'conveyer belt, conveyor belt, conveyer, conveyor, transporter', 'screen door, screen')
    lines = render_class_scores(SCORES, class_names=names, source='9 val images', logged=None).split('\n')[:4]
    assert {len(line) for line in lines} == {38 + 38}
    assert lines[2].startswith('conveyer belt, conveyor belt, conve…     0.250')


def test_names_from_data_cannot_break_the_table() -> None:
    """A line break or an escape sequence in a class name changes neither the lines nor the terminal."""
    names = ('a\nb', '\x1b[2Jc', 'd')
    text = render_class_scores(SCORES, class_names=names, source='9 val images', logged=None)
    assert text.replace('\n', '').isprintable()
    assert text.splitlines()[1].startswith('a\\nb ')


def test_class_record_is_strict_json() -> None:
    found = class_scores_record(SCORES, class_names=NAMES, source='9 val images', logged=LoggedScore(200, 0.62))
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
    without = class_scores_record(SCORES, class_names=NAMES, source='9 val images', logged=None)['measured']
    assert isinstance(without, dict)
    assert (without['logged_mIoU'], without['agrees_with_log']) == (None, None)


def test_table() -> None:
    expected = """\
                        last       best mAP
evaluated at             159            106
mAP                    0.500          0.500
AP50                   0.750          0.800
AP75                   0.400          0.450

iterations          159 (in 2 runs, resumed)
duration            1 h 2 min 06 s (first to last log line: start-up, training, validation)
time per iteration  1.500 s (mean of the logged times, data loading included)
warning             the training diverged: logged losses that are not finite: 1, the first at iteration 50
checkpoint          work/iter_159.pth"""
    assert render_summary(summarise(RUN), checkpoint='work/iter_159.pth') == expected


def test_table_without_evaluation_and_logs() -> None:
    expected = """\
no evaluation logged

iterations          100
duration            1 min 15 s (training only: iterations x mean logged time; no text log found)
time per iteration  0.750 s (mean of the logged times, data loading included)"""
    run = Run(points=(point(50, seconds=0.5), point(100, seconds=1.0)), evaluations=())
    assert render_summary(summarise(run)) == expected


def test_table_of_a_segmentor() -> None:
    """The scores of the classes stand between the evaluations and the facts; mIoU decides on the best evaluation."""
    expected = """\
                        last      best mIoU
evaluated at             200            100
mIoU                   0.400          0.500
mAcc                   0.600          0.550

disc                   0.400

iterations          200
duration            1 min 40 s (training only: iterations x mean logged time; no text log found)
time per iteration  0.500 s (mean of the logged times, data loading included)"""
    scores = (Evaluation(100, {'mIoU': 0.5, 'mAcc': 0.55}), Evaluation(200, {'mIoU': 0.4, 'mAcc': 0.6}))
    summary = summarise(Run((point(10),), scores))
    assert render_summary(summary, class_table='disc                   0.400') == expected


def test_record_is_strict_json() -> None:
    run = Run((point(10),), (evaluation(20, 0.1, 0.2, math.nan),))
    record = json.loads(json.dumps(summary_record(summarise(run)), allow_nan=False))
    assert record == {
        'headline': 'mAP',
        'last': {'iteration': 20, 'metrics': {'mAP': 0.1, 'AP50': 0.2, 'AP75': None}},
        'best': {'iteration': 20, 'metrics': {'mAP': 0.1, 'AP50': 0.2, 'AP75': None}},
        'iterations': 20,
        'seconds': 10.0,
        'seconds_are': 'training only: iterations x mean logged time; no text log found',
        'seconds_per_iteration': 0.5,
        'parts': 1,
        'bad_losses': 0,
        'first_bad_loss': None,
    }
