"""A model, data and metric for the tests of precise batch norm, and what its statistics have to be."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseDataPreprocessor, BaseModel
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.utils.data import Dataset

from tests.support.tiny_backbones import scatter

Moments = tuple[Tensor, Tensor]


class Preprocessor(BaseDataPreprocessor):
    """Doubles images in training only, and stacks them."""

    def forward(self, data: Any, training: bool = False) -> Any:
        return {'inputs': torch.stack(list(data['inputs'])) * (2 if training else 1)}


class Model(BaseModel):
    """Norms in every role: trained, frozen, run through twice, sometimes or never, and of other kinds."""

    def __init__(self, norm: type[nn.Module] = nn.BatchNorm2d) -> None:
        super().__init__(data_preprocessor=Preprocessor())
        torch.manual_seed(0)
        self.conv = nn.Conv2d(2, 3, 1)
        self.norm = norm(3, momentum=0.3)
        self.frozen = norm(3)
        self.shared = norm(3)
        self.rare = norm(3, momentum=None)
        self.unused = norm(3)
        self.untracked = norm(3, track_running_stats=False)
        self.group = nn.GroupNorm(1, 3)
        self.instance = nn.InstanceNorm2d(3, track_running_stats=True)
        self.register_buffer('calls', torch.tensor(0))
        self.seen: list[Tensor] = []
        self.validated: list[dict[str, Tensor]] = []
        self.fail_at: int | None = None

    def train(self, mode: bool = True) -> Model:
        super().train(mode)
        self.frozen.eval()
        return self

    def forward(self, inputs: Tensor, mode: str = 'tensor') -> Any:
        x = self.norm(self.conv(inputs))
        if mode == 'predict':
            self.validated.append({name: value.clone() for name, value in self.state_dict().items()})
            return [{} for _ in inputs]
        assert mode == 'loss' and self.training
        if not torch.is_grad_enabled():
            self.seen.append(inputs.clone())
            if len(self.seen) == self.fail_at:
                raise RuntimeError('out of memory')
        self.calls += 1
        y = self.shared(self.frozen(x))
        y = self.shared(2 * y + 1)
        if is_rare(inputs):
            self.rare(inputs.mean(1, keepdim=True).expand(-1, 3, -1, -1))
        y = self.group(self.untracked(y)) + self.instance(x)
        return {'loss': nn.functional.dropout(y).square().mean()}


def scattered(norm: type[nn.Module] = nn.BatchNorm2d) -> Model:
    """Return a model in float64 whose statistics and affine parameters are no neutral values."""
    model = Model(norm).double()
    for name in ('norm', 'frozen', 'shared', 'rare', 'unused'):
        scatter(getattr(model, name), seed=len(name))
    return model.train()


def is_rare(inputs: Tensor) -> bool:
    """Say whether a batch goes through the model's `rare` norm."""
    return bool(inputs[0, 0, 0, 0] > 0)


def batches(count: int, *, images: int = 3, seed: int = 0) -> list[dict[str, list[Tensor]]]:
    """Return what a dataloader yields."""
    generator = torch.Generator().manual_seed(seed)
    return [
        {'inputs': [torch.randn(2, 2, 3, generator=generator).double() for _ in range(images)]} for _ in range(count)
    ]


def moments(x: Tensor) -> Moments:
    """Return mean and unbiased variance of each channel, value by value."""
    means, variances = [], []
    for c in range(x.shape[1]):
        values = x[:, c].flatten().tolist()
        means.append(sum(values) / len(values))
        variances.append(sum((value - means[-1]) ** 2 for value in values) / (len(values) - 1))
    return torch.tensor(means, dtype=torch.float64), torch.tensor(variances, dtype=torch.float64)


def normalised(x: Tensor, mean: Tensor, var: Tensor, state: dict[str, Tensor], name: str) -> Tensor:
    shape = (1, 3, 1, 1)
    y = (x - mean.view(shape)) / (var.view(shape) + 1e-5).sqrt()
    return y * state[f'{name}.weight'].view(shape) + state[f'{name}.bias'].view(shape)


def expected(state: dict[str, Tensor], seen: Sequence[Tensor]) -> dict[str, Moments]:
    """Return the statistics of a model with these weights over batches of preprocessed images, by formulas."""
    state = {name: value.double() for name, value in state.items()}
    found: dict[str, list[Moments]] = {'norm': [], 'shared': [], 'rare': []}
    for inputs in seen:
        x = inputs.double()
        weight, bias = state['conv.weight'], state['conv.bias']
        x = torch.stack([sum(weight[o, i] * x[:, i] for i in range(2)) + bias[o] for o in range(3)], 1)
        found['norm'].append(moments(x))
        x = training_norm(x, state, 'norm')
        y = normalised(x, state['frozen.running_mean'], state['frozen.running_var'], state, 'frozen')
        first = moments(y)
        y = 2 * training_norm(y, state, 'shared') + 1
        second = moments(y)
        found['shared'].append(((first[0] + second[0]) / 2, (first[1] + second[1]) / 2))
        if is_rare(inputs):
            found['rare'].append(moments(inputs.double().mean(1, keepdim=True).expand(-1, 3, -1, -1)))
    return {
        name: (sum(mean for mean, _ in all_) / len(all_), sum(var for _, var in all_) / len(all_))  # type: ignore[misc]
        for name, all_ in found.items()
        if all_
    }


def training_norm(x: Tensor, state: dict[str, Tensor], name: str) -> Tensor:
    """Return a batch norm's output in training, which the biased variance divides."""
    mean, var = moments(x)
    count = x.numel() / 3
    return normalised(x, mean, var * (count - 1) / count, state, name)


class Images(Dataset[Any]):
    """Twelve images and as many settings as a data set has, such as a pipeline that can be exchanged."""

    metainfo: ClassVar[dict[str, Any]] = {}
    built = 0

    def __init__(self, length: int = 12) -> None:
        Images.built += 1
        self.images = torch.randn(length, 2, 2, 3, generator=torch.Generator().manual_seed(3))
        self.offset = 0.0
        self.noise = 0.0

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Any:
        return {'inputs': self.images[index] + self.offset + self.noise * torch.randn(2, 2, 3)}


class NoMetric(BaseMetric):
    """Measures nothing."""

    def process(self, data_batch: Any, data_samples: Sequence[Any]) -> None:
        self.results.append(0)

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        return {'count': float(len(results))}


def loader(**changes: Any) -> dict[str, Any]:
    return {
        'batch_size': 3,
        'num_workers': 0,
        'dataset': {'type': Images},
        'sampler': {'type': 'InfiniteSampler', 'shuffle': True},
        **changes,
    }


def by_iteration(iterations: int = 4) -> dict[str, Any]:
    return {'by_epoch': False, 'max_iters': iterations, 'val_interval': 2}


def run(folder: Path, *, hooks: Sequence[Any] = (), train: Any = None, **changes: Any) -> Runner:
    """Return a finished run of a few iterations."""
    settings: dict[str, Any] = {
        'model': Model(),
        'work_dir': str(folder),
        'train_dataloader': loader() if train is None else train,
        'train_cfg': by_iteration(),
        'val_dataloader': loader(sampler={'type': 'DefaultSampler', 'shuffle': False}),
        'val_cfg': {},
        'val_evaluator': {'type': NoMetric},
        'optim_wrapper': {'optimizer': {'type': 'SGD', 'lr': 0.1}},
        'default_hooks': {'checkpoint': {'type': 'CheckpointHook', 'by_epoch': False, 'interval': 2}},
        'custom_hooks': [{'type': 'resnest_mm.PreciseBNHook', 'num_iters': 5}, *hooks],
        'randomness': {'seed': 4},
        'default_scope': 'mmengine',
        'experiment_name': folder.name,
        'log_level': 'WARNING',
    }
    runner = Runner(**{**settings, **changes})
    runner.train()
    return runner


def assert_precise(state: dict[str, Tensor], seen: Sequence[Tensor]) -> None:
    """Check that a state dict holds the statistics of its own weights over the batches that were seen."""
    wanted = expected(state, seen)
    assert wanted.keys() == {'norm', 'shared', 'rare'}
    for name, (mean, var) in wanted.items():
        torch.testing.assert_close(state[f'{name}.running_mean'].double(), mean, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(state[f'{name}.running_var'].double(), var, rtol=1e-4, atol=1e-5)
