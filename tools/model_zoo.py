"""Write docs/model_zoo.md from the metafiles, or check that the page and the metafiles agree with what is shipped."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from resnest_mm.command_line import run_tool
from resnest_mm.errors import UserError

EXAMPLE = """\
examples:
  python tools/model_zoo.py
  python tools/model_zoo.py --check --parameters

exit code: 0 on success, 1 where metafiles, records, configs and page do not agree, 2 after a mistake in a metafile
"""
ROOT = Path(__file__).resolve().parent.parent


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    from resnest_mm.command_line import ToolParser

    parser = ToolParser(description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--check', action='store_true', help='write nothing and name the first line that differs')
    parser.add_argument(
        '--parameters',
        action='store_true',
        help='count those of every model as well, in about a minute; needs both hosts',
    )
    parser.add_argument('--index', type=Path, default=ROOT / 'model-index.yml', help='file that names the metafiles')
    parser.add_argument('--page', type=Path, default=ROOT / 'docs' / 'model_zoo.md', help='page to write or check')
    return parser


def find_disagreements(args: argparse.Namespace) -> list[str]:
    """Return what does not agree, a line each; where everything does and it is asked for, write the page."""
    from resnest_mm.atomic import replacing
    from resnest_mm.model_zoo.check import find_faults
    from resnest_mm.model_zoo.metafile import read_index
    from resnest_mm.model_zoo.page import first_difference, render
    from resnest_mm.model_zoo.parameters import find_miscounts

    entries = read_index(args.index)
    faults = find_faults(entries)
    if args.parameters and not faults:
        faults = find_miscounts(entries)
    if faults:
        return faults
    page = render(entries)
    try:
        if not args.check:
            with replacing(args.page) as temporary:
                temporary.write_text(page, encoding='utf-8')
            print(f'{args.page}: {len(entries)} configs')
            return []
        difference = first_difference(args.page.read_text(encoding='utf-8'), page)
    except OSError as error:
        raise UserError(f'{args.page} cannot be read or written: {error.strerror}') from error
    if difference is None:
        print(f'{args.page}: {len(entries)} configs, as the metafiles say')
        return []
    return [f'{args.page}: {difference}', 'write it anew by: python tools/model_zoo.py']


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool.

    Args:
        argv: Arguments without the program's name; the process's own by default.

    Returns:
        The exit code: 0 on success, 1 where something does not agree, 2 after a mistake of the user.
    """
    found: list[str] = []
    code = run_tool(lambda: found.extend(find_disagreements(build_parser().parse_args(argv))))
    for line in found:
        print(line, file=sys.stderr)
    return code or int(bool(found))


if __name__ == '__main__':
    raise SystemExit(main())
