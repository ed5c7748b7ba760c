"""What a detection config really builds after the proposals: the box heads, the mask head, the test."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import TASK_UTILS
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from tests.support.shipped_configs import many

SIDES = (10, 111, 113, 223, 225, 447, 449, 2000)


def name_of(thing: Any) -> str:
    """Return the class of something as a config writes it: with the scope where it is this package's."""
    kind = type(thing)
    return f'resnest_mm.{kind.__name__}' if kind.__module__.startswith('resnest_mm.') else kind.__name__


def count_norms(module: nn.Module) -> int:
    """Return how many batch norms are in a module."""
    return sum(isinstance(layer, _BatchNorm) for layer in module.modules())


def shapes(module: nn.Module) -> tuple[tuple[int, int, int], ...]:
    """Return (in, out, kernel) of the convolutions of a module in their order."""
    convs = [layer for layer in module.modules() if isinstance(layer, nn.Conv2d)]
    return tuple((conv.in_channels, conv.out_channels, conv.kernel_size[0]) for conv in convs)


def each(value: Any) -> list[Any]:
    """Return the modules of a list of modules, or the one module."""
    return list(value) if isinstance(value, nn.ModuleList) else [value]


def alike(values: Sequence[Any]) -> Any:
    """Return what all stages have, or everything that they have where they differ."""
    return values[0] if all(value == values[0] for value in values) else tuple(values)


def observe_roi_head(cfg: Config, model: Any) -> Iterator[tuple[str, Any]]:
    """Yield what finds boxes and masks in the proposals."""
    roi_head = model.roi_head
    heads = each(roi_head.bbox_head)
    yield 'roi head', name_of(roi_head)
    yield 'boxes: heads', len(heads)
    yield from _observe_pooling('boxes', each(roi_head.bbox_roi_extractor))
    for key in dict(_observe_box_head(heads[0])):
        yield key, alike([dict(_observe_box_head(head))[key] for head in heads])
    yield 'boxes, head: means of deltas', {tuple(head.bbox_coder.means) for head in heads}
    yield 'boxes, deviations of deltas by stage', tuple(tuple(head.bbox_coder.stds) for head in heads)
    weights = getattr(roi_head, 'stage_loss_weights', None)
    yield 'boxes, weights of stages', weights and tuple(weights)
    yield from _observe_training(many(cfg.model.train_cfg.rcnn))
    test = cfg.model.test_cfg.rcnn
    yield (
        'test: least score, NMS, overlap, boxes',
        (
            test.score_thr,
            test.nms.type,
            test.nms.iou_threshold,
            test.max_per_img,
        ),
    )
    if roi_head.with_mask:
        yield from _observe_masks(cfg, roi_head)
    else:
        yield 'masks, head', None


def _observe_box_head(head: Any) -> Iterator[tuple[str, Any]]:
    convs = [layer for layer in head.modules() if isinstance(layer, nn.Conv2d)]
    outputs = (head.fc_cls, head.fc_reg)
    linear = [layer for layer in head.modules() if isinstance(layer, nn.Linear) and layer not in outputs]
    yield 'boxes, head: class', name_of(head)
    yield (
        'boxes, head: convolutions (in, out, kernel), biases',
        (shapes(head), sum(conv.bias is not None for conv in convs)),
    )
    yield 'boxes, head: norms', count_norms(head)
    yield (
        'boxes, head: linear layers before the outputs (in, out)',
        tuple((layer.in_features, layer.out_features) for layer in linear),
    )
    yield 'boxes, head: classes', head.num_classes
    yield 'boxes, head: outputs of the classifier', (head.fc_cls.in_features, head.fc_cls.out_features)
    yield 'boxes, head: outputs of the boxes, agnostic of class', (head.fc_reg.out_features, head.reg_class_agnostic)
    loss = head.loss_cls
    yield 'boxes, head: class loss, sigmoid, weight', (name_of(loss), loss.use_sigmoid, loss.loss_weight)
    loss = head.loss_bbox
    yield 'boxes, head: box loss, weight, decodes', (name_of(loss), loss.loss_weight, head.reg_decoded_bbox)


def _observe_pooling(what: str, extractors: list[Any]) -> Iterator[tuple[str, Any]]:
    layers = [layer for extractor in extractors for layer in extractor.roi_layers]
    yield (
        f'{what}, pooling: layer, size, samples, aligned',
        {(name_of(layer), layer.output_size, layer.sampling_ratio, layer.aligned) for layer in layers},
    )
    yield f'{what}, pooling: strides', alike([tuple(extractor.featmap_strides) for extractor in extractors])
    squares = torch.tensor([[0.0, 0.0, 0.0, side, side] for side in SIDES])
    levels = [
        {side: 2 + int(level) for side, level in zip(SIDES, extractor.map_roi_levels(squares, 4), strict=True)}
        for extractor in extractors
    ]
    yield f'{what}, pooling: level of a square by its side', alike(levels)


def _observe_training(stages: list[Any]) -> Iterator[tuple[str, Any]]:
    assigners = [TASK_UTILS.build(stage.assigner) for stage in stages]
    yield 'boxes, assigner', {name_of(assigner) for assigner in assigners}
    yield (
        'boxes, assigner: matches of low quality, ignored by crowds',
        {(assigner.match_low_quality, assigner.ignore_iof_thr) for assigner in assigners},
    )
    yield (
        'boxes, overlaps by stage: least of positives, most of negatives, least of matches',
        tuple((assigner.pos_iou_thr, assigner.neg_iou_thr, assigner.min_pos_iou) for assigner in assigners),
    )
    yield 'boxes, stages that sample', tuple(stage.get('sampler') is not None for stage in stages)
    sampler = TASK_UTILS.build(stages[0].sampler)
    yield (
        'boxes, first sampler: kind, boxes, share of positives, adds objects, limit of negatives',
        (name_of(sampler), sampler.num, sampler.pos_fraction, sampler.add_gt_as_proposals, sampler.neg_pos_ub),
    )
    yield 'boxes, weight of positives', {stage.pos_weight for stage in stages}


def _observe_masks(cfg: Config, roi_head: Any) -> Iterator[tuple[str, Any]]:
    head = roi_head.mask_head
    yield 'masks, head', name_of(head)
    yield 'masks, head: convolutions (in, out, kernel)', shapes(head.convs)
    yield 'masks, head: norms', count_norms(head)
    yield (
        'masks, head: biases of convolutions',
        sum(layer.bias is not None for layer in head.convs.modules() if isinstance(layer, nn.Conv2d)),
    )
    up = head.upsample
    yield (
        'masks, head: enlarging layer (in, out, kernel, stride)',
        (
            type(up).__mro__[1].__name__ if type(up).__module__.startswith('mmcv') else type(up).__name__,
            up.in_channels,
            up.out_channels,
            up.kernel_size[0],
            up.stride[0],
        ),
    )
    predictor = head.conv_logits
    yield (
        'masks, head: predictor (in, out, kernel)',
        (predictor.in_channels, predictor.out_channels, predictor.kernel_size[0]),
    )
    yield 'masks, head: masks agnostic of class', head.class_agnostic
    loss = head.loss_mask
    yield (
        'masks, head: loss, over pixels of a mask, weight',
        (name_of(loss), loss.use_mask, loss.loss_weight),
    )
    yield from _observe_pooling('masks', each(roi_head.mask_roi_extractor))
    yield 'masks: pixels of a target', many(cfg.model.train_cfg.rcnn)[0].mask_size
    yield 'masks: least probability in the test', cfg.model.test_cfg.rcnn.mask_thr_binary
