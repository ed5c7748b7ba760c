"""Unpickling without running code: numpy arrays, as in detectron2's `.pkl`, and the training checkpoints of mmengine.

Written by hand, because no library does it: `torch.load(weights_only=True)` reads only files that torch wrote, not
detectron2's pickles, and numpy has no restricted unpickler. Torch's own files are read by its own restricted
unpickler; this module adds to its list of allowed names what mmengine writes beside the weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import IO, Any, Final

import torch

from resnest_mm.weights.io.numpy_parts import (
    CORES,
    HISTORIES,
    PickledArray,
    PickledNumber,
    PickledType,
    arrays,
    frombuffer,
    no_bytes,
)
from resnest_mm.weights.io.restricted import RestrictedUnpickler, check_nesting, encode, ordered_dict


def allow_mmengine_checkpoints() -> None:
    """Let `torch.load(weights_only=True)` read the training checkpoints of mmengine.

    A training checkpoint holds loss histories (`HistoryBuffer`, numpy arrays) and scores (numpy scalars), which torch
    from 2.6 on refuses by default. What they call by name is replaced by the stand-ins of
    `resnest_mm.weights.io.numpy_parts`. All other globals stay refused, so a checkpoint still cannot run code. The
    permission holds for the whole process; a second call changes nothing.
    """
    if not hasattr(torch.serialization, 'add_safe_globals'):
        return
    names: dict[str, Any] = {**arrays(PickledType), **HISTORIES}
    # These are what the functions return; torch sets the state of objects of admitted classes only.
    names |= {f'{kind.__module__}.{kind.__qualname__}': kind for kind in (PickledArray, PickledType)}
    torch.serialization.add_safe_globals([(value, name) for name, value in names.items()])


class ArrayUnpickler(RestrictedUnpickler):
    """An unpickler for containers, numbers, text and numeric numpy arrays.

    Args:
        stream: The pickle.

    Raises:
        RefusedError: From `load`, before anything else is called.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__(stream, names=_ADMITTED, buildable=(PickledNumber, PickledArray))

    def load(self) -> Any:
        """Return the content."""
        content = super().load()
        check_nesting(content)
        return content


_ADMITTED: Final[Mapping[str, object]] = MappingProxyType(
    {
        **arrays(PickledNumber),
        **{f'{core}.numeric._frombuffer': frombuffer for core in CORES},
        '__builtin__.bytes': no_bytes,
        '_codecs.encode': encode,
        'collections.OrderedDict': ordered_dict,
    }
)
