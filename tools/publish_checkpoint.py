"""Publish the weights of a training's checkpoint: without the optimizer state, in a file named by its checksum."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from resnest_mm.command_line import run_tool
from resnest_mm.errors import printable

EXAMPLE = """\
example:
  python tools/publish_checkpoint.py work_dirs/faster-rcnn_s50_fpn_1x_coco/epoch_12.pth published/

prints the path of the file, then a draft of its record for resnest_mm/weights/records
exit code: 0 on success, 2 if an argument or a file is wrong (one line on stderr, nothing written)
"""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    from resnest_mm.command_line import ToolParser
    from resnest_mm.paths import user_path

    parser = ToolParser(description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('source', type=user_path, help='checkpoint to publish')
    parser.add_argument('out_dir', type=user_path, help='folder to write to; made if it does not exist')
    parser.add_argument('--entry', help='entry of SOURCE with the weights (default: detected)')
    parser.add_argument(
        '--keep-ema', action='store_true', help='keep ema_state_dict, too, which a resumed training with EMAHook needs'
    )
    parser.add_argument('--force', action='store_true', help='replace a file of the same name')
    parser.add_argument(
        '--trust', action='store_true', help='let SOURCE run any code when it is loaded; only if you trust it'
    )
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
    print(printable(f'published: {published.path}'))
    print(printable(f'stripped: {", ".join(published.stripped) or "nothing"}'))
    print('\n'.join(map(printable, recording.draft_record(published).split('\n'))))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool.

    Args:
        argv: Arguments without the program's name; by default those of the process.

    Returns:
        The exit code: 0 on success, 2 after a user's mistake.
    """
    return run_tool(lambda: publish(argv))


if __name__ == '__main__':
    raise SystemExit(main())
