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


def run_in_two_processes(work: Callable[[int], Any], folder: Path) -> list[Any]:
    """Return what `work(rank)` returns in each of two processes that talk over gloo.

    Starting them takes seconds, most of it imports, so a test module does it once.
    """
    mp.spawn(_process, args=(work, str(folder)), nprocs=2)
    return [torch.load(folder / f'{rank}.pt') for rank in range(2)]


def _process(rank: int, work: Callable[[int], Any], folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group('gloo', init_method=f'file://{folder}/store', rank=rank, world_size=2)
    torch.save(work(rank), Path(folder) / f'{rank}.pt')
    dist.destroy_process_group()
