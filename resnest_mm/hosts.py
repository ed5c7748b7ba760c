"""Trying to import a host, mmdet or mmseg, for the parts of this package that need it."""

from __future__ import annotations

import importlib
import warnings


def host_imports(name: str) -> bool:
    """Return whether a host can be imported; if not, warn with the message of its error.

    The registries import the parts for every installed host. If one host fails, such as mmseg with a newer mmcv, the
    parts for the other host must still be registered.

    Args:
        name: Import name of the host, such as `'mmseg'`.
    """
    try:
        importlib.import_module(name)
    except (ImportError, AssertionError) as error:
        warnings.warn(
            f'{name} is installed but cannot be imported ({error}), so the parts of resnest_mm for it are missing; '
            'python -m resnest_mm.check prints a fix',
            stacklevel=2,
        )
        return False
    return True
