"""Train a detector or a segmentor from its config."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from resnest_mm.command_line import run_tool

EXAMPLE = """\
example:
  python tools/train.py configs/demo/faster-rcnn_s14_fpn_demo.py --single-gpu --cfg-options randomness.seed=1

Ctrl-C and SIGTERM end the training after the present iteration, with a checkpoint from which --resume continues; a
second one ends it at once

exit code: 0 on success, 2 for a wrong argument, config or file (one line on stderr, nothing written), 3 for a training
that stopped itself, such as on a full disk, 130 after Ctrl-C and 143 after SIGTERM
"""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    from resnest_mm.command_line import ToolParser
    from resnest_mm.training.command_line import add_no_data_check, add_run_arguments

    parser = ToolParser(description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_run_arguments(parser)
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='PATH',
        help='resume from a checkpoint; without PATH from the last one of the work_dir',
    )
    parser.add_argument('--amp', action='store_true', help='mixed precision with a dynamic loss scale')
    parser.add_argument('--auto-scale-lr', action='store_true', help='lr by real batch size / base_batch_size')
    parser.add_argument(
        '--single-gpu',
        action='store_true',
        help='for recipes written for several GPUs: SyncBN becomes BN, and lr is scaled to the batch size of one',
    )
    parser.add_argument(
        '--partial',
        action='store_true',
        help='allow a load_from that does not fill the model, such as one of other classes, and list what differs',
    )
    add_no_data_check(parser)
    return parser


def train(argv: Sequence[str] | None) -> None:
    """Check everything, then train."""
    from resnest_mm.training.command_line import parse
    from resnest_mm.training.plan import TrainArguments, plan_training
    from resnest_mm.training.run import run_training
    from resnest_mm.training.work_dir import last_checkpoint

    args = parse(build_parser(), argv)
    plan = plan_training(
        TrainArguments(
            config=args.config,
            work_dir=args.work_dir,
            cfg_options=args.cfg_options,
            launcher=args.launcher,
            resume=args.resume,
            amp=args.amp,
            auto_scale_lr=args.auto_scale_lr,
            single_gpu=args.single_gpu,
            partial=args.partial,
            data_check=not args.no_data_check,
        )
    )

    runner = run_training(plan)
    if runner.rank == 0:
        print(f'work_dir: {runner.work_dir}')
        print(f'last checkpoint: {last_checkpoint(runner.work_dir) or "none"}')


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool.

    Args:
        argv: Arguments without the program's name; the process's own by default.

    Returns:
        The exit code: 0 on success, 2 for a wrong argument, config or file, 3, 130 and 143 as in EXAMPLE.
    """
    return run_tool(lambda: train(argv))


if __name__ == '__main__':
    raise SystemExit(main())
