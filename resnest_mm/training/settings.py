"""Training and testing switches of the command line as pure functions: config in, changed copy out."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from pathlib import Path

from mmengine.config import Config
from mmengine.device import get_device

from resnest_mm.errors import UserError
from resnest_mm.training.single_gpu import count_sync_norms

_LAUNCHER_VARIABLES = {
    'none': (),
    'pytorch': ('RANK', 'WORLD_SIZE'),
    'slurm': ('SLURM_PROCID', 'SLURM_NTASKS'),
    'mpi': ('OMPI_COMM_WORLD_LOCAL_RANK', 'MASTER_ADDR'),
}
LAUNCHERS = tuple(_LAUNCHER_VARIABLES)


def apply_work_dir(cfg: Config, work_dir: str | None, *, config_name: str) -> Config:
    """Return a copy with its work_dir decided: command line, then config, then `work_dirs/<config stem>`.

    Args:
        cfg: Parsed config.
        work_dir: Folder from the command line.
        config_name: Config as the user named it.

    Raises:
        UserError: The path exists and is not a folder.
    """
    changed = copy.deepcopy(cfg)
    changed.work_dir = work_dir or cfg.get('work_dir') or str(Path('work_dirs') / Path(config_name).stem)
    wanted = Path(changed.work_dir).absolute()
    nearest = next(path for path in (wanted, *wanted.parents) if path.exists())
    if not nearest.is_dir():
        raise UserError(f'work_dir {changed.work_dir}: {nearest} is a file; choose another --work-dir')
    if not os.access(nearest, os.W_OK):
        raise UserError(f'work_dir {changed.work_dir}: {nearest} is not writable; choose another --work-dir')
    return changed


def apply_launcher(cfg: Config, launcher: str, *, environ: Mapping[str, str] | None = None) -> Config:
    """Return a copy that runs under a launcher, after checking that this process was started by it.

    Args:
        cfg: Parsed config.
        launcher: One of `LAUNCHERS`.
        environ: Environment to look in; the process's own by default.

    Raises:
        UserError: The launcher's variables are not set, or the machine has no accelerator to distribute over.
    """
    names = _LAUNCHER_VARIABLES[launcher]
    environ = os.environ if environ is None else environ
    if names and get_device() == 'cpu':
        norms = count_sync_norms(cfg.get('model'))
        also = f', and the {norms} SyncBN settings of the model work on GPUs only' if norms else ''
        raise UserError(
            f'--launcher {launcher} needs GPUs: mmengine gives one to each process{also}; on a CPU leave --launcher out'
        )
    missing = [name for name in names if name not in environ]
    if missing:
        start = {'pytorch': 'torchrun', 'slurm': 'srun', 'mpi': 'mpirun'}[launcher]
        raise UserError(f'--launcher {launcher}: {missing[0]} is not set; start the tool with {start}')
    changed = copy.deepcopy(cfg)
    changed.launcher = launcher
    return changed


def apply_amp(cfg: Config) -> Config:
    """Return a copy that trains in mixed precision with a dynamic loss scale.

    Raises:
        UserError: No accelerator, no optim_wrapper, or one that is neither OptimWrapper nor AmpOptimWrapper.
    """
    if get_device() == 'cpu':
        raise UserError('--amp needs a GPU: mmengine trains in mixed precision on accelerators only; leave --amp out')
    wrapper = cfg.get('optim_wrapper')
    if not isinstance(wrapper, dict):
        raise UserError('--amp: the config has no optim_wrapper')
    kind = wrapper.get('type', 'OptimWrapper')
    name = kind if isinstance(kind, str) else getattr(kind, '__name__', str(kind))
    if name.rpartition('.')[2] not in ('OptimWrapper', 'AmpOptimWrapper'):
        raise UserError(
            f'--amp replaces optim_wrapper.type OptimWrapper only, and the config has {name}; leave --amp out'
        )
    changed = copy.deepcopy(cfg)
    changed.optim_wrapper.type = 'AmpOptimWrapper'
    changed.optim_wrapper.loss_scale = 'dynamic'
    return changed


def apply_auto_scale_lr(cfg: Config) -> Config:
    """Return a copy in which mmengine scales the learning rate by real batch size / `base_batch_size`.

    Raises:
        UserError: `auto_scale_lr` lacks `enable` or `base_batch_size`.
    """
    settings = cfg.get('auto_scale_lr')
    lacking = [key for key in ('enable', 'base_batch_size') if not isinstance(settings, dict) or key not in settings]
    if lacking:
        raise UserError(
            f'--auto-scale-lr: the config has no auto_scale_lr.{lacking[0]}; '
            'add auto_scale_lr=dict(enable=False, base_batch_size=<images per step its lr was chosen for>)'
        )
    changed = copy.deepcopy(cfg)
    changed.auto_scale_lr.enable = True
    return changed


def apply_resume(cfg: Config, resume: str | None) -> Config:
    """Return a copy that goes on from a checkpoint.

    Args:
        cfg: Parsed config.
        resume: `'auto'` for the last checkpoint of the work_dir, a checkpoint's path, or None for no change.
    """
    changed = copy.deepcopy(cfg)
    if resume is not None:
        changed.resume = True
        changed.load_from = None if resume == 'auto' else resume
    return changed
