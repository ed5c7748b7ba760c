"""Test a trained detector or segmenter: metrics, and on request predictions and drawn images."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from resnest_mm.command_line import run_tool

EXAMPLE = """\
example:
  python tools/test.py configs/demo/faster-rcnn_s14_fpn_demo.py work_dirs/demo/epoch_12.pth --out results.pkl

exit code: 0 on success, 2 after a mistake in what was handed over (one line on stderr, nothing written)
"""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    from resnest_mm.command_line import ToolParser
    from resnest_mm.training.command_line import add_run_arguments

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
    return parser


def test(argv: Sequence[str] | None) -> None:
    """Check everything, then test."""
    from resnest_mm.training import build_check, preflight, settings, testing
    from resnest_mm.training import command_line as cli
    from resnest_mm.training import resume as checkpoints
    from resnest_mm.training.config import load as config
    from resnest_mm.weights.io.unpickle import allow_mmengine_checkpoints

    args = cli.parse(build_parser(), argv)
    allow_mmengine_checkpoints()
    cfg = config.load_config(args.config, cfg_options=args.cfg_options)
    preflight.check_sections(cfg, split='test')
    cfg = settings.apply_work_dir(cfg, args.work_dir, config_name=args.config)
    cfg = settings.apply_launcher(cfg, args.launcher)
    checkpoints.check_checkpoint(args.checkpoint, source='CHECKPOINT')
    cfg.load_from, cfg.resume = args.checkpoint, False
    cfg = testing.apply_out(cfg, args.out) if args.out else cfg
    cfg = testing.apply_show_dir(cfg, args.show_dir) if args.show_dir else cfg
    cfg = testing.apply_tta(cfg) if args.tta else cfg
    preflight.check_data(cfg, splits=('test',))
    build_check.check_build(cfg, splits=('test',))

    runner = cli.build_runner(cfg)
    runner.test()
    if runner.rank == 0:
        print(f'work_dir: {runner.work_dir}')


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool.

    Args:
        argv: Arguments without the program's name; the process's own by default.

    Returns:
        The exit code: 0 on success, 2 after a mistake of the user.
    """
    return run_tool(lambda: test(argv))


if __name__ == '__main__':
    raise SystemExit(main())
