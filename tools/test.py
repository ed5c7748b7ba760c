"""Test a trained detector or segmentor: metrics, and on request predictions and drawn images."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from resnest_mm.command_line import run_tool

EXAMPLE = """\
example:
  python tools/test.py configs/demo/faster-rcnn_s14_fpn_demo.py work_dirs/demo/epoch_12.pth --out results.pkl

exit code: 0 on success, 2 for a wrong argument, config or file (one line on stderr, nothing written)
"""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    from resnest_mm.command_line import ToolParser
    from resnest_mm.training.command_line import add_no_data_check, add_run_arguments

    parser = ToolParser(description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_run_arguments(parser)
    parser.add_argument('checkpoint', help='checkpoint file, or a URL that mmengine can load')
    parser.add_argument('--out', metavar='FILE.pkl', help='dump the predictions into this pickle file')
    parser.add_argument(
        '--show-dir',
        metavar='DIR',
        help='draw the predictions into this folder (mmdet: a relative one is below <work_dir>/<timestamp>)',
    )
    parser.add_argument('--tta', action='store_true', help='test-time augmentation; mmdet configs need not define any')
    parser.add_argument(
        '--partial', action='store_true', help='allow a checkpoint that does not fill the model, and list what differs'
    )
    add_no_data_check(parser)
    return parser


def test(argv: Sequence[str] | None) -> None:
    """Check everything, then test."""
    from resnest_mm.training.command_line import parse
    from resnest_mm.training.launcher import is_first_process
    from resnest_mm.training.plan import TestArguments, plan_testing

    args = parse(build_parser(), argv)
    plan = plan_testing(
        TestArguments(
            config=args.config,
            checkpoint=args.checkpoint,
            work_dir=args.work_dir,
            cfg_options=args.cfg_options,
            launcher=args.launcher,
            out=args.out,
            show_dir=args.show_dir,
            tta=args.tta,
            partial=args.partial,
            data_check=not args.no_data_check,
        )
    )
    if is_first_process(args.launcher):
        for note in (*plan.data_notes, *plan.notes):
            print(note, flush=True)

    runner = plan.build_runner()
    runner.test()
    if runner.rank == 0:
        print(f'work_dir: {runner.work_dir}')


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool.

    Args:
        argv: Arguments without the program's name; the process's own by default.

    Returns:
        The exit code: 0 on success, 2 for a wrong argument, config or file.
    """
    return run_tool(lambda: test(argv))


if __name__ == '__main__':
    raise SystemExit(main())
