"""What a detection config really builds up to the proposals: backbone, neck and RPN without memory, and weights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import TASK_UTILS
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from tests.support.recipes.detection_heads import count_norms, name_of, shapes


def build(cfg: Config) -> Any:
    """Return the model in training mode on the meta device: shapes, no values."""
    from mmdet.registry import MODELS

    with torch.device('meta'):
        return MODELS.build(cfg.model).train()


def observe_model(model: Any) -> Iterator[tuple[str, Any]]:
    """Yield what the built detector is, without its RoI head."""
    # NormalizedSequential only holds norms
    layers = [layer for layer in model.modules() if not isinstance(layer, nn.Sequential)]
    norms = [layer for layer in layers if 'Norm' in type(layer).__name__ or isinstance(layer, _BatchNorm)]
    fixed = [name for name, parameter in model.named_parameters() if not parameter.requires_grad]
    yield 'detector', name_of(model)
    yield 'norms', {name_of(layer) for layer in norms}
    yield 'norms: eps, momentum', {(layer.eps, layer.momentum) for layer in norms}
    yield 'norms in evaluation while training', sum(not layer.training for layer in norms)
    yield 'parameters without gradient: where', {'.'.join(name.split('.')[:2]) for name in fixed}
    frozen = (model.backbone.stem, model.backbone.layer1)
    yield (
        'parameters of stem and first stage with gradient',
        sum(parameter.requires_grad for part in frozen for parameter in part.parameters()),
    )
    yield from _observe_backbone(model.backbone)
    yield from _observe_neck(model.neck)
    yield from _observe_rpn(model)


def _observe_backbone(backbone: Any) -> Iterator[tuple[str, Any]]:
    stages = [getattr(backbone, f'layer{index}') for index in (1, 2, 3, 4)]
    attentions = [[block.conv2 for block in stage] for stage in stages]
    splits = [attention.conv for stage in attentions for attention in stage]
    stem = [layer for layer in backbone.stem.modules() if isinstance(layer, nn.Conv2d)]
    pool = backbone.maxpool
    yield 'backbone', name_of(backbone)
    yield 'backbone: blocks by stage', tuple(map(len, stages))
    yield (
        'backbone, stem: in, out, kernel, stride',
        tuple((conv.in_channels, conv.out_channels, conv.kernel_size[0], conv.stride[0]) for conv in stem),
    )
    yield 'backbone, max pool: kernel, stride, padding', (pool.kernel_size, pool.stride, pool.padding)
    every = [attention for stage in attentions for attention in stage]
    widths = tuple(width for stage in attentions for width in {attention.conv.in_channels for attention in stage})
    (radix,), (groups,) = {attention.radix for attention in every}, {attention.groups for attention in every}
    yield 'backbone: radix, groups, base width of blocks', (radix, groups, widths)
    yield (
        'backbone: channels of the attention by stage',
        tuple(width for stage in attentions for width in {attention.fc1.out_channels for attention in stage}),
    )
    several = 'backbone, convolutions of several splits'
    yield (
        f'{several}: strides, dilations, groups',
        (
            {stride for conv in splits for stride in conv.stride},
            {dilation for conv in splits for dilation in conv.dilation},
            {conv.groups for conv in splits},
        ),
    )
    yield (
        f'{several}: output channels by stage',
        tuple(width for stage in attentions for width in {attention.conv.out_channels for attention in stage}),
    )
    pools = [(name, layer) for name, layer in backbone.named_modules() if isinstance(layer, nn.AvgPool2d)]
    yield (
        'backbone, average pools: place, kernel, stride, padding',
        tuple(sorted((_place(name), pool.kernel_size, pool.stride, pool.padding) for name, pool in pools)),
    )
    yield (
        'backbone, average pools in shortcuts: ceil mode, count padding',
        {(pool.ceil_mode, pool.count_include_pad) for name, pool in pools if '.downsample.' in name},
    )
    yield from _observe_deformable(attentions)


def _place(name: str) -> str:
    """Return the block of a layer, and whether the layer is in the block's shortcut."""
    stage, block, layer, *_ = name.split('.')
    return f'{stage}.{block}.{layer}' if layer == 'downsample' else f'{stage}.{block}'


def _observe_deformable(attentions: list[list[Any]]) -> Iterator[tuple[str, Any]]:
    from mmcv.ops import ModulatedDeformConv2d

    deformable = [[entry.conv for entry in stage if not isinstance(entry.conv, nn.Conv2d)] for stage in attentions]
    yield 'backbone, deformable convolutions by stage', tuple(map(len, deformable))
    layers = [conv for stage in deformable for conv in stage]
    if not layers:
        return
    assert all(isinstance(conv, ModulatedDeformConv2d) and conv.deform_groups == 2 for conv in layers)
    offsets = [conv.conv_offset for conv in layers]
    yield (
        'backbone, offsets (channels, groups, bias, kernel)',
        {(conv.out_channels, conv.groups, conv.bias is not None, conv.kernel_size[0]) for conv in offsets},
    )


def _observe_neck(neck: Any) -> Iterator[tuple[str, Any]]:
    convs = [layer for layer in neck.modules() if isinstance(layer, nn.Conv2d)]
    activations = sum(isinstance(layer, nn.ReLU) for layer in neck.modules())
    yield 'neck', name_of(neck)
    for kernel in (1, 3):
        inside = [conv for conv in convs if conv.kernel_size[0] == kernel]
        yield (
            f'neck, {kernel}x{kernel} convolutions: in, out',
            tuple((conv.in_channels, conv.out_channels) for conv in inside),
        )
    yield (
        'neck, norms, biases, activations',
        (count_norms(neck), sum(conv.bias is not None for conv in convs), activations),
    )
    yield 'neck: enlarges by', neck.upsample_cfg['mode']
    stages = ((256, 120), (512, 60), (1024, 30), (2048, 15))
    maps = neck([torch.empty(1, channels, side, side, device='meta') for channels, side in stages])
    yield (
        'neck: maps for stages of 120, 60, 30, 15 pixels: channels, pixels',
        tuple((level.shape[1], level.shape[2]) for level in maps),
    )


def _observe_rpn(model: Any) -> Iterator[tuple[str, Any]]:
    head = model.rpn_head
    coder, assigner, sampler = head.bbox_coder, head.assigner, head.sampler
    yield 'rpn', name_of(head)
    yield 'rpn: convolutions (in, out, kernel)', shapes(head)
    yield 'rpn: norms', count_norms(head)
    yield 'rpn: means, deviations of deltas', (tuple(coder.means), tuple(coder.stds))
    yield (
        'rpn: class loss, sigmoid, weight',
        (name_of(head.loss_cls), head.loss_cls.use_sigmoid, head.loss_cls.loss_weight),
    )
    yield (
        'rpn: box loss, weight, decodes',
        (name_of(head.loss_bbox), head.loss_bbox.loss_weight, head.reg_decoded_bbox),
    )
    yield (
        'rpn: assigner, least overlap of positives, most of negatives',
        (name_of(assigner), assigner.pos_iou_thr, assigner.neg_iou_thr),
    )
    yield (
        'rpn: sampler, anchors, share of positives, adds objects',
        (name_of(sampler), sampler.num, sampler.pos_fraction, sampler.add_gt_as_proposals),
    )
    yield (
        'rpn: limit of negatives, allowed border, weight of positives',
        (sampler.neg_pos_ub, head.train_cfg.allowed_border, head.train_cfg.pos_weight),
    )
    training, test = model.train_cfg.rpn_proposal, head.test_cfg
    yield 'rpn, training: boxes of a level before NMS', training.nms_pre
    yield 'rpn, training: boxes of an image after NMS', training.max_per_img
    yield (
        'rpn, test: boxes of a level before NMS, of an image after it',
        (test.nms_pre, test.max_per_img),
    )
    assert training.nms.type == test.nms.type == 'nms'
    yield (
        'rpn: overlap of NMS, least side, in training and test',
        tuple((part.nms.iou_threshold, part.min_bbox_size) for part in (training, test)),
    )


def observe_anchors(cfg: Config) -> Iterator[tuple[str, Any]]:
    """Yield where the anchors are."""
    anchors = TASK_UTILS.build(cfg.model.rpn_head.anchor_generator)
    yield 'anchors', name_of(anchors)
    yield 'anchors: strides', tuple(across for across, down in anchors.strides if across == down)
    yield (
        'anchors: first level, ratios 0.5, 1, 2',
        tuple(tuple(round(float(edge), 4) for edge in box) for box in anchors.base_anchors[0]),
    )
    yield (
        'anchors: sides of the squares by level',
        tuple(int(level[1][2] - level[1][0]) for level in anchors.base_anchors if len(level) == 3),
    )
    grid = anchors.grid_priors([(2, 2)] * 5, device='cpu')
    yield (
        'anchors: the second square of the first level stands at',
        tuple(map(float, grid[0][3 + 1])),
    )


def observe_weights(cfg: Config) -> Iterator[tuple[str, Any]]:
    """Yield which published file the backbone starts from: of which network, hash in its name."""
    from resnest_mm.weights.records.lookup import find_record

    assert cfg.model.backbone.init_cfg.type == 'Pretrained'
    assert cfg.model.backbone.init_cfg.checkpoint.startswith('open-mmlab://')
    record = find_record(cfg.model.backbone.init_cfg.checkpoint)
    assert record is not None
    yield 'weights', (record.variant, record.file_name.removesuffix('.pth').rpartition('-')[2])


def count_parameters(model: Any) -> int:
    """Return the parameters without the scales and shifts of the norms that are frozen."""
    frozen = (model.backbone.stem, model.backbone.layer1)
    fixed = {
        id(parameter)
        for part in frozen
        for layer in part.modules()
        if isinstance(layer, _BatchNorm)
        for parameter in layer.parameters()
    }
    return sum(parameter.numel() for parameter in model.parameters() if id(parameter) not in fixed)
