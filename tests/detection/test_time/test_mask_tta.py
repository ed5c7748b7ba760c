"""Boxes and masks merged over resized and flipped views, against the same written out in loops."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

pytest.importorskip('mmdet', reason='the model wraps mmdet detectors')

from mmdet.registry import MODELS as MMDET_MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

from resnest_mm.demo_data import DemoSettings, write_demo_data
from resnest_mm.detection.test_time.mask_tta import DetMaskTTAModel
from tests.support import tta_loops as loops
from tests.support.tta_models import PaintDetector, build, from_file, mask_rcnn, views_of

ORIGINAL = (53, 71)
SHAPES = ((64, 86), (96, 129))


def photos(count: int, size: tuple[int, int] = ORIGINAL) -> list[Tensor]:
    generator = torch.Generator().manual_seed(5)
    coarse = torch.rand(count, 3, 6, 8, generator=generator) * 255
    return list(torch.nn.functional.interpolate(coarse, size, mode='bilinear').clamp(0, 255).to(torch.uint8))


def as_numbers(sample: DetDataSample) -> tuple[list[list[float]], list[float], list[int]]:
    found = sample.pred_instances
    return found.bboxes.tolist(), found.scores.tolist(), found.labels.tolist()


def views(sample: DetDataSample) -> tuple[tuple[int, int], str | None]:
    return sample.img_shape, sample.flip_direction if sample.flip else None


def batch_boxes(model: Any, batch: Tensor, samples: list[DetDataSample]) -> list[list[loops.Detection]]:
    """The detector's own answers to a padded batch of views, in the views' coordinates."""
    alone = []
    for sample in samples:
        # The answer needs the factors of the view, and mmdet's cascade cannot turn masks back (they are not used here).
        factors = tuple(sample.img_shape[axis] / sample.ori_shape[axis] for axis in (1, 0))
        alone.append(DetDataSample(metainfo={**sample.metainfo, 'scale_factor': factors, 'flip': False}))
    found = [each.pred_instances for each in model.predict(batch, alone, rescale=False)]
    return [list(zip(each.bboxes.tolist(), each.scores.tolist(), each.labels.tolist(), strict=True)) for each in found]


def batch_map(model: Any, batch: Tensor, index: int, box: list[float], label: int) -> list[np.ndarray]:
    """The map of each mask head for one box in one view of a padded batch."""
    features = model.extract_feat(batch)
    rois, head = torch.tensor([[index, *box]]), model.roi_head
    if isinstance(head.mask_head, torch.nn.ModuleList):
        outputs = [head._mask_forward(stage, features, rois)['mask_preds'] for stage in range(head.num_stages)]
    else:
        outputs = [head._mask_forward(features, rois)['mask_preds']]
    return [output[0, label].sigmoid().double().numpy() for output in outputs]


def normalised(image: Tensor) -> np.ndarray:
    return (image.double().numpy() - 128) / 60


@torch.no_grad()
def merged_by_loops(
    model: Any, data: Any, index: int, *, batch_size: int = 3
) -> tuple[list[loops.Detection], list[np.ndarray]]:
    """Boxes and, pixel by pixel, the probability of each mask for one image of a batch of views."""
    single = [
        (inputs[index], samples[index]) for inputs, samples in zip(data['inputs'], data['data_samples'], strict=True)
    ]
    batches = []
    for each in loops.in_batches(single, batch_size):
        batch = loops.padded([normalised(inputs) for inputs, _ in each], divisor=32)
        batches.append((torch.tensor(batch, dtype=torch.float32), [sample for _, sample in each]))
    everything = []
    for batch, samples in batches:
        for sample, found in zip(samples, batch_boxes(model, batch, samples), strict=True):
            for box, score, label in found:
                everything.append((loops.box_in_image(box, sample.ori_shape, *views(sample)), score, label))
    detections = loops.suppress(loops.with_area(everything, ORIGINAL), threshold=0.5, most=100)
    masks = []
    for box, _, label in detections if model.with_mask else []:
        maps = []
        for batch, samples in batches:
            for place, sample in enumerate(samples):
                shape, direction = views(sample)
                there = loops.box_in_view(box, sample.ori_shape, shape, direction)
                maps += [loops.unflip(each, direction) for each in batch_map(model, batch, place, there, label)]
        masks.append(loops.paste(sum(maps) / len(maps), box, ORIGINAL))
    return detections, masks


def check_against_loops(sample: DetDataSample, expected: tuple[list[loops.Detection], list[np.ndarray]]) -> None:
    boxes, scores, labels = as_numbers(sample)
    detections, probabilities = expected
    assert labels == [label for _, _, label in detections]
    assert scores == pytest.approx([score for _, score, _ in detections], abs=1e-5)
    for box, (wanted, _, _) in zip(boxes, detections, strict=True):
        assert box == pytest.approx(wanted, abs=1e-3)
    masks = sample.pred_instances.masks.numpy()
    assert masks.shape == (len(detections), *ORIGINAL) and masks.dtype == bool
    for mask, probability in zip(masks, probabilities, strict=True):
        clear = abs(probability - 0.5) > 1e-4
        assert clear.mean() > 0.99
        assert np.array_equal(mask[clear], probability[clear] >= 0.5)


DETECTORS = {
    'mask-rcnn': None,
    'cascade-one-mask-head': 'resnest_mm.Detectron2CascadeRoIHead',
    'cascade-two-mask-heads': 'CascadeRoIHead',
}


@pytest.fixture(scope='module', params=DETECTORS)
def detector(request: pytest.FixtureRequest) -> Any:
    return build(mask_rcnn(cascade=DETECTORS[request.param]))


@pytest.mark.parametrize('options', [{}, {'batch_size': 1}], ids=['three-views-at-once', 'one'])
def test_two_images_in_four_views_are_merged_as_by_loops(detector: Any, options: dict[str, int]) -> None:
    """Three consecutive views of an image share a batch and its padding; the fourth is alone."""
    data = views_of(photos(2), shapes=SHAPES, flips=(None, 'horizontal'))
    merged = DetMaskTTAModel(module=detector, **options).test_step(data)
    assert [sample.img_id for sample in merged] == [0, 1]
    for index, sample in enumerate(merged):
        expected = merged_by_loops(detector, data, index, **options)
        assert len(expected[0]) > 1
        shares = [(probability >= 0.5).mean() for probability in expected[1]]
        assert max(shares) > 0.01
        check_against_loops(sample, expected)


def test_vertical_and_diagonal_flips_are_turned_back() -> None:
    model = build(mask_rcnn())
    data = views_of(photos(1), shapes=SHAPES[:1], flips=('vertical', 'diagonal'))
    (sample,) = DetMaskTTAModel(module=model).test_step(data)
    check_against_loops(sample, merged_by_loops(model, data, 0))


@torch.no_grad()
def test_one_view_of_the_image_as_it_is_equals_the_detector(detector: Any) -> None:
    data = views_of(photos(2), shapes=[ORIGINAL], flips=[None])
    merged = DetMaskTTAModel(module=detector).test_step(copy.deepcopy(data))
    plain = detector.test_step({key: value[0] for key, value in data.items()})
    for ours, theirs in zip(merged, plain, strict=True):
        assert len(theirs.pred_instances) > 1
        for key in ('bboxes', 'scores', 'labels', 'masks'):
            torch.testing.assert_close(ours.pred_instances[key], theirs.pred_instances[key])


@pytest.mark.parametrize('batch_size', [1, 2, 3, 5])
def test_a_detector_without_masks_ends_with_the_boxes(batch_size: int) -> None:
    model = build(mask_rcnn(masks=False))
    data = views_of(photos(1), shapes=SHAPES, flips=(None, 'horizontal'))
    (sample,) = DetMaskTTAModel(module=model, keep_features=False, batch_size=batch_size).test_step(data)
    assert sorted(sample.pred_instances.keys()) == ['bboxes', 'labels', 'scores']
    expected, _ = merged_by_loops(model, data, 0, batch_size=batch_size)
    boxes, scores, labels = as_numbers(sample)
    assert len(expected) > 1
    assert labels == [label for _, _, label in expected]
    assert scores == pytest.approx([score for _, score, _ in expected], abs=1e-5)
    assert [pytest.approx(box, abs=1e-3) for box, _, _ in expected] == boxes


def test_views_that_share_a_batch_change_each_others_scores() -> None:
    """Split attention averages over the padding: this is why the number of views in a batch is part of the recipe."""
    model = build(mask_rcnn(masks=False))
    data = views_of(photos(1), shapes=SHAPES, flips=(None, 'horizontal'))
    alone, together = (
        as_numbers(DetMaskTTAModel(module=model, batch_size=size).test_step(copy.deepcopy(data))[0])[1]
        for size in (1, 3)
    )
    assert alone != pytest.approx(together, abs=1e-3)


@pytest.mark.parametrize('keep', [True, False])
def test_an_image_is_tested_as_if_it_were_the_only_one(keep: bool) -> None:
    """The padding of a larger image in the same batch of the data loader does not reach a smaller one."""
    model = build(mask_rcnn())
    small, large = photos(1), photos(1, (90, 121))
    alone = views_of(small, shapes=SHAPES, flips=(None, 'horizontal'))
    beside = views_of(large, shapes=((128, 172), (120, 161)), flips=(None, 'horizontal'))
    both = {key: [[*mine, *theirs] for mine, theirs in zip(alone[key], beside[key], strict=True)] for key in alone}
    tested = DetMaskTTAModel(module=model, keep_features=keep)
    (expected,) = tested.test_step(copy.deepcopy(alone))
    found = tested.test_step(both)[0]
    for key in ('bboxes', 'scores', 'labels', 'masks'):
        assert torch.equal(found.pred_instances[key], expected.pred_instances[key])


def test_threshold_nms_and_number_of_boxes_are_those_asked_for() -> None:
    model = build(mask_rcnn(masks=False))
    data = views_of(photos(1), shapes=SHAPES, flips=(None, 'horizontal'))

    def scores(**options: Any) -> list[float]:
        return as_numbers(DetMaskTTAModel(module=model, **options).test_step(copy.deepcopy(data))[0])[1]

    default = scores()
    everything = scores(nms={'type': 'nms', 'iou_threshold': 1.0})
    assert len(everything) > len(default) > 2
    assert scores(max_per_img=2) == default[:2]
    assert scores(score_thr=default[1]) == default[:1]


def test_features_that_are_not_kept_are_computed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The four views are two batches, of three and of one."""
    model = build(mask_rcnn())
    data = views_of(photos(1), shapes=SHAPES, flips=(None, 'horizontal'))
    calls: list[str] = []
    extract, head = model.extract_feat, model.roi_head.mask_head.forward
    monkeypatch.setattr(model, 'extract_feat', lambda x: calls.append('features') or extract(x))
    monkeypatch.setattr(model.roi_head.mask_head, 'forward', lambda x: calls.append('masks') or head(x))
    results = []
    for keep in (True, False):
        calls.clear()
        results.append(DetMaskTTAModel(module=model, keep_features=keep).test_step(copy.deepcopy(data))[0])
        # The mask head is not asked for the boxes of single views, only for the merged ones.
        expected = ['features'] * 2 + ['masks'] * 2 if keep else ['features'] * 2 + ['features', 'masks'] * 2
        assert calls == expected
    for key in ('bboxes', 'scores', 'labels', 'masks'):
        assert torch.equal(results[0].pred_instances[key], results[1].pred_instances[key])


def l_shape(height: int, width: int, *, top: int, left: int) -> np.ndarray:
    """An L of 40x20 pixels: 40 high and 8 wide, with a foot of 10x20."""
    image = np.zeros((height, width), dtype=np.uint8)
    image[top : top + 40, left : left + 8] = 255
    image[top + 30 : top + 40, left : left + 20] = 255
    return image


PAINT_PIPELINE = [
    {'type': 'LoadImageFromFile', 'imdecode_backend': 'pillow'},
    {'type': 'Resize', 'scale': (267, 160), 'keep_ratio': True, 'backend': 'pillow'},
    {
        'type': 'TestTimeAug',
        'transforms': [
            [
                {'type': 'Resize', 'scale': (800, short), 'keep_ratio': True, 'backend': 'pillow'}
                for short in (120, 200, 240)
            ],
            [{'type': 'RandomFlip', 'prob': 0.0}, {'type': 'RandomFlip', 'prob': 1.0}],
            [{'type': 'PackDetInputs'}],
        ],
    },
]


def test_views_of_a_resized_image_are_brought_back_to_the_image_file(tmp_path: Path) -> None:
    cv2 = pytest.importorskip('cv2')
    image = l_shape(83, 121, top=17, left=71)
    cv2.imwrite(str(tmp_path / 'l.png'), image.repeat(3).reshape(83, 121, 3))
    data = from_file(str(tmp_path / 'l.png'), PAINT_PIPELINE)
    assert len(data['inputs']) == 6
    (sample,) = DetMaskTTAModel(module=PaintDetector()).test_step(data)
    (box,), (score,), (label,) = as_numbers(sample)
    assert box == pytest.approx([71, 17, 91, 57], abs=0.7)
    assert (score, label) == (pytest.approx(0.9), 0)
    (mask,) = sample.pred_instances.masks.numpy()
    assert mask.shape == (83, 121)
    painted = image > 0
    assert (mask & painted).sum() / (mask | painted).sum() > 0.9
    assert (sample.img_id, sample.ori_shape) == (7, (83, 121))


def test_why_the_recorded_scale_factor_is_not_used(tmp_path: Path) -> None:
    """mmcv's Resize records the factors of the last resize alone, and mmdet's own TTA trusts them."""
    cv2 = pytest.importorskip('cv2')
    cv2.imwrite(str(tmp_path / 'l.png'), np.zeros((83, 121, 3), dtype=np.uint8))
    data = from_file(str(tmp_path / 'l.png'), PAINT_PIPELINE)
    view = data['data_samples'][0][0]
    assert view.img_shape == (120, 175) and view.ori_shape == (83, 121)
    assert view.scale_factor == (175 / 233, 120 / 160)


def test_images_without_detections_get_no_masks_and_leave_the_others_alone() -> None:
    images = [torch.zeros(3, *ORIGINAL, dtype=torch.uint8) for _ in range(3)]
    images[1][:, 10:40, 20:50] = 255
    model = DetMaskTTAModel(module=PaintDetector())
    found = model.test_step(views_of(images, shapes=[(106, 142)], flips=(None, 'horizontal')))
    assert [len(sample.pred_instances) for sample in found] == [0, 1, 0]
    assert [tuple(sample.pred_instances.masks.shape) for sample in found] == [(0, 53, 71), (1, 53, 71), (0, 53, 71)]
    assert found[1].pred_instances.bboxes[0].tolist() == pytest.approx([20, 10, 50, 40], abs=0.7)
    mask = found[1].pred_instances.masks[0].numpy()
    assert mask[11:39, 21:49].all() and mask.sum() < 1.1 * 900
    (alone,) = model.test_step(views_of(images[:1], shapes=[(106, 142)], flips=[None]))
    assert alone.pred_instances.masks.shape == (0, 53, 71)


def test_no_graph_is_kept() -> None:
    model = build(mask_rcnn())
    (sample,) = DetMaskTTAModel(module=model).test_step(views_of(photos(1), shapes=SHAPES[:1], flips=[None]))
    assert not sample.pred_instances.bboxes.requires_grad and not sample.pred_instances.scores.requires_grad


def test_a_padded_view_is_refused() -> None:
    data = views_of(photos(1), shapes=[ORIGINAL], flips=[None])
    data['data_samples'][0][0].set_metainfo({'img_shape': (64, 96)})
    with pytest.raises(ValueError, match='tta_pipeline may only resize'):
        DetMaskTTAModel(module=PaintDetector()).test_step(data)


def test_configs_build_it_and_stay_as_they_are() -> None:
    module = mask_rcnn()
    preprocessor = module.pop('data_preprocessor')
    before = copy.deepcopy(module.to_dict())
    with DefaultScope.overwrite_default_scope('mmdet'):
        model = MODELS.build(
            {'type': 'resnest_mm.DetMaskTTAModel', 'module': module, 'data_preprocessor': preprocessor}
        )
    assert type(model) is DetMaskTTAModel
    assert model.module.data_preprocessor.pad_size_divisor == 32
    assert module.to_dict() == before


def refuse(module: Any) -> str:
    with pytest.raises(ValueError) as caught:
        DetMaskTTAModel(module=module)
    return str(caught.value)


@pytest.mark.parametrize('kind', ['PointRendRoIHead', 'MaskScoringRoIHead', 'HybridTaskCascadeRoIHead'])
def test_mask_branches_that_work_otherwise_are_refused(kind: str) -> None:
    model = PaintDetector()
    found = MMDET_MODELS.get(kind)
    model.roi_head.__class__ = type(kind, (found,), {'with_mask': True, 'with_bbox': True})
    assert f'has a {kind}, which has its own way of prediction' in refuse(model)


def test_detectors_of_another_kind_are_refused() -> None:
    for kind, reason in (
        ('RetinaNet', 'has no RPN; use mmdet.DetTTAModel'),
        ('FastRCNN', 'has no RPN'),
        ('PanopticFPN', 'has its own way of prediction'),
    ):
        model = PaintDetector()
        model.__class__ = MMDET_MODELS.get(kind)
        if kind == 'FastRCNN':
            model.rpn_head = None
        assert reason in refuse(model)


@pytest.mark.parametrize(
    ('error', 'wrong'),
    [
        (ValueError, {'score_thr': 1.0}),
        (TypeError, {'score_thr': '0.1'}),
        (ValueError, {'max_per_img': 0}),
        (TypeError, {'max_per_img': 100.0}),
        (TypeError, {'keep_features': 1}),
        (ValueError, {'batch_size': 0}),
        (TypeError, {'batch_size': True}),
        (TypeError, {'batch_size': 3.0}),
        (TypeError, {'nms': 0.5}),
        (ValueError, {'nms': {'type': 'nms'}}),
        (ValueError, {'data_preprocessor': {'type': 'DetDataPreprocessor'}}),
        (TypeError, {'tta_cfg': {}}),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_wrong_arguments_are_refused_by_name(error: type[Exception], wrong: dict[str, Any]) -> None:
    with pytest.raises(error, match=next(iter(wrong))):
        DetMaskTTAModel(module=PaintDetector(), **wrong)


CONFIG = """\
default_scope = 'mmdet'
data_root = 'demo/'
model = {model}
load = [dict(type='LoadImageFromFile', imdecode_backend='pillow'),
        dict(type='Resize', scale=(160, 96), keep_ratio=True, backend='pillow')]
tta_model = dict(type='resnest_mm.DetMaskTTAModel', max_per_img=20)
tta_pipeline = [*load, dict(type='TestTimeAug', transforms=[
    [dict(type='Resize', scale=(400, short), keep_ratio=True, backend='pillow') for short in (64, 128)],
    [dict(type='RandomFlip', prob=0.0), dict(type='RandomFlip', prob=1.0)],
    [dict(type='PackDetInputs')]])]
test_dataloader = dict(
    batch_size=2, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='CocoDataset', data_root=data_root, ann_file='annotations/instances_val.json', test_mode=True,
                 data_prefix=dict(img='val/'), metainfo=dict(classes=('disc', 'triangle', 'square')),
                 pipeline=[*load, dict(type='PackDetInputs')]))
test_evaluator = dict(type='CocoMetric', ann_file=data_root + 'annotations/instances_val.json',
                      metric=['bbox', 'segm'])
test_cfg = dict(type='TestLoop')
"""


@pytest.mark.slow
def test_the_test_tool_merges_views_of_a_data_set(tmp_path: Path, repository: Path) -> None:
    mask_utils = pytest.importorskip('pycocotools.mask')
    write_demo_data(tmp_path / 'demo', settings=DemoSettings(images=1, size=72))
    model = build(mask_rcnn())
    torch.save({'state_dict': model.state_dict()}, tmp_path / 'tiny.pth')
    (tmp_path / 'tiny.py').write_text(CONFIG.format(model=mask_rcnn().to_dict()), encoding='utf-8')
    command = [sys.executable, str(repository / 'tools' / 'test.py'), 'tiny.py', 'tiny.pth', '--tta', '--out', 'r.pkl']
    env = {key: value for key, value in os.environ.items() if key != 'LOCAL_RANK'}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert 'coco/bbox_mAP' in done.stdout and 'coco/segm_mAP' in done.stdout
    results = pickle.loads((tmp_path / 'r.pkl').read_bytes())
    assert len(results) == 8
    pipeline = Config.fromfile(tmp_path / 'tiny.py').tta_pipeline
    for result in results[::4]:
        data = from_file(str(tmp_path / result['img_path']), pipeline)
        (expected,) = DetMaskTTAModel(module=model, max_per_img=20).test_step(data)
        found = result['pred_instances']
        assert 1 < len(found['bboxes']) <= 20
        torch.testing.assert_close(found['bboxes'], expected.pred_instances.bboxes, atol=1e-2, rtol=1e-3)
        masks = np.stack([mask_utils.decode(mask) for mask in found['masks']])
        assert masks.shape[1:] == (72, 72)
        assert (masks != expected.pred_instances.masks.numpy()).mean() < 1e-3
