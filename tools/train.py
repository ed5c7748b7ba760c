"""Train a detector or a segmenter from its config."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from resnest_mm.command_line import run_tool
from resnest_mm.errors import UserError

EXAMPLE = """\
example:
  python tools/train.py configs/demo/faster-rcnn_s14_fpn_demo.py --single-gpu --cfg-options randomness.seed=1

exit code: 0 on success, 2 after a mistake in what was handed over (one line on stderr, nothing written)
"""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    from resnest_mm.command_line import ToolParser
    from resnest_mm.training.command_line import add_run_arguments

    parser = ToolParser(description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_run_arguments(parser)
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='PATH',
        help='go on from a checkpoint; without PATH from the last one of the work_dir',
    )
    parser.add_argument('--amp', action='store_true', help='mixed precision with a dynamic loss scale')
    parser.add_argument('--auto-scale-lr', action='store_true', help='lr by real batch size / base_batch_size')
    parser.add_argument(
        '--single-gpu',
        action='store_true',
        help='for recipes written for several GPUs: SyncBN becomes BN, and lr is scaled to the batch size of one',
    )
    return parser


def train(argv: Sequence[str] | None) -> None:
    """Check everything, then train."""
    from resnest_mm.training import build_check, preflight, preprocessing, pretrained, settings, single_gpu
    from resnest_mm.training import command_line as cli
    from resnest_mm.training import resume as checkpoints
    from resnest_mm.training.config import load as config
    from resnest_mm.weights.io.unpickle import allow_mmengine_checkpoints

    args = cli.parse(build_parser(), argv)
    allow_mmengine_checkpoints()
    if args.single_gpu and args.launcher != 'none':
        raise UserError(f'--single-gpu and --launcher {args.launcher} exclude each other; leave one out')
    if args.single_gpu and args.auto_scale_lr:
        raise UserError('--single-gpu and --auto-scale-lr would both scale the learning rate; leave one out')
    cfg = config.load_config(args.config, cfg_options=args.cfg_options)
    preflight.check_sections(cfg, split='train')
    cfg = settings.apply_work_dir(cfg, args.work_dir, config_name=args.config)
    cfg = settings.apply_launcher(cfg, args.launcher)
    cfg = settings.apply_amp(cfg) if args.amp else cfg
    cfg = settings.apply_auto_scale_lr(cfg) if args.auto_scale_lr else cfg
    cfg = settings.apply_resume(cfg, args.resume)
    notes = []
    if args.single_gpu:
        cfg, change = single_gpu.use_single_gpu(cfg)
        notes.append(str(change))
    elif args.launcher == 'none' and (norms := single_gpu.count_sync_norms(cfg.model)):
        notes.append(f'{norms} SyncBN settings act as BN in this single process; --single-gpu also scales the lr to it')
    preflight.check_data(cfg, splits=('train', 'val'))
    preflight.check_training_checkpoints(cfg)
    build_check.check_build(cfg, splits=('train', 'val'))
    pretrained.fetch_pretrained(cfg)
    notes += preprocessing.preprocessing_notes(cfg)
    if args.resume == 'auto' and checkpoints.last_checkpoint(cfg.work_dir) is None:
        notes.append(f'--resume: no checkpoint in {cfg.work_dir}; training starts from the beginning')

    print('\n'.join(notes), end='\n' if notes else '', flush=True)
    runner = cli.build_runner(cfg)
    runner.train()
    if runner.rank == 0:
        print(f'work_dir: {runner.work_dir}')
        print(f'last checkpoint: {checkpoints.last_checkpoint(runner.work_dir) or "none"}')


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool.

    Args:
        argv: Arguments without the program's name; the process's own by default.

    Returns:
        The exit code: 0 on success, 2 after a mistake of the user.
    """
    return run_tool(lambda: train(argv))


if __name__ == '__main__':
    raise SystemExit(main())
