"""Check the data sets of a config: annotations, classes, boxes, masks, label maps and image files."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from resnest_mm.command_line import run_tool

EXAMPLE = """\
example:
  python tools/check_data.py configs/demo/faster-rcnn_s14_fpn_demo.py --all-images

prints a line for each sort of fault, with its count and examples. An error cannot be right: tools/train.py refuses it.
A warning may be right. What was found in annotations without errors is kept for the next run, in the folder that
RESNEST_MM_CACHE names, by default ~/.cache/resnest_mm. Image files are opened in each run.
exit code: 0 if there is no error, 2 if there is one, or for a wrong argument or config (one line on stderr)
"""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    from resnest_mm.command_line import ToolParser
    from resnest_mm.training.command_line import add_cfg_options
    from resnest_mm.training.data_check.check import SPLITS

    parser = ToolParser(description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='path of a config, or the name of one that ships with resnest_mm')
    parser.add_argument('--split', choices=SPLITS, action='append', help='data to check, repeatable (default: all)')
    parser.add_argument('--all-images', action='store_true', help='open every image file, not only a sample of 200')
    parser.add_argument('--seed', type=int, default=0, help='seed of the sample of image files (default: 0)')
    add_cfg_options(parser, help='replace values of the config; data_root=DIR moves its data sets')
    return parser


def check_data(argv: Sequence[str] | None) -> None:
    """Check and print what was found."""
    from resnest_mm.training.config.load import load_config
    from resnest_mm.training.data_check.check import check_config
    from resnest_mm.training.data_check.source import Settings
    from resnest_mm.training.data_check.verdict import judge, summarise

    args = build_parser().parse_args(argv)
    cfg = load_config(args.config, cfg_options=args.cfg_options)
    settings = Settings(seed=args.seed, images=None) if args.all_images else Settings(seed=args.seed)
    findings = check_config(cfg, splits=args.split, settings=settings)
    for line in judge(findings, advice='correct the data or the config'):
        print(line)
    print(summarise(findings))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool.

    Args:
        argv: Arguments without the program's name; the process's own by default.

    Returns:
        The exit code: 0 without errors in the data, 2 with errors or for a wrong argument or config.
    """
    return run_tool(lambda: check_data(argv))


if __name__ == '__main__':
    raise SystemExit(main())
