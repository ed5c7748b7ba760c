"""Write the generated demo data set: COCO boxes and masks, semantic and panoptic maps."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from resnest_mm.demo_data import DemoSettings, holds_demo_data, write_demo_data
from resnest_mm.paths import expand_home
from resnest_mm.signals import Stopped, signals_handled


def build_parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    default = DemoSettings()
    parser = argparse.ArgumentParser(
        description=__doc__, epilog='example: python tools/make_demo_data.py data/demo --images 600 --seed 0'
    )
    parser.add_argument(
        'out', nargs='?', type=expand_home, default='data/demo', help='folder to write (default: %(default)s)'
    )
    parser.add_argument('--images', type=int, default=default.images, help='training images (default: %(default)s)')
    parser.add_argument('--size', type=int, default=default.size, help='image side in pixels (default: %(default)s)')
    parser.add_argument('--seed', type=int, default=default.seed, help='seed of the random numbers (default: 0)')
    parser.add_argument('--force', action='store_true', help='replace a demo data set made with other settings')
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0, 2 after a mistake of the user, 130 or 143 after a signal."""
    args = build_parser().parse_args(argv)
    try:
        with signals_handled():
            return make(args)
    except (OSError, ValueError) as error:
        print(f'make_demo_data: {error}', file=sys.stderr)
        return 2
    except KeyboardInterrupt as error:
        print('make_demo_data: interrupted, nothing was written', file=sys.stderr)
        return error.exit_code if isinstance(error, Stopped) else 130


def make(args: argparse.Namespace) -> int:
    """Make the data set, unless it is there, and return 0."""
    settings = DemoSettings(images=args.images, size=args.size, seed=args.seed)
    if holds_demo_data(args.out, settings=settings):
        print(f'{args.out}: already complete with these settings, nothing to do')
        return 0
    folder = write_demo_data(args.out, settings=settings, force=args.force)
    counts = ' and '.join(f'{settings.count(split)} {split}' for split in ('train', 'val'))
    print(f'{folder}: {counts} images of {settings.size}x{settings.size} pixels, seed {settings.seed}')
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
