"""Whether a host can really be imported, for the parts of this package that build on it."""

from __future__ import annotations

import importlib
import warnings


def host_imports(name: str) -> bool:
    """Return whether a host imports; warn with its own words where it does not.

    The registries import the parts for every host that is installed. A host that is installed but refuses to load, such
    as an mmseg that meets a newer mmcv, must not take the parts for another host with it.

    Args:
        name: Import name of the host, such as `'mmseg'`.
    """
    try:
        importlib.import_module(name)
    except (ImportError, AssertionError) as error:
        warnings.warn(
            f'{name} is installed but cannot be imported ({error}), so the parts of resnest_mm that build on it are '
            f'missing; python -m resnest_mm.check says what mends it',
            stacklevel=2,
        )
        return False
    return True
