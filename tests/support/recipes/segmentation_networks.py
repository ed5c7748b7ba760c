"""What a segmentation config really builds: its network without memory, its optimiser, its evaluator."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

CLASSIFIER = 2048 * 1000 + 1000  # parameters of the ImageNet classifier, which a backbone does not have
IMAGES = (2, 3, 480, 480)


def build(cfg: Config) -> Any:
    """Return the model in training mode on the meta device: shapes, no values."""
    from mmseg.registry import MODELS

    with torch.device('meta'):
        return MODELS.build(cfg.model).train()


def name_of(thing: Any) -> str:
    """Return the class of something as a config writes it: with the scope where it is this package's."""
    kind = type(thing)
    return f'resnest_mm.{kind.__name__}' if kind.__module__.startswith('resnest_mm.') else kind.__name__


def observe_model(model: Any) -> Iterator[tuple[str, Any]]:
    """Yield what the built segmentor is."""
    # NormalizedSequential only holds norms
    layers = [layer for layer in model.modules() if not isinstance(layer, nn.Sequential)]
    norms = [layer for layer in layers if 'Norm' in type(layer).__name__ or isinstance(layer, _BatchNorm)]
    yield 'segmentor', name_of(model)
    yield 'norms', {name_of(layer) for layer in norms}
    yield 'norms: eps, momentum', {(layer.eps, layer.momentum) for layer in norms}
    yield 'norms in evaluation while training', sum(not layer.training for layer in norms)
    yield 'parameters without gradient', sum(not parameter.requires_grad for parameter in model.parameters())
    yield from _observe_backbone(model.backbone)
    yield from _observe_head('decode head', model.decode_head)
    yield from _observe_head('auxiliary head', model.auxiliary_head)
    yield 'decode head: norms', _count_norms(model.decode_head)
    yield 'decode head: channels of the classifier', model.decode_head.conv_seg.in_channels
    yield 'test: mode', model.test_cfg.mode
    losses = [head.loss_decode for head in (model.decode_head, model.auxiliary_head)]
    ignored = {head.ignore_index for head in (model.decode_head, model.auxiliary_head)}
    activations = {'sigmoid' if loss.use_sigmoid or loss.use_mask else 'softmax' for loss in losses}
    weights = {loss.class_weight for loss in losses}
    yield 'losses: probabilities by, weights of classes, ignored label', (*activations, *weights, *ignored)


def _observe_backbone(backbone: Any) -> Iterator[tuple[str, Any]]:
    stages = [getattr(backbone, f'layer{index}') for index in (1, 2, 3, 4)]
    splits = [[block.conv2.conv for block in stage] for stage in stages]
    stem = [layer for layer in backbone.stem.modules() if isinstance(layer, nn.Conv2d)]
    pool = backbone.maxpool
    yield 'backbone', name_of(backbone)
    yield 'backbone: blocks by stage', tuple(map(len, stages))
    yield (
        'backbone, stem: in, out, kernel, stride',
        tuple((conv.in_channels, conv.out_channels, conv.kernel_size[0], conv.stride[0]) for conv in stem),
    )
    yield 'backbone, max pool: kernel, stride, padding', (pool.kernel_size, pool.stride, pool.padding)
    every = [conv for stage in splits for conv in stage]
    several = 'backbone, convolutions of several splits'
    yield f'{several}: strides', {stride for conv in every for stride in conv.stride}
    yield f'{several}: groups', {conv.groups for conv in every}
    yield (
        f'{several}: output channels by stage',
        tuple(channels for stage in splits for channels in {conv.out_channels for conv in stage}),
    )
    yield f'{several}: dilation in the first block by stage', tuple(stage[0].dilation[0] for stage in splits)
    yield (
        f'{several}: dilations in the other blocks by stage',
        tuple({dilation for conv in stage[1:] for dilation in conv.dilation} for stage in splits),
    )
    yield f'{several}: padding is the dilation', all(conv.padding == conv.dilation for conv in every)
    yield 'backbone: norms', _count_norms(backbone)
    parameters = sum(parameter.numel() for parameter in backbone.parameters())
    yield 'backbone: million parameters with a classifier of 1000', round((parameters + CLASSIFIER) / 1e6, 2)
    yield from _observe_pools(backbone)


def _observe_pools(backbone: Any) -> Iterator[tuple[str, Any]]:
    """Run the backbone and record every average pool that takes part, with what came before it."""
    ran: list[tuple[str, nn.AvgPool2d, int]] = []
    before = ['']
    places = {module: name for name, module in backbone.named_modules()}

    def record(layer: nn.Module, _: Any, out: Tensor) -> None:
        if isinstance(layer, nn.AvgPool2d):
            ran.append((f'{places[layer]} {before[0]}', layer, out.shape[-2]))
        elif places[layer].endswith(('.conv1', '.conv2')):
            before[0] = places[layer].rpartition('.')[2]

    hooks = [layer.register_forward_hook(record) for layer in backbone.modules()]
    maps = backbone(torch.empty(IMAGES, device='meta'))
    for hook in hooks:
        hook.remove()
    shortcuts = [entry for entry in ran if '.downsample.' in entry[0]]
    pools = [entry for entry in ran if entry not in shortcuts]
    assert all(pool.kernel_size == 3 and pool.padding == 1 for _, pool, _ in pools)
    yield (
        'backbone, 3x3 average pools that run: place, stride, height of an image of 480 after it',
        tuple(
            (f'{name.rpartition(".")[0]} after {name.rpartition(" ")[2]}', pool.stride, height)
            for name, pool, height in pools
        ),
    )
    yield (
        'backbone, average pools in shortcuts: place, kernel, stride',
        tuple((name.partition('.downsample')[0], pool.kernel_size, pool.stride) for name, pool, _ in shortcuts),
    )
    yield (
        'backbone, maps of an image of 480: channels, height',
        tuple((level.shape[1], level.shape[2]) for level in maps),
    )


def _observe_head(part: str, head: Any) -> Iterator[tuple[str, Any]]:
    convs = [layer for layer in head.modules() if isinstance(layer, nn.Conv2d) and layer is not head.conv_seg]
    assert all(conv.bias is None for conv in convs) and head.conv_seg.bias is not None
    assert all(conv.padding[0] == conv.dilation[0] * (conv.kernel_size[0] // 2) for conv in convs)
    drops = [layer for layer in head.modules() if 'Dropout' in type(layer).__name__]
    yield part, name_of(head)
    yield f'{part}: stage from 0, channels in', (head.in_index, head.in_channels)
    yield (
        f'{part}: convolutions (in, out, kernel, dilation)',
        sorted((conv.in_channels, conv.out_channels, conv.kernel_size[0], conv.dilation[0]) for conv in convs),
    )
    yield f'{part}: dropouts', sorted(f'{type(layer).__name__} {layer.p}' for layer in drops)
    yield f'{part}: align_corners', head.align_corners
    yield f'{part}: loss', name_of(head.loss_decode)
    yield f'{part}: loss weight', head.loss_decode.loss_weight
    yield f'{part}: loss is the mean over labelled pixels', head.loss_decode.avg_non_ignore


def _count_norms(module: nn.Module) -> int:
    return sum(isinstance(layer, _BatchNorm) for layer in module.modules())


def observe_weights(cfg: Config) -> Iterator[tuple[str, Any]]:
    """Yield which published file the backbone starts from, and for which network."""
    from resnest_mm.weights.records.lookup import find_record

    assert cfg.model.backbone.init_cfg.type == 'Pretrained'
    record = find_record(cfg.model.backbone.init_cfg.checkpoint)
    assert record is not None
    yield 'weights', (record.file_name, record.variant)


def observe_optimizer(cfg: Config, model: Any) -> Iterator[tuple[str, Any]]:
    """Yield with which rate and decay each parameter is trained."""
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    optimizer = wrapper.optimizer
    group_of = {id(parameter): group for group in optimizer.param_groups for parameter in group['params']}
    yield 'optimiser', (name_of(wrapper), name_of(optimizer))
    common = {(group['momentum'], group['dampening'], group['nesterov']) for group in optimizer.param_groups}
    yield 'optimiser: momentum, dampening, nesterov', *common
    named = [(name, group_of.get(id(parameter))) for name, parameter in model.named_parameters()]
    yield 'optimiser: parameters left out', sum(group is None for _, group in named)
    yield (
        'optimiser: rates of backbone, decode head, auxiliary head',
        tuple(
            {group['lr'] for name, group in named if name.startswith(part)}
            for part in ('backbone.', 'decode_head.', 'auxiliary_head.')
        ),
    )
    norms = {
        f'{name}.{key}'
        for name, layer in model.named_modules()
        if isinstance(layer, _BatchNorm)
        for key, _ in layer.named_parameters()
    }
    biases = {name for name, _ in named if name.endswith('.bias')} - norms
    rest = {name for name, _ in named} - norms - biases
    for what, names in (('norms', norms), ('biases', biases), ('the other parameters', rest)):
        yield f'optimiser: weight decay of {what}', {group['weight_decay'] for name, group in named if name in names}
    clipping = wrapper.clip_grad_kwargs or None
    yield 'optimiser: clipping, accumulated steps', (clipping, wrapper._accumulative_counts)
    yield (
        'optimiser: batch size that its rate is for, scales by itself',
        (cfg.auto_scale_lr.base_batch_size, cfg.auto_scale_lr.enable),
    )


def observe_schedule(cfg: Config) -> Iterator[tuple[str, Any]]:
    """Yield how long and by which rule the rate falls; its values have a test of their own."""
    yield 'schedule: loop', cfg.train_cfg.type
    yield 'schedule: iterations', cfg.train_cfg.max_iters
    hook = cfg.default_hooks.checkpoint
    assert hook.by_epoch is False
    yield (
        'schedule: iterations between evaluations, between checkpoints',
        (cfg.train_cfg.val_interval, hook.interval),
    )
    kinds = [entry.type for entry in cfg.param_scheduler]
    yield 'schedule: schedulers, counts epochs', (kinds, any(entry.by_epoch for entry in cfg.param_scheduler))


def observe_evaluator(cfg: Config, model: Any) -> Iterator[tuple[str, Any]]:
    """Yield how `tools/test.py --tta` evaluates."""
    from mmseg.registry import MODELS

    evaluator = MODELS.build({**cfg.tta_model, 'module': model})
    yield 'evaluator', name_of(evaluator)
    yield 'evaluator: long side at scale 1, window', (evaluator.base_size, evaluator.crop_size)
    yield 'evaluator: scales', tuple(evaluator.scales)
    yield 'evaluator: flips', evaluator.flip
