"""Draw the images that a config's pipeline hands to the model, with their boxes, masks or label maps."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from resnest_mm.command_line import run_tool

EXAMPLE = """\
example:
  python tools/browse_dataset.py configs/demo/faster-rcnn_s14_fpn_demo.py work_dirs/look --stages

writes NNNN_<image>.png for each image, sheet.png with all of them and browse.json into OUT, and prints the sheet's path
last; OUT may hold the pictures of an earlier run, which are replaced, but no other files
exit code: 0 on success, 2 after a mistake in the arguments, the config or the files (one line on stderr, nothing
written)
"""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    from resnest_mm.browse.browse import SPLITS
    from resnest_mm.command_line import ToolParser
    from resnest_mm.paths import user_path
    from resnest_mm.training.command_line import add_cfg_options

    parser = ToolParser(description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='path of a config, or the name of one that ships with resnest_mm')
    parser.add_argument('out', type=user_path, help='folder for the pictures')
    parser.add_argument('--split', choices=SPLITS, default='train', help='data to draw (default: train)')
    parser.add_argument('--number', type=int, default=16, help='images to draw, evenly spaced (default: 16)')
    parser.add_argument('--seed', type=int, default=0, help='seed of the random steps (default: 0)')
    parser.add_argument('--stages', action='store_true', help='draw each image after every step of the pipeline')
    parser.add_argument('--no-data-check', action='store_true', help='draw data with faults as well')
    add_cfg_options(parser, help='replace values of the config; data_root=DIR moves its data sets')
    return parser


def browse_dataset(argv: Sequence[str] | None) -> None:
    """Check everything, then draw."""
    from resnest_mm.browse.browse import BrowseRequest, browse
    from resnest_mm.training.config import load as config

    args = build_parser().parse_args(argv)
    request = BrowseRequest(
        cfg=config.load_config(args.config, cfg_options=args.cfg_options),
        out=args.out,
        split=args.split,
        number=args.number,
        seed=args.seed,
        stages=args.stages,
        data_check=not args.no_data_check,
    )

    done = browse(request)
    for note in done.notes:
        print(note)
    print(f'{len(done.pictures)} of {done.total} {args.split} images', done.sheet, sep='\n')


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool.

    Args:
        argv: Arguments without the program's name; the process's own by default.

    Returns:
        The exit code: 0 on success, 2 after a mistake of the user.
    """
    return run_tool(lambda: browse_dataset(argv))


if __name__ == '__main__':
    raise SystemExit(main())
