"""Running a piece of a test in two processes that train together."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

needs_processes = pytest.mark.skipif(not dist.is_available(), reason='torch was built without distributed training')

PRELOADED = ['pytest', 'torch', 'mmcv.cnn', 'mmengine.runner']
"""What the server imports: nothing of this repository, because it does not know pytest's paths."""


def run_in_two_processes(work: Callable[[int], Any], folder: Path) -> list[Any]:
    """Return what `work(rank)` returns in each of two processes that talk over gloo.

    Both are forked from a server that has imported what is slow to import and started no thread.
    """
    mp.get_context('forkserver').set_forkserver_preload(PRELOADED)
    mp.start_processes(_process, args=(work, str(folder)), nprocs=2, start_method='forkserver')
    return [torch.load(folder / f'{rank}.pt') for rank in range(2)]


def _process(rank: int, work: Callable[[int], Any], folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group('gloo', init_method=f'file://{folder}/store', rank=rank, world_size=2)
    torch.save(work(rank), Path(folder) / f'{rank}.pt')
    dist.destroy_process_group()
