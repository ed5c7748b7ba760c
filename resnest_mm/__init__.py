"""ResNeSt backbones for OpenMMLab: `type='resnest_mm.ResNeSt'` in any mmdetection or mmsegmentation config.

The public names resolve on first use, so importing the package costs next to nothing and prints nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from resnest_mm.paths import config_path, list_configs

if TYPE_CHECKING:
    from resnest_mm.models.resnest import ResNeSt
    from resnest_mm.models.split_attention import SplitAttention
    from resnest_mm.registry import MODELS

    __version__: str

__all__ = ['MODELS', 'ResNeSt', 'SplitAttention', '__version__', 'config_path', 'list_configs']

_HOMES = {
    'MODELS': 'resnest_mm.registry',
    'ResNeSt': 'resnest_mm.models.resnest',
    'SplitAttention': 'resnest_mm.models.split_attention',
}


def __getattr__(name: str) -> object:
    if name == '__version__':
        from resnest_mm.paths import package_version

        value: object = package_version()
    elif name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
    else:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
