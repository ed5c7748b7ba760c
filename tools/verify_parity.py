"""Compare the backbone with the official, mmdet's and mmseg's networks, by value, with random weights."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from resnest_mm.command_line import run_tool
from resnest_mm.errors import UserError

if TYPE_CHECKING:
    from resnest_mm.parity.compare import Row

EXAMPLE = """\
examples:
  python tools/verify_parity.py --only official
  python tools/verify_parity.py --markdown > parity.md

prints the largest difference, divided by the largest value, of: the feature maps C2 to C5 in eval and in training mode,
the running statistics after a training step, the gradients of all parameters (two networks, in float64; the rest is in
float32)
exit code: 0 if all are equal, 1 if one differs by more than its tolerance, 2 if a package to compare with is missing
"""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    from resnest_mm.command_line import ToolParser
    from resnest_mm.parity.references import REFERENCES

    parser = ToolParser(description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        '--only', choices=list(REFERENCES), help='compare only with this group of networks (default: all)'
    )
    parser.add_argument('--size', type=int, default=64, help='side of the images in pixels (default: %(default)s)')
    parser.add_argument('--markdown', action='store_true', help='print a Markdown table')
    return parser


def verify(argv: Sequence[str] | None) -> list[Row]:
    """Compare everything, print the table and return the rows that differ."""
    from resnest_mm.parity.compare import SMALLEST, compare, render_table
    from resnest_mm.parity.references import REFERENCES

    args = build_parser().parse_args(argv)
    if args.size < SMALLEST:
        raise UserError(f'--size {args.size}: images must have a side of {SMALLEST} pixels or more')
    pairs = [pair for name, group in REFERENCES.items() if args.only in (None, name) for pair in group()]
    rows: list[Row] = []
    for number, pair in enumerate(pairs, start=1):
        begin = time.perf_counter()
        rows.append(compare(pair, size=args.size))
        seconds = time.perf_counter() - begin
        verdict = 'equal' if rows[-1].passed else 'DIFFERENT'
        print(f'{number}/{len(pairs)} {pair.label}: {verdict} ({seconds:.1f} s)', file=sys.stderr, flush=True)
    print(render_table(rows, markdown=args.markdown))
    return [row for row in rows if not row.passed]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool.

    Args:
        argv: Arguments without the program's name; the process's own by default.

    Returns:
        The exit code: 0 if all are equal, 1 if one differs, 2 after a mistake of the user.
    """
    different: list[Row] = []
    code = run_tool(lambda: different.extend(verify(argv)))
    return code or int(bool(different))


if __name__ == '__main__':
    raise SystemExit(main())
