"""The panoptic map is what detectron2's rules say, pixel by pixel."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip('mmdet', reason='the fusion builds on mmdet')

import torch
from mmengine.structures import InstanceData
from torch import Tensor

from resnest_mm.detection.panoptic.fusion import Detectron2FusionHead
from tests.support.panoptic_loops import fuse

THINGS, STUFF, HEIGHT, WIDTH = 4, 3, 10, 12


def head(**test_cfg: Any) -> Detectron2FusionHead:
    return Detectron2FusionHead(num_things_classes=THINGS, num_stuff_classes=STUFF, test_cfg=test_cfg)


def found(masks: Tensor, scores: list[float], labels: list[int]) -> InstanceData:
    return InstanceData(masks=masks, scores=torch.tensor(scores), labels=torch.tensor(labels, dtype=torch.long))


@pytest.mark.parametrize('seed', range(12))
@pytest.mark.parametrize('overlap', [0.0, 0.3, 0.5, 1.0])
def test_map_is_that_of_the_rules(seed: int, overlap: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    count = 6
    masks = torch.zeros(count, HEIGHT, WIDTH, dtype=torch.bool)
    for mask in masks:
        top, left = (int(torch.randint(0, most, (), generator=generator)) for most in (7, 8))
        high, wide = (int(torch.randint(0, 7, (), generator=generator)) for _ in range(2))
        mask[top : top + high, left : left + wide] = True
    scores = (torch.randint(2, 9, (count,), generator=generator) / 10).tolist()  # with ties, some below the threshold
    instances = found(masks, scores, torch.randint(0, THINGS, (count,), generator=generator).tolist())
    logits = (
        torch.randn(STUFF + 1, 4, 4, generator=generator).repeat_interleave(3, 1)[:, :HEIGHT].repeat_interleave(3, 2)
    )
    settings: dict[str, Any] = dict(score_thr=0.5, mask_overlap=overlap, stuff_area_limit=9)
    (fused,) = head(**settings).predict([instances], [logits])
    assert fused.sem_seg.shape == (1, HEIGHT, WIDTH)
    assert fused.sem_seg[0].tolist() == fuse(instances, logits, things=THINGS, **settings)


def test_cases_of_the_rules_differ() -> None:
    """The random cases above hold what each rule is about."""
    mask = torch.zeros(3, HEIGHT, WIDTH, dtype=torch.bool)
    mask[0, :, :4], mask[1, :, 2:6], mask[2, :, 5:9] = True, True, True
    instances = found(mask, [0.9, 0.8, 0.49], [0, 1, 2])
    logits = torch.zeros(STUFF + 1, HEIGHT, WIDTH)
    logits[1, :, 6:11], logits[2, :, 11:] = 1.0, 1.0
    (fused,) = head(stuff_area_limit=11).predict([instances], [logits])
    columns = fused.sem_seg[0, 0].tolist()
    assert columns == [
        1000,
        1000,
        1000,
        1000,
        2001,
        2001,
        4,
        4,
        4,
        4,
        4,
        7,
    ]  # half taken stays, 0.49 goes, 10 pixels go
    assert (fused.sem_seg[0] == fused.sem_seg[0, :1]).all()


def test_half_of_the_score_and_of_the_overlap_still_count() -> None:
    mask = torch.ones(1, HEIGHT, WIDTH, dtype=torch.bool)
    (fused,) = head().predict([found(mask, [0.5], [3])], [torch.zeros(STUFF + 1, HEIGHT, WIDTH)])
    assert (fused.sem_seg == 1003).all()


def test_image_without_instances_is_stuff_and_void() -> None:
    logits = torch.zeros(STUFF + 1, HEIGHT, WIDTH)
    logits[3, :, :6] = 1.0
    fusion = head(stuff_area_limit=60)
    instances = found(torch.zeros(0, HEIGHT, WIDTH, dtype=torch.bool), [], [])
    (fused,) = fusion.predict([instances], [logits])
    assert fused.sem_seg[0, 0].tolist() == [6] * 6 + [7] * 6 and fusion.void == 7


def test_stuff_labels_are_those_of_the_data_set() -> None:
    logits = torch.eye(STUFF + 1).reshape(STUFF + 1, 1, STUFF + 1)
    assert head().stuff_labels(logits).tolist() == [[7, 4, 5, 6]]


@pytest.mark.parametrize(
    ('test_cfg', 'error', 'message'),
    [
        ({'score_threshold': 0.5}, ValueError, "'score_threshold', which is unknown"),
        ({'score_thr': 50}, ValueError, 'score_thr=50 is out of range; allowed is 0 to 1'),
        ({'mask_overlap': '0.5'}, TypeError, "mask_overlap='0.5' must be a number"),
        ({'stuff_area_limit': -1}, ValueError, 'stuff_area_limit=-1 is out of range'),
    ],
)
def test_wrong_settings_are_refused(test_cfg: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        head(**test_cfg)


def test_settings_left_out_are_the_authors() -> None:
    assert head(score_thr=0.4).test_cfg == {'score_thr': 0.4, 'mask_overlap': 0.5, 'stuff_area_limit': 4096}
