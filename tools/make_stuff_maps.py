"""Write the semantic maps that Panoptic FPN is trained on from COCO's panoptic maps: things 0, stuff 1 to 53."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from resnest_mm.annotations.stuff_maps import write_stuff_maps
from resnest_mm.paths import expand_home
from resnest_mm.signals import Stopped, signals_handled

EXAMPLE = (
    'example: python tools/make_stuff_maps.py data/coco/annotations/panoptic_train2017.json '
    'data/coco/annotations/panoptic_train2017 data/coco/annotations/panoptic_stuff_train2017'
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0, 2 after a mistake of the user, 130 or 143 after a signal."""
    parser = argparse.ArgumentParser(description=__doc__, epilog=EXAMPLE)
    parser.add_argument('annotations', type=expand_home, help="COCO's panoptic_*.json")
    parser.add_argument('maps', type=expand_home, help='folder of its maps')
    parser.add_argument('out', type=expand_home, help='folder to write; it must not exist')
    args = parser.parse_args(argv)
    try:
        with signals_handled():
            written = write_stuff_maps(args.annotations, args.maps, args.out)
    except (OSError, ValueError) as error:
        # One line for each kind of fault.
        print(*(f'make_stuff_maps: {line}' for line in str(error).splitlines()), sep='\n', file=sys.stderr)
        return 2
    except KeyboardInterrupt as error:
        print('make_stuff_maps: interrupted, nothing was written', file=sys.stderr)
        return error.exit_code if isinstance(error, Stopped) else 130
    for note in written.notes:
        print(f'make_stuff_maps: warning: {note}', file=sys.stderr)
    print(f'{args.out}: {written.count} maps')
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
