"""Make a file to hand out from a training's checkpoint: no optimiser, named by its hash, with a record to paste."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from resnest_mm.command_line import run_tool

EXAMPLE = """\
example:
  python tools/publish_checkpoint.py work_dirs/faster-rcnn_s50_fpn_1x_coco/epoch_12.pth published/

prints the path, then a record for resnest_mm/weights/records/lookup.py
exit code: 0 on success, 2 after a mistake in what was handed over (one line on stderr, nothing written)
"""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    from resnest_mm.command_line import ToolParser

    parser = ToolParser(description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('source', type=Path, help='checkpoint, of a training or not')
    parser.add_argument('out_dir', type=Path, help='folder to publish into; made where it is not there')
    parser.add_argument('--entry', help='entry of SOURCE with the weights (default: state_dict)')
    parser.add_argument(
        '--keep-ema', action='store_true', help='keep ema_state_dict too, with which a training with EMAHook goes on'
    )
    parser.add_argument('--force', action='store_true', help='replace a file of the same name')
    parser.add_argument('--trust', action='store_true', help='run whatever code SOURCE asks for; know where it is from')
    return parser


def publish(argv: Sequence[str] | None) -> None:
    """Check everything, then publish."""
    from resnest_mm.weights.commands import publish as publishing
    from resnest_mm.weights.commands import record_draft as recording
    from resnest_mm.weights.io.unpickle import allow_mmengine_checkpoints

    args = build_parser().parse_args(argv)
    allow_mmengine_checkpoints()
    published = publishing.publish(
        args.source, args.out_dir, entry=args.entry, keep_ema=args.keep_ema, trust=args.trust, force=args.force
    )
    print(f'published: {published.path}')
    print(f'stripped: {", ".join(published.stripped) or "nothing"}')
    print(recording.draft_record(published))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool.

    Args:
        argv: Arguments without the program's name; the process's own by default.

    Returns:
        The exit code: 0 on success, 2 after a mistake of the user.
    """
    return run_tool(lambda: publish(argv))


if __name__ == '__main__':
    raise SystemExit(main())
