"""Every COCO recipe of detectron2-ResNeSt is what its authors ran, value by value, once it is built."""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, PARAM_SCHEDULERS, DefaultScope
from torch import Tensor, nn

from resnest_mm.weights.convert.detector import convert_detector
from resnest_mm.weights.layouts.names import COUNTER
from tests.support import key_lists, shipped_configs
from tests.support.recipes.detection_truth import ENTRIES, MILLION_PARAMETERS, PARAMETERS_BEYOND, authors_rate, truth
from tests.support.shipped_configs import CONFIGS, without_weights

pytest.importorskip('mmdet', reason='the recipes are for mmdet')

FOLDER = CONFIGS / 'detection'
ONE_OF_EACH_SCHEDULE = ('faster-rcnn_s50_fpn_1x_coco', 'cascade-mask-rcnn_s200_fpn_tricks-3x_coco')
PANOPTIC = 'panoptic-fpn_s200_fpn_3x_coco'
LEAST_VALUES = 40


@pytest.fixture(autouse=True)
def _scope() -> Iterator[None]:
    with DefaultScope.overwrite_default_scope('mmdet'):
        yield


def read(name: str) -> Config:
    """Return a parsed config, which may be changed: the hosts' builders take keys out of it."""
    return copy.deepcopy(shipped_configs.read(FOLDER / f'{name}.py'))


def test_every_recipe_of_the_authors_is_there_and_no_other_claims_to_be() -> None:
    """The table of what the authors ran names every config that says so."""
    authors = {file.stem for file in FOLDER.glob('*.py') if "authors' recipe for" in ' '.join(file.read_text().split())}
    assert authors == set(ENTRIES)


@functools.cache
def network(name: str) -> Any:
    """Return the network of a recipe without memory, in training."""
    from tests.support.recipes.detection_networks import build

    return build(read(name))


def observe(name: str, root: Path) -> dict[str, Any]:
    """Return what a config amounts to once the Runner's own functions have built its parts."""
    from mmdet.datasets import CocoPanopticDataset

    from tests.support.recipes import detection_data as data
    from tests.support.recipes import detection_heads as heads
    from tests.support.recipes import detection_networks as networks
    from tests.support.recipes import detection_panoptic as panoptic
    from tests.support.recipes import detection_training as training

    cfg = read(name)
    names = CocoPanopticDataset.METAINFO
    data.write_data(root, names['thing_classes'], names['stuff_classes'])
    model = network(name)
    observed = (
        *networks.observe_model(model),
        *networks.observe_anchors(cfg),
        *networks.observe_weights(cfg),
        *heads.observe_roi_head(cfg, model),
        *panoptic.observe_stuff(cfg, model),
        *training.observe_optimizer(cfg, model),
        *training.observe_schedule(cfg),
        *training.observe_hooks(cfg),
        *training.observe_published(FOLDER / f'{name}.py'),
        *data.observe_data(cfg, root),
    )
    keys = [key for key, _ in observed]
    assert len(set(keys)) == len(keys)
    return dict(observed)


@pytest.mark.parametrize('name', ENTRIES)
def test_a_built_recipe_has_every_value_of_the_authors(name: str, tmp_path: Path) -> None:
    """What the Runner builds from a config is compared, not what the config says."""
    if ENTRIES[name].panoptic:
        pytest.importorskip('panopticapi', reason='mmdet measures PQ with it')
    wanted, given = truth(name), observe(name, tmp_path)
    differing = {key: (given.get(key), value) for key, value in wanted.items() if given.get(key) != value}
    assert not differing, f'config, authors: {differing}'
    assert given.keys() == wanted.keys()
    assert len(wanted) >= LEAST_VALUES
    print(f'{name}: {len(wanted)} values compared')


def parameters(name: str) -> int:
    """Return the parameters of a recipe's network as the authors count them."""
    from tests.support.recipes.detection_networks import count_parameters

    return count_parameters(network(name))


@pytest.mark.parametrize('name', MILLION_PARAMETERS)
def test_a_network_has_as_many_parameters_as_that_of_the_authors(name: str) -> None:
    """The counts are those of the authors' models as built."""
    assert round(parameters(name) / 1e6, 2) == MILLION_PARAMETERS[name]


@pytest.mark.parametrize('name', PARAMETERS_BEYOND)
def test_a_larger_network_has_the_parameters_of_its_layers_beyond_a_smaller_one(name: str) -> None:
    """The difference is computed by hand from the sizes of the layers."""
    smaller, beyond = PARAMETERS_BEYOND[name]
    assert parameters(name) - parameters(smaller) == beyond


@pytest.mark.parametrize('name', ENTRIES)
def test_the_released_model_converts_into_exactly_this_network(name: str) -> None:
    """Every name and shape, but the counters of batches, which detectron2 does not keep where a norm is frozen."""
    released = convert_detector(key_lists.detector(key_lists.DETECTORS[ENTRIES[name].model]))
    theirs = {key: value.shape for key, value in released.items() if not key.endswith(COUNTER)}
    ours = {key: value.shape for key, value in network(name).state_dict().items() if not key.endswith(COUNTER)}
    assert ours == theirs


def rates(name: str) -> tuple[list[Any], torch.optim.Optimizer, int]:
    """Return the schedulers over one parameter, its optimiser, and the number of iterations."""
    cfg = read(name)
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=cfg.optim_wrapper.optimizer.lr)
    schedulers = [PARAM_SCHEDULERS.build({**entry, 'optimizer': optimizer}) for entry in cfg.param_scheduler]
    optimizer.step()
    return schedulers, optimizer, cfg.train_cfg.max_iters


def jump(scheduler: Any, iteration: int) -> None:
    """Make a scheduler go on after an iteration, as a resumed training does."""
    steps = min(iteration, scheduler.end - 1)
    scheduler.load_state_dict({**scheduler.state_dict(), '_global_step': iteration, 'last_step': steps})


@pytest.mark.parametrize('name', ONE_OF_EACH_SCHEDULE)
def test_each_step_of_the_schedule_goes_from_one_rate_of_the_authors_to_the_next(name: str) -> None:
    """mmengine computes a rate from the one before, so that single steps around its bends show the rule."""
    tricks = ENTRIES[name].tricks
    schedulers, optimizer, iterations = rates(name)
    (group,) = optimizer.param_groups
    assert group['lr'] == pytest.approx(authors_rate(0, tricks=tricks), abs=1e-17)
    bends = (1000, 60000, 80000, 210000, 240000, 250000, 255000)
    near = [bend + beside for bend in bends if bend < iterations for beside in (-1, 0, 1)]
    chosen = [1, 2, 500, 998, *near, 20000, 40000, 70000, iterations // 2 + 1, iterations - 2, iterations - 1]
    assert len(chosen) >= 19
    for iteration in chosen:
        for scheduler in schedulers:
            jump(scheduler, iteration - 1)
        group['lr'] = authors_rate(iteration - 1, tricks=tricks)
        for scheduler in schedulers:
            scheduler.step()
        assert group['lr'] == pytest.approx(authors_rate(iteration, tricks=tricks), abs=1e-16), iteration


@pytest.mark.slow
@pytest.mark.parametrize('name', ONE_OF_EACH_SCHEDULE)
def test_the_rate_is_the_authors_in_every_iteration(name: str) -> None:
    """Rounding does not add up over 270,000 steps."""
    schedulers, optimizer, iterations = rates(name)
    (group,) = optimizer.param_groups
    worst = 0.0
    for iteration in range(iterations):
        worst = max(worst, abs(group['lr'] - authors_rate(iteration, tricks=ENTRIES[name].tricks)))
        for scheduler in schedulers:
            scheduler.step()
    assert worst <= 1e-15


def spread(weight: Tensor) -> tuple[float, str]:
    """Return the deviation of initial weights, and whether they are normal or uniform."""
    deviation = float(weight.std())
    largest = float(weight.abs().max()) / deviation
    return deviation, 'uniform' if largest < math.sqrt(3) * 1.05 else 'normal'


INITIAL = {
    'neck.lateral_convs.0.conv': (0.0625, 'uniform'),
    'neck.lateral_convs.1.conv': (0.0442, 'uniform'),
    'neck.lateral_convs.2.conv': (0.03125, 'uniform'),
    'neck.lateral_convs.3.conv': (0.0221, 'uniform'),
    'neck.fpn_convs.0.conv': (0.02083, 'uniform'),
    'neck.fpn_convs.3.conv': (0.02083, 'uniform'),
    'rpn_head.rpn_conv': (0.01, 'normal'),
    'rpn_head.rpn_cls': (0.01, 'normal'),
    'rpn_head.rpn_reg': (0.01, 'normal'),
}
BOX_HEAD = {
    'shared_convs.0.conv': (0.02946, 'normal'),
    'shared_convs.3.conv': (0.02946, 'normal'),
    'shared_fcs.0': (0.00893, 'uniform'),
    'fc_cls': (0.01, 'normal'),
    'fc_reg': (0.001, 'normal'),
}
MASK_HEAD = {
    'roi_head.mask_head.convs.0.conv': (0.02946, 'normal'),
    'roi_head.mask_head.convs.3.conv': (0.02946, 'normal'),
    'roi_head.mask_head.upsample': (0.04419, 'normal'),
    'roi_head.mask_head.conv_logits': (0.001, 'normal'),
}


SEMANTIC_HEAD = {
    'semantic_head.conv_upsample_layers.0.conv.0.conv': (0.04167, 'normal'),
    'semantic_head.conv_upsample_layers.3.conv.2.conv': (0.04167, 'normal'),
    'semantic_head.conv_logits': (0.19245, 'normal'),
}


@pytest.mark.parametrize('name', ['faster-rcnn_s50_fpn_1x_coco', 'cascade-mask-rcnn_s50_fpn_1x_coco', PANOPTIC])
def test_new_layers_start_with_the_authors_values(name: str) -> None:
    """The backbone, which starts from a file, is a small one here."""
    entry = ENTRIES[name]
    settings = without_weights(read(name).model)
    settings['backbone'].update(variant=None, depth=14)
    torch.manual_seed(0)
    model: Any = MODELS.build(settings)
    model.init_weights()
    heads = ['.0', '.1', '.2'] if entry.box == 'cascade' else ['']
    boxes = {f'roi_head.bbox_head{head}.{key}': value for head in heads for key, value in BOX_HEAD.items()}
    masks, stuff = MASK_HEAD if entry.convs else {}, SEMANTIC_HEAD if entry.panoptic else {}
    for layer, (deviation, kind) in {**INITIAL, **boxes, **masks, **stuff}.items():
        module = model.get_submodule(layer)
        given, shape = spread(module.weight.detach())
        tolerance = 4 / math.sqrt(2 * module.weight.numel()) + 0.002
        assert given == pytest.approx(deviation, rel=tolerance), layer
        assert shape == kind, layer
        assert module.bias is None or not module.bias.any(), layer


def test_deformable_convolutions_start_without_offsets() -> None:
    """They begin as the plain convolutions whose weights they take."""
    settings = without_weights(read('faster-rcnn_s50_fpn_dcn_1x_coco').model)['backbone']
    backbone: Any = MODELS.build({**settings, 'variant': None, 'depth': 14})
    backbone.init_weights()
    offsets = [layer for name, layer in backbone.named_modules() if name.endswith('conv_offset')]
    assert len(offsets) == 3
    assert not any(values.any() for layer in offsets for values in layer.parameters())
