"""The backbone."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.model import BaseModule
from torch import Tensor, nn

from resnest_mm.models.arguments import architecture as arguments
from resnest_mm.models.arguments import checks, layer_configs
from resnest_mm.models.arguments.keywords import explain_unknown_keywords
from resnest_mm.models.bottleneck import BlockSettings, Bottleneck
from resnest_mm.models.freezing import describe_frozen, freeze, stop_running_stats
from resnest_mm.models.initialization import (
    KAIMING,
    InitConfig,
    prepare_pretrained,
    reset_offsets,
    split_init_cfg,
    unchanged,
    zero_last_norms,
)
from resnest_mm.models.layers.norm import BATCH_NORM, norm_factory, pooled_norm_cfg
from resnest_mm.models.layers.plugins import plan_plugins
from resnest_mm.models.plan import norm_widths
from resnest_mm.models.split_attention import gate_channels
from resnest_mm.models.stage import Stage
from resnest_mm.models.stem import build_stem
from resnest_mm.models.variants import BLOCKS_PER_STAGE
from resnest_mm.registry import MODELS


@MODELS.register_module()
class ResNeSt(BaseModule):
    """ResNeSt, a ResNet with split attention, as a backbone with one feature map a stage.

    Args:
        depth: 14, 26, 50, 101, 152, 200 or 269.
        variant: Name of a network, a key of `resnest_mm.models.VARIANTS`, instead of `depth` or agreeing with it.
        in_channels: Channels of the image.
        stem_channels: Output channels of the stem, even; None means 64 up to depth 50 and 128 beyond, as released.
        base_channels: Inner channels of the first stage's bottlenecks at `base_width=64` and one group.
        num_stages: Stages to build, 1 to 4.
        strides: Stride of each stage; None means 1, 2, 2, 2.
        dilations: Dilation of each stage; None means 1.
        out_indices: Stages whose maps are returned, from 0, rising; None means all.
        radix: Splits in each cardinal group, at least 1; 1 gates by a sigmoid. None means the variant's, 2.
        groups: Cardinal groups, at least 1. None means the variant's, 1.
        base_width: Channels of one cardinal group in a 64-channel bottleneck. None means the variant's, 64.
        reduction_factor: Divisor of the attention's hidden width, at least 1.
        avg_down_stride: Whether a 3x3 average pool takes the strides instead of the 3x3 convolutions.
        avd_first: Whether that pool stands before the convolution. None means the variant's, False.
        avd_in_dilated: Whether the first block of stages 2 to 4 keeps that pool where its stride is 1, as in the
            official dilated networks. False is what mmdet's and mmseg's ResNeSt do.
        contract_dilation: Whether the first block of a dilated stage has half its dilation, as in the official
            networks.
        multi_grid: Dilations of the last stage's blocks one by one; None follows `dilations`.
        style: Only 'pytorch'.
        conv_cfg: Config of the convolutions; None means plain ones.
        norm_cfg: Config of all norms; None means `dict(type='BN', requires_grad=True)`.
        attn_norm_cfg: Config of the norm behind the global pooling of the attention. None means `norm_cfg` where that
            is a batch norm, else a group norm with one group.
        norm_eval: Whether all running statistics stand still in training.
        frozen_stages: Parts without training: -1 none, 0 the stem, k the stem and stages 1 to k.
        dcn: Config of deformable convolutions, `dict(type='DCN' or 'DCNv2')`, with `deform_groups` (the radix if left
            out) and `fallback_on_stride` (False), which keeps a plain convolution in the blocks with a stride.
        stage_with_dcn: Which stages have them; None means none.
        plugins: Extra layers, entries `dict(cfg=dict(type=...), position='after_conv1|2|3', stages=(...))`.
        with_cp: Whether blocks compute their activations again in the backward pass to save memory. Under
            `torch.compile` the compiler decides about that instead.
        drop_path_rate: Drop probability in [0, 1) of the last block's residual branch; rises linearly from 0.
        zero_init_residual: Whether the last norm of each block starts at zero, which makes the block an identity.
        pretrained: Short for `init_cfg=dict(type='Pretrained', checkpoint=pretrained)`.
        init_cfg: Initialisation for mmengine. A `Pretrained` one must fill the whole backbone unless it says
            `strict=False`. None means Kaiming.

    Shape:
        input [N, in_channels, H, W], output a tuple of maps [N, out_channels[i], ceil(H/out_strides[i]), ...].

    Raises:
        TypeError: On an unknown keyword or a value of the wrong type.
        ValueError: On a value out of range, a contradiction, or something that cannot be honoured.

    Source: arXiv:2004.08955; equals zhanghang1989/ResNeSt@1dfb3e8.

    Example:
        >>> import torch
        >>> from resnest_mm import ResNeSt
        >>> backbone = ResNeSt(depth=14).eval()
        >>> with torch.no_grad():
        ...     feature_maps = backbone(torch.zeros(1, 3, 64, 96))
        >>> for feature_map in feature_maps:
        ...     print(tuple(feature_map.shape))
        (1, 256, 16, 24)
        (1, 512, 8, 12)
        (1, 1024, 4, 6)
        (1, 2048, 2, 3)
    """

    @explain_unknown_keywords(refused=arguments.REFUSED_KEYWORDS)
    def __init__(
        self,
        depth: int | None = None,
        *,
        variant: str | None = None,
        in_channels: int = 3,
        stem_channels: int | None = None,
        base_channels: int = 64,
        num_stages: int = 4,
        strides: Sequence[int] | None = None,
        dilations: Sequence[int] | None = None,
        out_indices: Sequence[int] | None = None,
        radix: int | None = None,
        groups: int | None = None,
        base_width: int | None = None,
        reduction_factor: int = 4,
        avg_down_stride: bool = True,
        avd_first: bool | None = None,
        avd_in_dilated: bool = True,
        contract_dilation: bool = True,
        multi_grid: Sequence[int] | None = None,
        style: str = 'pytorch',
        conv_cfg: Mapping[str, Any] | None = None,
        norm_cfg: Mapping[str, Any] | None = None,
        attn_norm_cfg: Mapping[str, Any] | None = None,
        norm_eval: bool = False,
        frozen_stages: int = -1,
        dcn: Mapping[str, Any] | None = None,
        stage_with_dcn: Sequence[bool] | None = None,
        plugins: Sequence[Mapping[str, Any]] | None = None,
        with_cp: bool = False,
        drop_path_rate: float = 0.0,
        zero_init_residual: bool = False,
        pretrained: str | None = None,
        init_cfg: InitConfig = None,
    ) -> None:
        arguments.check_style(style)
        architecture = arguments.resolve_architecture(
            depth=depth,
            variant=variant,
            stem_channels=stem_channels,
            radix=radix,
            groups=groups,
            base_width=base_width,
            avd_first=avd_first,
        )
        num_stages = checks.integer('num_stages', num_stages, least=1, most=4)
        reduction_factor = checks.integer('reduction_factor', reduction_factor, least=1)
        stage_with_dcn = (False,) * num_stages if stage_with_dcn is None else stage_with_dcn
        stage_with_dcn = checks.booleans('stage_with_dcn', stage_with_dcn, length=num_stages, what='stage')
        dcn = layer_configs.deform_config(dcn, stage_with_dcn, radix=architecture.radix)
        blocks_per_stage = BLOCKS_PER_STAGE[architecture.depth][:num_stages]
        plans = arguments.plan_network(
            architecture,
            blocks_per_stage,
            base_channels=base_channels,
            strides=strides,
            dilations=dilations,
            multi_grid=multi_grid,
            contract_dilation=contract_dilation,
            avg_down_stride=avg_down_stride,
            avd_in_dilated=avd_in_dilated,
            drop_path_rate=drop_path_rate,
            stage_with_dcn=stage_with_dcn,
            dcn_on_strided=not (dcn or {}).get('fallback_on_stride', False),
        )
        arguments.check_widths(plans, architecture, reduction_factor=reduction_factor)
        layer_configs.check_deform_groups(dcn, plans, radix=architecture.radix)
        out_indices = range(num_stages) if out_indices is None else out_indices
        out_indices = checks.stage_indices('out_indices', out_indices, num_stages=num_stages)
        norm_cfg = layer_configs.norm_config(
            'norm_cfg',
            BATCH_NORM if norm_cfg is None else norm_cfg,
            channels=norm_widths(plans, stem_channels=architecture.stem_channels, radix=architecture.radix),
            size=2,
        )
        attn_norm_cfg = layer_configs.norm_config(
            'attn_norm_cfg',
            pooled_norm_cfg(norm_cfg) if attn_norm_cfg is None else attn_norm_cfg,
            channels=[
                gate_channels(block.width, radix=architecture.radix, reduction_factor=reduction_factor)
                for plan in plans
                for block in plan.blocks
            ],
            size=1,
        )
        settings = BlockSettings(
            radix=architecture.radix,
            groups=architecture.groups,
            reduction_factor=reduction_factor,
            avd_first=architecture.avd_first,
            conv_cfg=layer_configs.conv_config(conv_cfg),
            dcn=dcn,
            norm=norm_factory(norm_cfg),
            pooled_norm=norm_factory(attn_norm_cfg),
        )
        in_channels = checks.integer('in_channels', in_channels, least=1)
        with_cp = checks.boolean('with_cp', with_cp)
        frozen_stages = checks.integer('frozen_stages', frozen_stages, least=-1, most=num_stages)
        norm_eval = checks.boolean('norm_eval', norm_eval)
        zero_init_residual = checks.boolean('zero_init_residual', zero_init_residual)
        plugins_by_stage = plan_plugins(plugins, plans)
        generic_init, pretrained_init = split_init_cfg(init_cfg, pretrained)

        super().__init__(init_cfg=generic_init or [dict(entry) for entry in KAIMING])
        self.has_default_init = not generic_init
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval
        self.zero_init_residual = zero_init_residual
        self.pretrained_init = pretrained_init
        self.has_loaded_weights = False
        self.warned_of_frozen_random_weights = False
        self.out_indices = out_indices
        self.out_channels = tuple(plans[index].out_channels for index in out_indices)
        self.out_strides = tuple(plans[index].out_stride for index in out_indices)

        self.stem = build_stem(in_channels, architecture.stem_channels, conv_cfg=settings.conv_cfg, norm=settings.norm)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        for index, plan in enumerate(plans):
            blocks = [Bottleneck(block, settings=settings, plugins=plugins_by_stage[index]) for block in plan.blocks]
            self.add_module(f'layer{index + 1}', Stage(blocks, with_cp=with_cp))
        self.stage_names = tuple(f'layer{index + 1}' for index in range(num_stages))
        self.register_load_state_dict_pre_hook(_note_loaded_weights)
        self._hold_still()

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return the maps of the stages in `out_indices`."""
        x = self.maxpool(self.stem(x))  # [N, stem, H/4, W/4]
        maps = []
        for index, name in enumerate(self.stage_names[: self.out_indices[-1] + 1]):
            x = getattr(self, name)(x)  # [N, C_i, H/s_i, W/s_i]
            if index in self.out_indices:
                maps.append(x)
        return tuple(maps)

    def train(self, mode: bool = True) -> ResNeSt:
        """Switch to training or evaluation, except what is frozen; return self."""
        super().train(mode)
        self._hold_still()
        if mode:
            self._warn_of_frozen_random_weights()
        return self

    def init_weights(self) -> None:
        """Initialise all weights as the configuration says; offsets start at zero unless a checkpoint has them."""
        if self.is_init:
            return
        load_checkpoint = prepare_pretrained(self, self.pretrained_init)
        with unchanged(self.plugin_modules if self.has_default_init else ()):
            super().init_weights()
        reset_offsets(self)
        if self.zero_init_residual:
            zero_last_norms(self)
        load_checkpoint()

    @property
    def added_keys(self) -> frozenset[str]:
        """Return the state-dict keys of plugins and deformable offsets, which no classifier's checkpoint has."""
        return frozenset(
            key
            for stage in self.stage_names
            for key in getattr(self, stage).state_dict(prefix=f'{stage}.')
            if key.split('.', 2)[2].startswith('conv2.conv.conv_offset.')
            or key.split('.')[2] in getattr(self, stage)[int(key.split('.')[1])].plugin_layers
        )

    @property
    def bottlenecks(self) -> tuple[Bottleneck, ...]:
        """Return all bottlenecks from the image's side."""
        return tuple(block for name in self.stage_names for block in getattr(self, name))

    @property
    def plugin_modules(self) -> tuple[nn.Module, ...]:
        """Return the layers that `plugins` inserted."""
        return tuple(getattr(block, name) for block in self.bottlenecks for name in block.plugin_layers)

    def _hold_still(self) -> None:
        if self.frozen_stages >= 0:
            freeze([self.stem, *(getattr(self, name) for name in self.stage_names[: self.frozen_stages])])
        if self.norm_eval:
            stop_running_stats(self)

    def _warn_of_frozen_random_weights(self) -> None:
        frozen = describe_frozen(frozen_stages=self.frozen_stages, norm_eval=self.norm_eval)
        if not frozen or self.has_loaded_weights or self.warned_of_frozen_random_weights:
            return
        self.warned_of_frozen_random_weights = True
        warnings.warn(
            f'frozen_stages={self.frozen_stages} and norm_eval={self.norm_eval} freeze {frozen} of a ResNeSt that no '
            'weights were loaded into: they stay at their random or initial values. Give '
            'init_cfg=dict(type="Pretrained", checkpoint=...), or train with frozen_stages=-1 and norm_eval=False',
            stacklevel=3,
        )


def _note_loaded_weights(backbone: ResNeSt, state: Mapping[str, Any], prefix: str, *_: Any) -> None:
    if any(key.startswith(f'{prefix}stem.') for key in state):
        backbone.has_loaded_weights = True
