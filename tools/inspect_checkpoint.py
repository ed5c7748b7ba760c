"""Describe a checkpoint: key layout, network, what it converts to and how to load it. Nothing is written."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from resnest_mm.command_line import run_tool

EXAMPLE = """\
examples:
  python tools/inspect_checkpoint.py resnest50-528c19ca.pth
  python tools/inspect_checkpoint.py work_dirs/demo/epoch_12.pth --entry ema_state_dict

exit code: 0 on success, 2 if the file cannot be read (one line on stderr)
"""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    from resnest_mm.command_line import ToolParser
    from resnest_mm.paths import user_path

    parser = ToolParser(description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        'file', type=user_path, help='file to read: .pth, .pt, .pkl (of detectron2), .npz or .safetensors'
    )
    parser.add_argument('--entry', help='entry of FILE with the tensors, e.g. ema_state_dict (default: detected)')
    parser.add_argument(
        '--trust', action='store_true', help='let FILE run any code when it is loaded; only if you trust it'
    )
    return parser


def inspect(argv: Sequence[str] | None) -> None:
    """Read the file and print its description."""
    from resnest_mm.weights.commands.inspect import inspect_file
    from resnest_mm.weights.io.unpickle import allow_mmengine_checkpoints

    args = build_parser().parse_args(argv)
    allow_mmengine_checkpoints()
    print(inspect_file(args.file, entry=args.entry, trust=args.trust))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool.

    Args:
        argv: Arguments without the program's name; by default those of the process.

    Returns:
        The exit code: 0 on success, 2 after a user's mistake.
    """
    return run_tool(lambda: inspect(argv))


if __name__ == '__main__':
    raise SystemExit(main())
