"""Batch norm over all processes, with equal weight for each process, as the published models were trained."""

from __future__ import annotations

from typing import Any, Final

import torch
import torch.distributed as dist
from torch import Tensor, nn

from resnest_mm.registry import MODELS

_PIXELS: Final = (0, 2, 3)
"""The dimensions of [N, C, H, W] over which a channel is averaged."""


@MODELS.register_module()
class NaiveSyncBN(nn.BatchNorm2d):
    """Batch norm that averages its training statistics over the processes, with equal weight for each process.

    `nn.SyncBatchNorm` weights a process by its number of values and stores unbiased running variances. Here all
    processes have equal weight, and the running variance is the biased variance that the batch was normalised with. In
    eval mode, and with a single process, the layer equals `nn.BatchNorm2d`. It works on every device that the process
    group supports, including CPUs.

    Args:
        num_features: Channels, at least 1.
        eps: Added to the variance, at least 0.
        momentum: Weight of a batch in the running statistics, in [0, 1]; None means the average of all batches.
        affine: Whether each channel has a weight and a bias.
        track_running_stats: Whether to keep running statistics. Without them eval mode uses those of the batch.
        process_group: Processes that share statistics; None means all.

    Shape:
        input and output [N, C, H, W] in any floating-point type; statistics are computed in float32 at least.

    Raises:
        ValueError: In training with several processes, the input of a process is empty: the other processes would wait
            for its statistics.

    Source: `NaiveSyncBatchNorm` of chongruo/detectron2-ResNeSt@54ec876, detectron2/layers/batch_norm.py;
        zhanghang1989/PyTorch-Encoding@ac74841 has the same statistics.
    """

    _abbr_ = 'bn'  # mmcv names the norm of a ConvModule after it

    def __init__(
        self,
        num_features: int,
        *,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        process_group: dist.ProcessGroup | None = None,
    ) -> None:
        if momentum is not None and not 0 <= momentum <= 1:
            raise ValueError(f'momentum={momentum} must lie in [0, 1], or be None for the average of all batches')
        if eps < 0:
            raise ValueError(f'eps={eps} must be at least 0')
        super().__init__(
            num_features, eps=eps, momentum=momentum, affine=affine, track_running_stats=track_running_stats
        )
        self.process_group = process_group

    def forward(self, input: Tensor) -> Tensor:
        """Return the normalised features."""
        processes = self._processes()
        if not self.training or processes <= 1:
            return super().forward(input)
        self._check_values(input)
        x = input if input.dtype == torch.float64 else input.float()
        moments = torch.cat([x.mean(_PIXELS), x.square().mean(_PIXELS)]) / processes
        mean, mean_square = sum_over_processes(moments, self.process_group).chunk(2)  # [C] each
        # In float32 the difference of two nearly equal numbers may be below 0, where the root is undefined.
        var = (mean_square - mean.square()).clamp(min=0)
        self._track(mean.detach(), var.detach())
        scale = torch.rsqrt(var + self.eps)
        if self.weight is not None:
            scale = scale * self.weight
        shift = -mean * scale
        if self.bias is not None:
            shift = shift + self.bias
        y: Tensor = x * scale.view(1, -1, 1, 1) + shift.view(1, -1, 1, 1)
        return y.to(input.dtype)

    def _processes(self) -> int:
        if not dist.is_available() or not dist.is_initialized():
            return 1
        return dist.get_world_size(self.process_group)

    def _check_values(self, x: Tensor) -> None:
        self._check_input_dim(x)
        if x.shape[1] != self.num_features:
            raise ValueError(f'an input of shape {tuple(x.shape)} must have num_features={self.num_features} channels')
        if x.numel() == 0:
            raise ValueError(
                f'an input of shape {tuple(x.shape)} has no values, and the other processes wait for its statistics; '
                'give every process at least one image or region in every step (filter_empty_gt=True), or use BN'
            )

    def _track(self, mean: Tensor, var: Tensor) -> None:
        if not self.track_running_stats:
            return
        assert self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None
        # In place, because DDP and averaged models keep references to the tensors.
        self.num_batches_tracked.add_(1)
        momentum = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        for running, batch in ((self.running_mean, mean), (self.running_var, var)):
            running.lerp_(batch.to(running.dtype), momentum)


def sum_over_processes(values: Tensor, group: dist.ProcessGroup | None = None) -> Tensor:
    """Return the sum of a tensor over all processes; its gradient is the sum of their gradients.

    Args:
        values: Tensor of the same shape and type in every process.
        group: Processes that take part; None means all.
    """
    total: Tensor = _Sum.apply(values, group)  # type: ignore[no-untyped-call]
    return total


class _Sum(torch.autograd.Function):
    # torch.distributed.nn.functional.all_reduce does the same and is deprecated.

    @staticmethod
    def forward(ctx: Any, values: Tensor, group: dist.ProcessGroup | None) -> Tensor:
        ctx.group = group
        total = values.clone()
        dist.all_reduce(total, group=group)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return sum_over_processes(gradients[0].contiguous(), ctx.group), None
