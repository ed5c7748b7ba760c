"""The ResNeSts of mmdet and mmseg and their counterparts here."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from mmengine.config import Config

from resnest_mm.errors import UserError
from resnest_mm.parity.pairs import INSTALL, STRIDE_8, Pair, import_oracle

_WEIGHTS: Final = ('init_cfg', 'pretrained')
"""Keywords that name a checkpoint, which would be downloaded."""


def mmdet_pairs() -> list[Pair]:
    """Return every backbone of mmdet's ResNeSt configs, and its class with dilations, which no config uses.

    Raises:
        UserError: mmdet is missing.
    """
    dilated = {'depth': 50, 'norm_eval': False, **STRIDE_8}  # mmdet's default would freeze all statistics
    return [*config_pairs('mmdet'), host_pair('mmdet', dilated, label='mmdet depth 50, stride 8, no config')]


def mmseg_pairs() -> list[Pair]:
    """Return every backbone of mmseg's ResNeSt configs.

    Raises:
        UserError: mmseg is missing.
    """
    return config_pairs('mmseg')


def config_pairs(host: str) -> list[Pair]:
    """Return the different backbones of a host's ResNeSt configs, with the number of configs that have each.

    Args:
        host: mmdet or mmseg.
    """
    found: list[tuple[dict[str, Any], int]] = []
    for keywords in config_keywords(host):
        index = next((i for i, (other, _) in enumerate(found) if other == keywords), None)
        if index is None:
            found.append((keywords, 1))
        else:
            found[index] = keywords, found[index][1] + 1
    return [
        host_pair(host, keywords, label=f'{host} depth {keywords["depth"]}, {_stride(keywords)}, {count} configs')
        for keywords, count in found
    ]


def config_keywords(host: str) -> list[dict[str, Any]]:
    """Return the backbone's keywords in each of a host's ResNeSt configs, without `type` and without its weights.

    Args:
        host: mmdet or mmseg.

    Raises:
        UserError: The host is missing, or was installed without its configs.
    """
    folder = Path(import_oracle(host).__file__).parent / '.mim' / 'configs' / 'resnest'
    paths = sorted(folder.glob('*.py'))
    if not paths:
        raise UserError(f'{folder} has no configs; reinstall {host} from its wheel: {INSTALL[host]}')
    backbones = (Config.fromfile(path).model.backbone.to_dict() for path in paths)
    return [{key: backbone[key] for key in backbone if key not in ('type', *_WEIGHTS)} for backbone in backbones]


def host_pair(host: str, keywords: Mapping[str, Any], *, label: str) -> Pair:
    """Return a host's own class with these keywords; here the same, and where dilated what that class leaves out.

    Args:
        host: mmdet or mmseg.
        keywords: Arguments of the host's class.
        label: What it is called in a table; keywords that must be added here are appended.

    Raises:
        UserError: The host is missing.
    """
    build = import_oracle(f'{host}.models.backbones').ResNeSt
    switches: dict[str, Any] = {}
    if max(keywords.get('dilations', (1,))) > 1:
        switches = {'avd_in_dilated': False, 'contract_dilation': keywords.get('contract_dilation', False)}
    added = ', '.join(f'{name}={value}' for name, value in switches.items() if name not in keywords)
    return Pair(
        label=f'{label} ({added})' if added else label,
        depth=keywords['depth'],
        build_reference=lambda: build(**keywords),
        reference_maps=lambda network, images: network(images),
        rename=lambda state: state,
        keywords={**keywords, **switches},
    )


def _stride(keywords: Mapping[str, Any]) -> str:
    return f'stride {4 * math.prod(keywords.get("strides", (1, 2, 2, 2)))}'
