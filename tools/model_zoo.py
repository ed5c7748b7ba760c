"""Write the model zoo page from the metafiles, or check that page, metafiles, configs and records agree."""

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
"""The top folder of a checkout, or the folder of an installed package; `model-index.yml` is in both."""
PAGE = ROOT / 'docs' / 'model_zoo.md'


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    from resnest_mm.command_line import ToolParser

    parser = ToolParser(description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--check', action='store_true', help='write nothing; print the first line that differs')
    parser.add_argument(
        '--parameters',
        action='store_true',
        help='also count the parameters of every model; takes about a minute and needs both hosts',
    )
    parser.add_argument('--index', type=Path, default=ROOT / 'model-index.yml', help='file that names the metafiles')
    parser.add_argument(
        '--page',
        type=Path,
        default=PAGE if PAGE.parent.is_dir() else None,
        help='page to write or check (default: docs/model_zoo.md of a checkout; an installed package has no page)',
    )
    return parser


def find_disagreements(args: argparse.Namespace) -> list[str]:
    """Return what does not agree, a line each. Without `--check` the page is written where everything agrees.

    Raises:
        UserError: A metafile is wrong, or the page cannot be read or written, or no page is named.
    """
    from resnest_mm.atomic import replacing
    from resnest_mm.model_zoo.check import find_faults
    from resnest_mm.model_zoo.metafile import read_index
    from resnest_mm.model_zoo.page import first_difference, render
    from resnest_mm.model_zoo.parameters import find_miscounts

    if args.page is None:
        raise UserError('--page is missing: an installed package has no docs folder; name the file, as --page zoo.md')
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
        print(f'{args.page}: {len(entries)} configs, equal to the metafiles')
        return []
    return [f'{args.page}: {difference}', 'write the page again with: python tools/model_zoo.py']


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
