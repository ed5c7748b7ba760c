"""Reading the label maps of a data set: a sample of them, or all."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from operator import itemgetter
from typing import Final

from tqdm import tqdm

from resnest_mm.training.data_check.sampling import choose
from resnest_mm.training.data_check.segmentation.reading import MapValues, Pair, read_map
from resnest_mm.training.data_check.source import Settings, Source

_THREADS: Final = 8
_BLOCK: Final = 16
_MOST_PIXELS: Final = 400_000_000
"""A sample ends when its maps have this many pixels, which takes a few seconds."""


def read_maps(
    source: Source, pairs: Sequence[Pair], settings: Settings, *, backend: str
) -> list[tuple[str, MapValues]]:
    """Return path and values of the maps, and show the progress on a terminal.

    Args:
        source: The data set.
        pairs: Its maps that exist.
        settings: How many to read. A sample ends early when its maps are large.
        backend: `imdecode_backend` of the pipeline.
    """
    chosen = choose(pairs, settings.images, seed=settings.seed)
    if len(chosen) < len(pairs):
        random.Random(settings.seed).shuffle(chosen)  # where the sample ends early, it is still one of all
    maps: list[tuple[str, MapValues]] = []
    pixels = 0

    def read(pair: Pair) -> MapValues:
        return read_map(pair, backend=backend)

    with (
        ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1)) as pool,
        tqdm(
            total=len(chosen),
            desc=f'label maps of {source.split}',
            unit='map',
            disable=None if settings.progress else True,
            leave=False,
        ) as bar,
    ):
        # A block at a time, so that a sample can end early.
        for start in range(0, len(chosen), _BLOCK):
            block = chosen[start : start + _BLOCK]
            for pair, values in zip(block, pool.map(read, block), strict=True):
                maps.append((pair.label_map, values))
                pixels += values.size[0] * values.size[1]
                bar.update()
            if settings.images is not None and pixels >= _MOST_PIXELS:
                break
    return sorted(maps, key=itemgetter(0))
