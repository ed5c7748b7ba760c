"""Frozen parts do not change in training, and all other parts do."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from resnest_mm.models import ResNeSt
from tests.support.tiny_backbones import batch_norms, changed, image, snapshot, tiny

BUILT = ('stem.', 'layer1.', 'layer2.', 'layer3.', 'layer4.')
norm_types = pytest.mark.parametrize('norm', ['BN', 'SyncBN'])


def frozen_prefixes(frozen_stages: int) -> tuple[str, ...]:
    return BUILT[: frozen_stages + 1]


def step(backbone: ResNeSt) -> None:
    """One training step that moves every trainable parameter."""
    optimizer = torch.optim.SGD([p for p in backbone.parameters() if p.requires_grad], lr=0.1, weight_decay=0.1)
    sum(x.square().mean() for x in backbone(image(2))).backward()
    optimizer.step()


def check_frozen(backbone: ResNeSt, frozen_stages: int) -> None:
    frozen = frozen_prefixes(frozen_stages)
    for name, parameter in backbone.named_parameters():
        assert parameter.requires_grad is not name.startswith(frozen or ('none',)), name
    norms = batch_norms(backbone)
    assert {'bn0', 'bn1'} <= {name.rsplit('.', 1)[1] for name in norms}
    for name, module in backbone.named_modules():
        if name.startswith(frozen or ('none',)) or f'{name}.' in frozen:
            assert not module.training, name


@norm_types
@pytest.mark.parametrize('frozen_stages', range(-1, 5))
@pytest.mark.filterwarnings('ignore:frozen_stages')
def test_frozen_parts_are_frozen_from_the_start_and_stay_so(frozen_stages: int, norm: str) -> None:
    backbone = tiny(frozen_stages=frozen_stages, norm_cfg={'type': norm})
    check_frozen(backbone, frozen_stages)
    for _ in range(2):
        backbone.train()
        check_frozen(backbone, frozen_stages)
        live = [
            n for n, m in backbone.named_modules() if not (f'{n}.').startswith(frozen_prefixes(frozen_stages) or '-')
        ]
        assert all(backbone.get_submodule(name).training for name in live)
        backbone.eval()
        assert not any(module.training for module in backbone.modules())


@norm_types
@pytest.mark.parametrize('norm_eval', [False, True], ids=['norms-train', 'norm-eval'])
@pytest.mark.parametrize('frozen_stages', [-1, 0, 1, 2])
@pytest.mark.filterwarnings('ignore:frozen_stages')
def test_a_training_step_moves_what_is_live_and_nothing_else(frozen_stages: int, norm_eval: bool, norm: str) -> None:
    backbone = tiny(frozen_stages=frozen_stages, norm_eval=norm_eval, num_stages=2, norm_cfg={'type': norm}).train()
    before = snapshot(backbone)
    if frozen_stages == 2:
        maps = backbone(image(2))
        assert not any(x.requires_grad for x in maps)
    else:
        step(backbone)
    frozen = frozen_prefixes(frozen_stages)
    live = {name for name in before if not name.startswith(frozen or ('none',))}
    statistics = {name for name in live if name.endswith(('running_mean', 'running_var', 'num_batches_tracked'))}
    expected = live - statistics if norm_eval else live
    # Behind a norm at its initial statistics a bias of zero in front has a gradient of rounding noise.
    noise = {name for name in before if name.endswith('fc1.bias')}
    assert changed(before, backbone) - noise == expected - noise


@norm_types
@pytest.mark.filterwarnings('ignore:frozen_stages')
def test_norm_eval_stops_all_statistics_and_keeps_affine_parameters_trainable(norm: str) -> None:
    backbone = tiny(norm_eval=True, num_stages=2, norm_cfg={'type': norm})
    for _ in range(2):
        norms = batch_norms(backbone)
        assert len(norms) == 3 + 2 * 5
        assert not any(module.training for module in norms.values())
        assert all(module.weight.requires_grad and module.bias.requires_grad for module in norms.values())
        assert all(backbone.train().get_submodule(n).training for n in ('layer1', 'layer1.0.conv2', 'layer1.0.conv1'))


@pytest.mark.filterwarnings('ignore:frozen_stages')
def test_norm_eval_reaches_instance_norms_with_statistics() -> None:
    backbone = tiny(norm_eval=True, num_stages=1, norm_cfg={'type': 'IN', 'track_running_stats': True}).train()
    before = snapshot(backbone)
    backbone(image(2))
    assert changed(before, backbone) == set()


@pytest.mark.parametrize('frozen_stages', [0, 1, 2, 3])
@pytest.mark.filterwarnings('ignore:frozen_stages')
def test_frozen_stages_leave_no_graph(frozen_stages: int) -> None:
    backbone = tiny(frozen_stages=frozen_stages, num_stages=3, with_cp=True).train()
    after_stem: list[torch.Tensor] = []
    backbone.stem.register_forward_hook(lambda _module, _inputs, output: after_stem.append(output))
    maps = backbone(image(2))
    assert after_stem[0].grad_fn is None
    assert [x.grad_fn is not None for x in maps] == [index >= frozen_stages for index in range(3)]


@pytest.mark.filterwarnings('ignore:frozen_stages')
def test_drop_path_stands_still_in_frozen_stages() -> None:
    backbone = tiny(frozen_stages=2, num_stages=2, drop_path_rate=0.9).train()
    first, second = backbone(image(8)), backbone(image(8))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_norms_can_be_made_untrainable_by_their_config() -> None:
    backbone = tiny(num_stages=1, norm_cfg={'type': 'BN', 'requires_grad': False})
    trainable = {name for name, parameter in backbone.named_parameters() if parameter.requires_grad}
    assert not any('bn' in name for name in trainable)
    assert 'layer1.0.conv1.weight' in trainable


@pytest.mark.filterwarnings('ignore:frozen_stages')
def test_a_copy_is_frozen_too() -> None:
    """Hooks for averaged weights copy the model."""
    backbone = copy.deepcopy(tiny(frozen_stages=1, num_stages=2, norm_eval=True))
    wrapper = nn.Sequential(backbone).train()
    check_frozen(wrapper[0], 1)
    assert not any(norm.training for norm in batch_norms(wrapper).values())
