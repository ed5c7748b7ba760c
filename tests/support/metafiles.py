"""The entries of the metafiles, by config."""

from __future__ import annotations

import functools

from resnest_mm.model_zoo.metafile import Entry, read_index
from tests.support.shipped_configs import CONFIGS

ENTRIES = read_index(CONFIGS.parent / 'model-index.yml')


@functools.cache
def entry_of(config: str) -> Entry:
    """Return the one entry of a config, named as `resnest_mm.config_path` takes it; without one, the test fails."""
    (entry,) = (entry for entry in ENTRIES if entry.config == config)
    return entry


def first_metrics(entry: Entry) -> dict[str, float]:
    """Return the numbers on the data set of the first result, by name; of an entry without results none."""
    results = [result for result in entry.results if result.dataset == entry.results[0].dataset]
    return {name: float(value) for result in results for name, value in result.metrics.items()}
