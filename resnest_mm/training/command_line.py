"""Command-line arguments that several tools share."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

from mmengine.config import DictAction

from resnest_mm.training.config.cfg_options import key_value
from resnest_mm.training.launcher import LAUNCHERS


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of every run: config, work_dir, `--cfg-options`, launcher.

    Args:
        parser: The tool's parser.
    """
    parser.add_argument('config', help='path of a config, or the name of one that ships with resnest_mm')
    parser.add_argument('--work-dir', help='folder for logs and checkpoints (default: work_dirs/<config stem>)')
    add_cfg_options(
        parser,
        help='replace values of the config, e.g. train_dataloader.batch_size=4 model.backbone.out_indices="(0,1)"; '
        'data_root=DIR moves every data set of the config. Misspelt keys are refused',
    )
    parser.add_argument('--launcher', choices=LAUNCHERS, default='none', help='what started the processes')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help='set by the launcher')


def add_cfg_options(parser: argparse.ArgumentParser, *, help: str) -> None:
    """Add `--cfg-options KEY=VALUE ...`, which `resnest_mm.training.config.load.load_config` takes.

    Args:
        parser: The tool's parser.
        help: Help text of the option, which depends on what the tool reads from the config.
    """
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, type=key_value, metavar='KEY=VALUE', help=help)


def add_no_data_check(parser: argparse.ArgumentParser) -> None:
    """Add `--no-data-check`, for a tool that checks the data before it uses them.

    Args:
        parser: The tool's parser.
    """
    parser.add_argument(
        '--no-data-check',
        action='store_true',
        help='do not look for faults in annotations and images first (tools/check_data.py lists them)',
    )


def parse(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the parsed command line of a run, and set `LOCAL_RANK`, from which mmengine reads `--local_rank`.

    Args:
        parser: A parser with `add_run_arguments`.
        argv: Arguments without the program's name; the process's own by default.
    """
    args = parser.parse_args(argv)
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args
