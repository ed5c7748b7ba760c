"""Report on a finished training: a table, report.json, its curves, and predictions of the model."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from resnest_mm.command_line import run_tool

EXAMPLE = """\
example:
  python tools/report.py configs/demo/faster-rcnn_s14_fpn_demo.py work_dirs/demo

writes report.json, curves.png and detections.png (of a segmentor: segmentation.png) into WORK_DIR and prints the
pictures' paths last; a segmentor is measured on all images of the split, class by class
exit code: 0 on success, 2 after a mistake in the arguments, the config or the files (one line on stderr, nothing
written)
"""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    from mmengine.device import get_device

    from resnest_mm.command_line import ToolParser
    from resnest_mm.paths import user_path
    from resnest_mm.report.request import SPLITS
    from resnest_mm.report.sections import SCORE_THRESHOLD
    from resnest_mm.training.command_line import add_cfg_options, add_no_data_check

    parser = ToolParser(description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='path of the trained config, or the name of one that ships with resnest_mm')
    parser.add_argument('work_dir', type=user_path, help='where the training wrote; the report goes there, too')
    parser.add_argument(
        '--checkpoint', type=user_path, help='weights to show (default: the last that the training saved)'
    )
    parser.add_argument('--images', type=int, default=12, help='images to show, evenly spaced (default: 12)')
    parser.add_argument(
        '--score-thr',
        type=float,
        help=f'lowest score of a detection to show, 0 to 1 (default: {SCORE_THRESHOLD}); for detectors alone',
    )
    parser.add_argument('--split', choices=SPLITS, default='val', help='data to show (default: val)')
    parser.add_argument(
        '--partial', action='store_true', help='allow a checkpoint that does not fill the model, and list what differs'
    )
    add_no_data_check(parser)
    parser.add_argument('--device', default=get_device(), help='where the model runs (default: %(default)s)')
    add_cfg_options(
        parser,
        help='replace values of the config, as they were replaced for the training; data_root=DIR moves its data sets',
    )
    return parser


def report(argv: Sequence[str] | None) -> None:
    """Check everything, then write the report."""
    from resnest_mm.drawing.datasets import without_model
    from resnest_mm.report.report import write_report
    from resnest_mm.report.request import Request
    from resnest_mm.training.checks.build import check_build
    from resnest_mm.training.checks.data_files import check_data
    from resnest_mm.training.config import load as config
    from resnest_mm.training.data_check.check import check_datasets
    from resnest_mm.training.data_check.verdict import judge
    from resnest_mm.weights.io.unpickle import allow_mmengine_checkpoints

    args = build_parser().parse_args(argv)
    allow_mmengine_checkpoints()
    cfg = config.load_config(args.config, cfg_options=args.cfg_options)
    request = Request(
        cfg=cfg,
        work_dir=args.work_dir,
        checkpoint=args.checkpoint,
        images=args.images,
        score_threshold=args.score_thr,
        split=args.split,
        device=args.device,
        partial=args.partial,
    )
    check_data(cfg, splits=(args.split,))
    # The model is built once, when its weights are loaded.
    data = without_model(cfg)
    check_build(data, splits=(args.split,))
    notes: list[str] = []
    if not args.no_data_check:
        found = check_datasets(data, splits=(args.split,))
        notes = judge(found, advice='correct it, or skip the check with --no-data-check')

    done = write_report(request)
    print(*notes, sep='\n', end='\n' if notes else '')
    print(done.table, f'{"record":<20}{done.record}', '', *done.pictures, sep='\n')


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool.

    Args:
        argv: Arguments without the program's name; the process's own by default.

    Returns:
        The exit code: 0 on success, 2 after a mistake of the user.
    """
    return run_tool(lambda: report(argv))


if __name__ == '__main__':
    raise SystemExit(main())
