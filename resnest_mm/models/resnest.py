"""The ResNeSt backbone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.model import BaseModule
from torch import Tensor, nn

from resnest_mm.models.arguments.checks import boolean, integer, stage_indices
from resnest_mm.models.arguments.keywords import explain_unknown_keywords
from resnest_mm.models.arguments.network import plan_network
from resnest_mm.models.arguments.norms import check_zero_init
from resnest_mm.models.arguments.plugins import plan_plugins
from resnest_mm.models.arguments.refused import REFUSED_KEYWORDS, check_style
from resnest_mm.models.arguments.variant import resolve_variant
from resnest_mm.models.bottleneck import Bottleneck
from resnest_mm.models.freezing import freeze, keep_norms_in_eval_mode, warn_of_frozen_random_weights
from resnest_mm.models.initialization import (
    KAIMING,
    InitConfig,
    prepare_pretrained,
    reset_offsets,
    split_init_cfg,
    unchanged,
    zero_last_norms,
)
from resnest_mm.models.layers.norm_config import norm_factory
from resnest_mm.models.stage import Stage
from resnest_mm.models.stem import build_stem
from resnest_mm.registry import MODELS


@MODELS.register_module()
class ResNeSt(BaseModule):
    """ResNeSt, a ResNet with split attention, as a backbone that returns one feature map per stage.

    Args:
        depth: 14, 26, 50, 101, 152, 200 or 269.
        variant: Name of a network, a key of `resnest_mm.models.VARIANTS`. It replaces `depth`, or must agree with it.
        in_channels: Channels of the image.
        stem_channels: Output channels of the stem, even; None means 64 up to depth 50 and 128 above, as released.
        base_channels: Inner channels of the first stage's bottlenecks at `base_width=64` and one group.
        num_stages: Number of stages to build, 1 to 4.
        strides: Stride of each stage, 1 to 16; None means 1, 2, 2, 2.
        dilations: Dilation of each stage, 1 to 1024; None means 1.
        out_indices: Indices of the stages whose feature maps are returned, from 0, rising; None means all.
        radix: Splits in each cardinal group, at least 1; 1 means a sigmoid gate. None means the variant's, 2.
        groups: Cardinal groups, at least 1. None means the variant's, 1.
        base_width: Channels of one cardinal group in a 64-channel bottleneck. None means the variant's, 64.
        reduction_factor: Divisor of the attention's hidden channels, at least 1.
        avg_down_stride: Whether 3x3 average pools have the strides instead of the 3x3 convolutions.
        avd_first: Whether these pools are before the convolutions instead of after. None means the variant's, False.
        avd_in_dilated: Whether the first block of stages 2 to 4 has its pool even if its stride is 1, as in the
            official dilated networks. False is the behaviour of mmdet's and mmseg's ResNeSt.
        contract_dilation: Whether the first block of a dilated stage has half of its dilation, as in the official
            networks.
        multi_grid: Dilation of each block in the last stage; None means that stage's entry in `dilations`.
        style: Only 'pytorch'.
        conv_cfg: Config of the convolutions; None means plain ones.
        norm_cfg: Config of all norms; None means `dict(type='BN', requires_grad=True)`.
        attn_norm_cfg: Config of the norms after the global pooling in the attention. None means `norm_cfg` if that is a
            batch norm, otherwise a group norm with one group.
        norm_eval: Keep all norm layers in eval mode during training, so their running statistics do not change.
        frozen_stages: Frozen parts: -1 none, 0 the stem, k the stem and stages 1 to k.
        dcn: Config of deformable convolutions, `dict(type='DCN' or 'DCNv2')`. Optional keys: `deform_groups` (default:
            the radix) and `fallback_on_stride` (default False), which keeps plain convolutions in blocks with a stride.
        stage_with_dcn: Which stages have deformable convolutions; None means none.
        plugins: Extra layers, entries `dict(cfg=dict(type=...), position='after_conv1|2|3', stages=(...))`.
        with_cp: Whether activations are recomputed in the backward pass to save memory. Under `torch.compile` the
            compiler decides about this instead.
        drop_path_rate: Drop probability in [0, 1) of the last block's residual branch; it rises linearly from 0.
        zero_init_residual: Whether the weight of each block's last norm starts at zero, so that the block starts as its
            shortcut.
        pretrained: Short for `init_cfg=dict(type='Pretrained', checkpoint=pretrained)`.
        init_cfg: Initialisation for mmengine. A `Pretrained` checkpoint must fill the whole backbone unless it has
            `strict=False`. None means Kaiming.

    Shape:
        input [N, in_channels, H, W], output a tuple of feature maps [N, out_channels[i], ceil(H/out_strides[i]), ...].
        N may be 0.

    Raises:
        TypeError: A keyword is unknown, or an argument has the wrong type.
        ValueError: An argument is out of range, two contradict each other, a layer cannot be built, or the network
            would have more than a billion parameters.

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

    @explain_unknown_keywords(refused=REFUSED_KEYWORDS)
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
        check_style(style)
        resolved = resolve_variant(
            depth=depth,
            variant=variant,
            stem_channels=stem_channels,
            radix=radix,
            groups=groups,
            base_width=base_width,
            avd_first=avd_first,
        )
        plan = plan_network(
            resolved,
            in_channels=in_channels,
            num_stages=num_stages,
            base_channels=base_channels,
            strides=strides,
            dilations=dilations,
            multi_grid=multi_grid,
            contract_dilation=contract_dilation,
            reduction_factor=reduction_factor,
            avg_down_stride=avg_down_stride,
            avd_in_dilated=avd_in_dilated,
            drop_path_rate=drop_path_rate,
            conv_cfg=conv_cfg,
            norm_cfg=norm_cfg,
            attn_norm_cfg=attn_norm_cfg,
            dcn=dcn,
            stage_with_dcn=stage_with_dcn,
        )
        plugins_by_stage = plan_plugins(plugins, plan.stages)
        initialisers, pretrained_init = split_init_cfg(init_cfg, pretrained)
        num_stages, in_channels = len(plan.stages), int(in_channels)
        with_cp = boolean('with_cp', with_cp)
        if boolean('zero_init_residual', zero_init_residual):
            check_zero_init(plan.block_settings.norm_cfg)
        frozen_stages = integer('frozen_stages', frozen_stages, least=-1, most=num_stages)
        norm_eval = boolean('norm_eval', norm_eval)
        out_indices = range(num_stages) if out_indices is None else out_indices
        out_indices = stage_indices('out_indices', out_indices, num_stages=num_stages)

        super().__init__(init_cfg=initialisers or [dict(entry) for entry in KAIMING])
        self.has_default_init = not initialisers
        self.pretrained_init = pretrained_init
        self.zero_init_residual = zero_init_residual
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval
        self.has_loaded_weights = False
        self.warned_of_frozen_random_weights = False
        self.out_indices = out_indices
        self.out_channels = tuple(plan.stages[index].out_channels for index in self.out_indices)
        self.out_strides = tuple(plan.stages[index].out_stride for index in self.out_indices)

        settings = plan.block_settings
        norm = norm_factory(settings.norm_cfg)
        self.stem = build_stem(in_channels, plan.stem_channels, conv_cfg=settings.conv_cfg, norm=norm)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        for index, (stage, stage_plugins) in enumerate(zip(plan.stages, plugins_by_stage, strict=True)):
            blocks = (Bottleneck(block, settings=settings, plugins=stage_plugins) for block in stage.blocks)
            self.add_module(f'layer{index + 1}', Stage(blocks, with_cp=with_cp))
        self.stage_names = tuple(f'layer{index + 1}' for index in range(num_stages))

        self.register_load_state_dict_pre_hook(_note_loaded_weights)
        self._freeze_stages()

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return the feature maps of the stages in `out_indices`."""
        x = self.maxpool(self.stem(x))  # [N, stem_channels, H/4, W/4]
        feature_maps = []
        for index, name in enumerate(self.stage_names[: self.out_indices[-1] + 1]):
            x = getattr(self, name)(x)  # [N, C_i, H/s_i, W/s_i]
            if index in self.out_indices:
                feature_maps.append(x)
        return tuple(feature_maps)

    def train(self, mode: bool = True) -> ResNeSt:
        """Set training or eval mode, except for frozen parts, and return self."""
        super().train(mode)
        self._freeze_stages()
        if mode:
            self._warn_of_frozen_random_weights()
        return self

    def init_weights(self) -> None:
        """Initialise all weights, then load the checkpoint if there is one.

        Offsets of deformable convolutions start at zero unless the checkpoint has them.
        """
        if self.is_init:
            return
        load_checkpoint = prepare_pretrained(self, self.pretrained_init)
        with unchanged(self.plugin_modules if self.has_default_init else ()):
            super().init_weights()
        reset_offsets(self.bottlenecks)
        if self.zero_init_residual:
            zero_last_norms(self.bottlenecks)
        load_checkpoint()

    @property
    def added_keys(self) -> frozenset[str]:
        """Return the state-dict keys of plugins and offset convolutions, which no checkpoint of a classifier has."""
        return frozenset(
            key
            for stage in self.stage_names
            for key in getattr(self, stage).state_dict(prefix=f'{stage}.')
            if key.split('.', 2)[2].startswith('conv2.conv.conv_offset.')
            or key.split('.')[2] in getattr(self, stage)[int(key.split('.')[1])].plugin_layers
        )

    @property
    def bottlenecks(self) -> tuple[Bottleneck, ...]:
        """Return all bottlenecks, the first stage's first."""
        return tuple(block for name in self.stage_names for block in getattr(self, name))

    @property
    def plugin_modules(self) -> tuple[nn.Module, ...]:
        """Return the layers inserted by `plugins`."""
        return tuple(getattr(block, name) for block in self.bottlenecks for name in block.plugin_layers)

    def _freeze_stages(self) -> None:
        if self.frozen_stages >= 0:
            freeze([self.stem, *(getattr(self, name) for name in self.stage_names[: self.frozen_stages])])
        if self.norm_eval:
            keep_norms_in_eval_mode(self)

    def _warn_of_frozen_random_weights(self) -> None:
        if self.has_loaded_weights or self.warned_of_frozen_random_weights:
            return
        self.warned_of_frozen_random_weights = warn_of_frozen_random_weights(
            frozen_stages=self.frozen_stages, norm_eval=self.norm_eval
        )


def _note_loaded_weights(backbone: ResNeSt, state: Mapping[str, Any], prefix: str, *_: Any) -> None:
    if any(key.startswith(f'{prefix}stem.') for key in state):
        backbone.has_loaded_weights = True
