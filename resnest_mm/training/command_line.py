"""Command-line arguments that several tools share, and what `tools/train.py` and `tools/test.py` do with theirs."""

from __future__ import annotations

import argparse
import os
from typing import Any

from mmengine.config import Config, DictAction
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from resnest_mm.training.config.options import key_value
from resnest_mm.training.settings import LAUNCHERS


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that every run has: config, work_dir, overrides, launcher."""
    parser.add_argument('config', help='path of a config, or the name of one that ships with resnest_mm')
    parser.add_argument('--work-dir', help='folder for logs and checkpoints (default: work_dirs/<config stem>)')
    add_cfg_options(
        parser,
        help='replace values of the config, e.g. train_dataloader.batch_size=4 model.backbone.out_indices="(0,1)"; '
        'data_root=DIR moves every data set of the config. Misspelt keys are refused',
    )
    parser.add_argument('--launcher', choices=LAUNCHERS, default='none', help='who started the processes')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help='set by the launcher')


def add_cfg_options(parser: argparse.ArgumentParser, *, help: str) -> None:
    """Add `--cfg-options KEY=VALUE ...`, which `resnest_mm.training.config.load.load_config` takes.

    Args:
        parser: The tool's parser.
        help: Help text of the option, which depends on what the tool reads from the config.
    """
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, type=key_value, metavar='KEY=VALUE', help=help)


def parse(parser: argparse.ArgumentParser, argv: Any) -> argparse.Namespace:
    """Parse the command line and pass the local rank on to mmengine, which reads it from the environment."""
    args = parser.parse_args(argv)
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def build_runner(cfg: Config) -> Any:
    """Return the Runner of a config: mmengine's own, or the one that `runner_type` names."""
    return RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
