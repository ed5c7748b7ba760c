"""Convert a ResNeSt checkpoint to another key layout or file format: completely, or not at all."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from resnest_mm.command_line import run_tool
from resnest_mm.errors import UserError

EXAMPLE = """\
examples:
  python tools/convert_checkpoint.py resnest50-528c19ca.pth resnest50_mmdet.pth
  python tools/convert_checkpoint.py model_final.pkl faster-rcnn_s50.pth --from detectron2 --part detector
  python tools/convert_checkpoint.py epoch_12.pth backbone.safetensors --part backbone --to official --dtype float16
  python tools/convert_checkpoint.py --matrix

exit code: 0 on success, 2 if an argument or a file is wrong (one line on stderr, nothing written)
"""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    from resnest_mm.command_line import ToolParser
    from resnest_mm.paths import user_path
    from resnest_mm.weights.convert.api import PARTS
    from resnest_mm.weights.io.write import DTYPES
    from resnest_mm.weights.layouts.tables import ALIASES, LAYOUTS

    layouts = [*LAYOUTS, *ALIASES]
    parser = ToolParser(description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        'source', nargs='?', type=user_path, help='file to read: .pth, .pt, .pkl (of detectron2), .npz or .safetensors'
    )
    parser.add_argument('target', nargs='?', type=user_path, help='file to write: .pth or .safetensors')
    parser.add_argument(
        '--from',
        dest='origin',
        choices=['auto', *layouts],
        default='auto',
        help='layout of SOURCE (default: detected)',
    )
    parser.add_argument('--to', choices=layouts, default='mmdet', help='layout of TARGET (default: mmdet)')
    parser.add_argument('--part', choices=PARTS, help='part of the checkpoint to convert (default: all of it)')
    parser.add_argument('--prefix', help='convert only the keys with this prefix, e.g. backbone.')
    parser.add_argument('--entry', help='entry of SOURCE with the tensors, e.g. ema_state_dict (default: detected)')
    parser.add_argument('--dtype', choices=list(DTYPES), help='precision of the result (default: unchanged)')
    parser.add_argument(
        '--stock-heads',
        action='store_true',
        help="use mmdet's own heads in detectors, where the authors' differ",
    )
    parser.add_argument(
        '--offsets',
        choices=['dense', 'grouped'],
        help='how deformable offsets are predicted: dense as by mmcv, grouped as by the authors',
    )
    parser.add_argument('--dry-run', action='store_true', help='do everything except for writing TARGET')
    parser.add_argument('--force', action='store_true', help='replace TARGET if it exists')
    parser.add_argument(
        '--trust', action='store_true', help='let SOURCE run any code when it is loaded; only if you trust it'
    )
    parser.add_argument('--matrix', action='store_true', help='print which layout converts to which, and stop')
    return parser


def convert(argv: Sequence[str] | None) -> None:
    """Check everything, then convert."""
    from resnest_mm.weights.commands import matrix
    from resnest_mm.weights.commands.convert import convert_file
    from resnest_mm.weights.io.unpickle import allow_mmengine_checkpoints

    args = build_parser().parse_args(argv)
    if args.matrix:
        print(matrix.render())
        return
    if args.source is None or args.target is None:
        raise UserError('name SOURCE and TARGET, or give --matrix (see --help)')
    allow_mmengine_checkpoints()
    report = convert_file(
        args.source,
        args.target,
        source_layout=args.origin,
        target_layout=args.to,
        part=args.part,
        prefix=args.prefix,
        entry=args.entry,
        dtype=args.dtype,
        stock_heads=args.stock_heads,
        dense_offsets=None if args.offsets is None else args.offsets == 'dense',
        trust=args.trust,
        force=args.force,
        dry_run=args.dry_run,
    )
    print(report)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool.

    Args:
        argv: Arguments without the program's name; by default those of the process.

    Returns:
        The exit code: 0 on success, 2 after a user's mistake.
    """
    return run_tool(lambda: convert(argv))


if __name__ == '__main__':
    raise SystemExit(main())
