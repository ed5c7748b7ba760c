"""From the arguments of a training or a test to the config that the Runner gets, with every check before it.

    arguments -> load_config -> options applied -> checks -> weights downloaded -> RunPlan -> Runner

A check that fails raises an error of `resnest_mm.errors`; until then nothing is downloaded and no file is written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import RUNNERS
from mmengine.runner import Runner
from torch import nn

from resnest_mm.errors import UserError
from resnest_mm.paths import expand_home
from resnest_mm.training.checks.build import check_build
from resnest_mm.training.checks.checkpoints import check_checkpoint, check_start
from resnest_mm.training.checks.data_files import check_data
from resnest_mm.training.checks.sections import check_sections
from resnest_mm.training.config.load import load_config
from resnest_mm.training.data_check.check import check_datasets
from resnest_mm.training.data_check.verdict import judge
from resnest_mm.training.launcher import apply_launcher, is_first_process
from resnest_mm.training.options.single_gpu import count_sync_norms, use_single_gpu
from resnest_mm.training.options.testing import apply_out, apply_show_dir, apply_tta
from resnest_mm.training.options.training import apply_amp, apply_auto_scale_lr, apply_partial, apply_resume
from resnest_mm.training.preprocessing import preprocessing_notes
from resnest_mm.training.pretrained import check_pretrained, fetch_pretrained, find_pretrained
from resnest_mm.training.safety.checkpoint_hook import apply_safe_checkpoints
from resnest_mm.training.safety.lock import check_unlocked
from resnest_mm.training.safety.own_hooks import apply_own_hooks
from resnest_mm.training.safety.resume import apply_newest_checkpoint
from resnest_mm.training.safety.resumed_seed import apply_resumed_seed
from resnest_mm.training.start.checkpoint import Start, find_start, keep_load_from, load_start
from resnest_mm.training.start.initializers import check_initializers, localize_initializers
from resnest_mm.training.work_dir import apply_work_dir, name_for_test
from resnest_mm.weights.io.unpickle import allow_mmengine_checkpoints


@dataclass(frozen=True, kw_only=True)
class TrainArguments:
    """Arguments of a training, as `tools/train.py` takes them.

    Args:
        config: Path of a config, or the name of a shipped one.
        work_dir: Folder for logs and checkpoints; None takes the config's, else `work_dirs/<config stem>`.
        cfg_options: Dotted keys of the config and their new values.
        launcher: What started the processes, one of `resnest_mm.training.launcher.LAUNCHERS`.
        resume: Checkpoint to resume from; `'auto'` for the last one of the work_dir; None starts a new training.
        amp: Whether to train in mixed precision with a dynamic loss scale.
        auto_scale_lr: Whether to scale the learning rate by real batch size / `auto_scale_lr.base_batch_size`.
        single_gpu: Whether to turn SyncBN into BN and scale the learning rate to the batch size of one GPU.
        partial: Whether to start from a checkpoint in `load_from` that does not fill the model.
        data_check: Whether to look for faults in the data.
    """

    config: str
    work_dir: str | None = None
    cfg_options: Mapping[str, Any] | None = None
    launcher: str = 'none'
    resume: str | None = None
    amp: bool = False
    auto_scale_lr: bool = False
    single_gpu: bool = False
    partial: bool = False
    data_check: bool = True


@dataclass(frozen=True, kw_only=True)
class TestArguments:
    """Arguments of a test, as `tools/test.py` takes them.

    Args:
        config: Path of a config, or the name of a shipped one.
        checkpoint: Checkpoint of the trained model: a file, or a URL that mmengine can load.
        work_dir: Folder for logs; None takes the config's, else `work_dirs/<config stem>`.
        cfg_options: Dotted keys of the config and their new values.
        launcher: What started the processes, one of `resnest_mm.training.launcher.LAUNCHERS`.
        out: Pickle file for the predictions; None writes none.
        show_dir: Folder for images with the predictions drawn in; None draws none.
        tta: Whether to test with test-time augmentation.
        partial: Whether to test a checkpoint that does not fill the model.
        data_check: Whether to look for faults in the data.
    """

    __test__ = False  # pytest takes a class of this name for tests

    config: str
    checkpoint: str
    work_dir: str | None = None
    cfg_options: Mapping[str, Any] | None = None
    launcher: str = 'none'
    out: str | None = None
    show_dir: str | None = None
    tta: bool = False
    partial: bool = False
    data_check: bool = True


@dataclass(frozen=True)
class RunPlan:
    """A run that passed every check.

    Args:
        cfg: Config for the Runner.
        notes: What the user should know before the run starts, a line each.
        damaged: Damaged checkpoints that are to be set aside before the run starts.
        data_notes: What the check of the data found and does not refuse, a line each.
    """

    cfg: Config
    notes: tuple[str, ...] = ()
    damaged: tuple[Path, ...] = ()
    data_notes: tuple[str, ...] = ()

    def build_runner(self) -> Any:
        """Return the Runner of the config: mmengine's own, or the one that `runner_type` names."""
        return RUNNERS.build(self.cfg) if 'runner_type' in self.cfg else Runner.from_cfg(self.cfg)


def plan_training(arguments: TrainArguments) -> RunPlan:
    """Check everything that a training needs and return its plan.

    From then on this process can load mmengine's training checkpoints, see
    `resnest_mm.weights.io.unpickle.allow_mmengine_checkpoints`.

    Args:
        arguments: Arguments of the training.

    Raises:
        UserError: Arguments, a config or files that cannot work.
        CheckpointError: A published file that cannot be downloaded, or a checkpoint that does not fill the model.
    """
    allow_mmengine_checkpoints()
    if arguments.single_gpu and arguments.launcher != 'none':
        raise UserError(f'--single-gpu and --launcher {arguments.launcher} exclude each other; leave one out')
    if arguments.single_gpu and arguments.auto_scale_lr:
        raise UserError('--single-gpu and --auto-scale-lr would both scale the learning rate; leave one out')
    cfg = load_config(arguments.config, cfg_options=arguments.cfg_options)
    check_sections(cfg, split='train')
    cfg = apply_work_dir(cfg, arguments.work_dir, config_name=arguments.config)
    cfg = apply_launcher(cfg, arguments.launcher)
    if is_first_process(arguments.launcher):
        check_unlocked(cfg.work_dir)
    cfg = apply_amp(cfg) if arguments.amp else cfg
    cfg = apply_auto_scale_lr(cfg) if arguments.auto_scale_lr else cfg
    if isinstance(cfg.get('load_from'), str):
        cfg.load_from = expand_home(cfg.load_from)
    load_from = cfg.get('load_from')
    cfg = apply_resume(cfg, arguments.resume)
    resumes = bool(cfg.get('resume') and not cfg.get('load_from'))
    cfg, newest = apply_newest_checkpoint(cfg)
    cfg = apply_own_hooks(apply_safe_checkpoints(cfg))
    cfg = apply_partial(cfg) if arguments.partial else cfg
    notes = []
    if arguments.single_gpu:
        cfg, change = use_single_gpu(cfg)
        notes.append(str(change))
    elif arguments.launcher == 'none' and (norms := count_sync_norms(cfg.model)):
        notes.append(f'{norms} SyncBN settings act as BN in this single process; --single-gpu also scales the lr to it')
    entries = find_pretrained(cfg)
    check_data(cfg, splits=('train', 'val'))
    cfg = keep_load_from(cfg, load_from)
    check_start(cfg)
    cfg = apply_resumed_seed(cfg)
    check_pretrained(entries)
    model = check_build(cfg, splits=('train', 'val'))
    found: list[str] = []
    if arguments.data_check:
        found = _check_contents(cfg, model, splits=('train', 'val'), launcher=arguments.launcher)
    fetch_pretrained(entries)
    cfg, files = localize_initializers(cfg, entries)
    notes += check_initializers(model, files, partial=arguments.partial)
    start = find_start(cfg)
    notes += newest.notes
    if resumes and newest.checkpoint is None:
        weights = 'from the beginning' if start is None else f'with the weights of load_from, {load_from}'
        notes.append(
            f'--resume: no {"whole " * bool(newest.damaged)}checkpoint in {cfg.work_dir}; training starts {weights}'
        )
    if start is not None:
        cfg, misfits = load_start(cfg, start, model, partial=arguments.partial)
        notes += misfits
    notes += preprocessing_notes(entries)
    return RunPlan(cfg, tuple(notes), newest.damaged, tuple(found))


def plan_testing(arguments: TestArguments) -> RunPlan:
    """Check everything that a test needs and return its plan.

    From then on this process can load mmengine's training checkpoints, see
    `resnest_mm.weights.io.unpickle.allow_mmengine_checkpoints`.

    Args:
        arguments: Arguments of the test.

    Raises:
        UserError: Arguments, a config or files that cannot work.
        CheckpointError: A checkpoint that cannot be downloaded, or that does not fill the model.
    """
    allow_mmengine_checkpoints()
    cfg = load_config(arguments.config, cfg_options=arguments.cfg_options)
    check_sections(cfg, split='test')
    cfg = apply_work_dir(cfg, arguments.work_dir, config_name=arguments.config)
    cfg = apply_launcher(cfg, arguments.launcher)
    checkpoint = expand_home(arguments.checkpoint)
    check_checkpoint(checkpoint, source='CHECKPOINT')
    cfg.load_from, cfg.resume = checkpoint, False
    cfg = apply_out(cfg, arguments.out) if arguments.out else cfg
    cfg = apply_show_dir(cfg, arguments.show_dir) if arguments.show_dir else cfg
    cfg = apply_tta(cfg) if arguments.tta else cfg
    cfg = apply_partial(cfg) if arguments.partial else cfg
    check_data(cfg, splits=('test',))
    model = check_build(cfg, splits=('test',))
    found = _check_contents(cfg, model, splits=('test',), launcher=arguments.launcher) if arguments.data_check else []
    start = Start(checkpoint, source='CHECKPOINT', use='test')
    cfg, notes = load_start(cfg, start, model, partial=arguments.partial)
    return RunPlan(name_for_test(cfg), notes, data_notes=tuple(found))


def _check_contents(cfg: Config, model: nn.Module, *, splits: Sequence[str], launcher: str) -> list[str]:
    """Return what is odd about the data as notes, or refuse it; the first process of a run looks."""
    if not is_first_process(launcher):
        return []
    findings = check_datasets(cfg, splits=splits, model=model)
    return judge(findings, advice='correct it, or skip the check with --no-data-check')
