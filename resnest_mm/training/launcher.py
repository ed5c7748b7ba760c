"""Distributed runs: the launchers that can start them, and the environment variables by which they do."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from mmengine.config import Config
from mmengine.device import get_device

from resnest_mm.errors import UserError
from resnest_mm.training.options.single_gpu import count_sync_norms


@dataclass(frozen=True)
class Launcher:
    """How a launcher starts a process.

    Args:
        command: The command that starts the tool.
        variables: Environment variables that mmengine reads in each process.
        rank: The variable among these that holds the rank of the process.
    """

    command: str
    variables: tuple[str, ...]
    rank: str


_LAUNCHERS: Final[Mapping[str, Launcher]] = MappingProxyType(
    {
        'pytorch': Launcher('torchrun', ('RANK', 'WORLD_SIZE'), 'RANK'),
        'slurm': Launcher('srun', ('SLURM_PROCID', 'SLURM_NTASKS'), 'SLURM_PROCID'),
        'mpi': Launcher(
            'mpirun', ('OMPI_COMM_WORLD_LOCAL_RANK', 'OMPI_COMM_WORLD_RANK', 'MASTER_ADDR'), 'OMPI_COMM_WORLD_RANK'
        ),
    }
)
LAUNCHERS: Final = ('none', *_LAUNCHERS)
"""Values of `--launcher`; `none` is a run of one process."""


def apply_launcher(cfg: Config, launcher: str, *, environ: Mapping[str, str] | None = None) -> Config:
    """Return a copy that runs under a launcher, after checking that the launcher started this process.

    Args:
        cfg: Parsed config.
        launcher: One of `LAUNCHERS`.
        environ: Environment variables; those of this process by default.

    Raises:
        UserError: An unknown launcher, a machine without a GPU, or a variable of the launcher that is not set.
    """
    if launcher not in LAUNCHERS:
        raise UserError(f'launcher {launcher!r} is unknown; choose one of {", ".join(LAUNCHERS)}')
    environ = os.environ if environ is None else environ
    if launcher != 'none':
        if get_device() == 'cpu':
            norms = count_sync_norms(cfg.get('model'))
            also = f', and the {norms} SyncBN settings of the model work on GPUs only' if norms else ''
            raise UserError(
                f'--launcher {launcher} needs GPUs: mmengine gives one to each process{also}; '
                'on a CPU leave --launcher out'
            )
        missing = [name for name in _LAUNCHERS[launcher].variables if name not in environ]
        if missing:
            command = _LAUNCHERS[launcher].command
            raise UserError(f'--launcher {launcher}: {missing[0]} is not set; start the tool with {command}')
    changed = copy.deepcopy(cfg)
    changed.launcher = launcher
    return changed


def is_first_process(launcher: str, *, environ: Mapping[str, str] | None = None) -> bool:
    """Return whether this process has rank 0, before the processes of a run are connected.

    Args:
        launcher: One of `LAUNCHERS`, after `apply_launcher` accepted it.
        environ: Environment variables; those of this process by default.
    """
    environ = os.environ if environ is None else environ
    return launcher == 'none' or int(environ[_LAUNCHERS[launcher].rank]) == 0
