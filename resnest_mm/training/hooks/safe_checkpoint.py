"""Saving checkpoints so that a killed training or a full disk never costs the last one.

mmengine's CheckpointHook (0.10.7) writes a checkpoint in place, and deletes the old one before it writes the new one. A
process that is killed in between leaves a damaged file or none.
"""

from __future__ import annotations

import hashlib
import pickle
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from mmengine.dist import is_main_process, master_only
from mmengine.fileio import LocalBackend
from mmengine.hooks import CheckpointHook
from mmengine.runner.checkpoint import _load_checkpoint, save_checkpoint

from resnest_mm.atomic import leftovers, replacing
from resnest_mm.errors import RunError
from resnest_mm.registry import HOOKS
from resnest_mm.training.work_dir import last_checkpoint

INTERRUPTED: Final = 'interrupted_iter_{}.pth'
"""Name of the checkpoint of a training that a signal ended."""

_SAVED: Final = r'.+\.pth?|last_checkpoint'
"""Names of the files that a training saves; a report may be writing others into the same folder."""


@HOOKS.register_module()
class SafeCheckpointHook(CheckpointHook):
    """mmengine's CheckpointHook, with all of its arguments, which never leaves a training without a whole checkpoint.

    A checkpoint is written to a temporary file in the same folder, flushed to the disk and renamed. Then the file
    `last_checkpoint` is replaced in the same way. Then superseded checkpoints are deleted, so that one more than
    `max_keep_ckpts` is on the disk for a moment. Best and published checkpoints are written in the same way.

    Remote backends and strategies that write a folder or a file for each process (FSDP, DeepSpeed, ColossalAI) write
    in mmengine's way; for these, too, the old checkpoints are deleted last.
    """

    def before_train(self, runner: Any) -> None:
        """Find the folder for checkpoints, and remove the temporary files that a killed training left in it."""
        super().before_train(runner)
        self.file_backend: Any = _DeletesLater(self.file_backend)
        if self._is_local and is_main_process():
            for folder in {Path(self.out_dir), Path(runner.work_dir)}:
                for path in leftovers(folder, names=_SAVED):
                    path.unlink(missing_ok=True)

    def save_interrupted(self, runner: Any) -> str:
        """Save a checkpoint of the iteration that has just been trained, and return its path.

        Called by the last hook in `after_train_iter`: the Runner has not counted the iteration yet. The next regular
        checkpoint supersedes it, and deletes it where `max_keep_ckpts` limits the number of files.

        Args:
            runner: The Runner of the training.
        """
        name = INTERRUPTED.format(runner.iter + 1)
        path = str(self.file_backend.join_path(self.out_dir, name))
        self._save(runner, name, meta={'epoch': runner.epoch, 'iter': runner.iter + 1}, by_epoch=False)
        self._note_last(runner, path)
        return path

    @property
    def _is_local(self) -> bool:
        backend = getattr(self.file_backend, 'backend', self.file_backend)
        return isinstance(getattr(backend, 'client', backend), LocalBackend)

    def _save_checkpoint_with_step(self, runner: Any, step: int, meta: dict[str, Any]) -> None:
        name = self.filename_tmpl.format(step)
        self.last_ckpt: Any = self.file_backend.join_path(self.out_dir, name)
        superseded: list[int] = []
        if self.max_keep_ckpts > 0:
            kept = [*(old for old in self.keep_ckpt_ids if old != step), step]
            superseded, kept = kept[: -self.max_keep_ckpts], kept[-self.max_keep_ckpts :]
            # The checkpoint also names what it supersedes: mmengine deletes these when the training is resumed, if it
            # was killed before it could delete them here.
            runner.message_hub.update_info('keep_ckpt_ids', [*superseded, *kept])
            self.keep_ckpt_ids.clear()
            self.keep_ckpt_ids.extend(kept)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        self._save(runner, name, meta=meta, by_epoch=self.by_epoch)
        self._note_last(runner, self.last_ckpt)
        if self.max_keep_ckpts > 0:
            runner.message_hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))
            self._delete([self.filename_tmpl.format(old) for old in superseded])

    def _save(self, runner: Any, name: str, *, meta: dict[str, Any], by_epoch: bool) -> None:
        """Save a checkpoint with what the arguments of the hook ask for."""
        _SavesWhole.around(runner, self._is_local).save_checkpoint(
            self.out_dir,
            name,
            self.file_client_args,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            by_epoch=by_epoch,
            backend_args=self.backend_args,
            **self.args,
        )

    def _save_best_checkpoint(self, runner: Any, metrics: Mapping[str, Any]) -> None:
        with self.file_backend.collecting() as deletions:
            super()._save_best_checkpoint(_SavesWhole.around(runner, self._is_local), metrics)
        best = {getattr(self, 'best_ckpt_path', None), *getattr(self, 'best_ckpt_path_dict', {}).values()}
        for delete, path in deletions:
            if path not in best:
                delete(path)

    @master_only
    def _publish_model(self, runner: Any, ckpt_path: str) -> None:
        if not self._is_local:
            super()._publish_model(runner, ckpt_path)
            return
        content = _load_checkpoint(ckpt_path)
        removed = [key for key in content if key not in self.published_keys]
        content = {key: value for key, value in content.items() if key in self.published_keys}
        digest = hashlib.sha256(pickle.dumps(content)).hexdigest()
        final = Path(ckpt_path).with_suffix('')
        final = final.with_name(f'{final.name}-{digest[:8]}.pth')
        with _unless_full(final, runner.work_dir), replacing(final, durable=True) as temporary:
            save_checkpoint(content, str(temporary))
        runner.logger.info(f'The checkpoint ({ckpt_path}) is published to {final}, without its keys {removed}.')

    def _note_last(self, runner: Any, path: str) -> None:
        """Write the path of the last checkpoint into the file from which mmengine resumes."""
        if not is_main_process():
            return
        note = Path(runner.work_dir) / 'last_checkpoint'
        with _unless_full(note, runner.work_dir), replacing(note, durable=True) as temporary:
            temporary.write_text(path, encoding='utf-8')

    def _delete(self, names: Sequence[str]) -> None:
        """Delete superseded checkpoints, and those of signals, which every regular checkpoint supersedes."""
        if not is_main_process():
            return
        paths = [self.file_backend.join_path(self.out_dir, name) for name in names]
        if self._is_local:
            paths += map(str, Path(self.out_dir).glob(INTERRUPTED.format('*')))
        for path in paths:
            if self.file_backend.isfile(path):
                self.file_backend.remove(path)
            elif self.file_backend.isdir(path):
                self.file_backend.rmtree(path)


class _DeletesLater:
    """A file backend of mmengine whose deletions can be put off until something new has been written.

    Args:
        backend: The backend.
    """

    def __init__(self, backend: Any) -> None:
        self.backend = backend
        self._deletions: list[tuple[Callable[[str], None], str]] | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.backend, name)

    @contextmanager
    def collecting(self) -> Iterator[list[tuple[Callable[[str], None], str]]]:
        """Yield a list of what would have been deleted: functions and their paths. Nothing is deleted inside."""
        self._deletions = []
        try:
            yield self._deletions
        finally:
            self._deletions = None

    def remove(self, path: str) -> None:
        """Delete a file, or put it on the list."""
        self._delete(self.backend.remove, path)

    def rmtree(self, path: str) -> None:
        """Delete a folder, or put it on the list."""
        self._delete(self.backend.rmtree, path)

    def _delete(self, delete: Callable[[str], None], path: str) -> None:
        if self._deletions is None:
            delete(path)
        else:
            self._deletions.append((delete, path))


class _SavesWhole:
    """A Runner whose checkpoints are written whole or not at all.

    Args:
        runner: The Runner.
    """

    def __init__(self, runner: Any) -> None:
        self._runner = runner

    @classmethod
    def around(cls, runner: Any, is_local: bool) -> Any:
        """Return the Runner with whole checkpoints, or itself where one checkpoint is not one local file."""
        strategy = type(getattr(runner, 'strategy', None)).__name__
        one_file = strategy in ('NoneType', 'SingleDeviceStrategy', 'DDPStrategy')
        return cls(runner) if is_local and one_file and not isinstance(runner, cls) else runner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._runner, name)

    def save_checkpoint(self, out_dir: str, filename: str, *arguments: Any, **settings: Any) -> None:
        """Save a checkpoint as the Runner does, under a temporary name first.

        Args:
            out_dir: Local folder.
            filename: Name of the file in it.
            *arguments: Further arguments of `Runner.save_checkpoint`.
            **settings: Further arguments of `Runner.save_checkpoint`.

        Raises:
            RunError: The file cannot be written, for example because the disk is full. The old files are unchanged.
        """
        final = Path(out_dir, filename)
        if not is_main_process():
            self._runner.save_checkpoint(out_dir, filename, *arguments, **settings)
            return
        with _unless_full(final, self._runner.work_dir):
            final.parent.mkdir(parents=True, exist_ok=True)
            with replacing(final, durable=True) as temporary:
                self._runner.save_checkpoint(out_dir, temporary.name, *arguments, **settings)


@contextmanager
def _unless_full(file: Path, work_dir: str) -> Iterator[None]:
    """Turn an error of the system into a RunError that says what is still whole.

    Args:
        file: The file that is written inside.
        work_dir: The work_dir of the training.
    """
    try:
        yield
    except OSError as error:
        last = last_checkpoint(work_dir)
        size = f'about {last.stat().st_size / 1e6:.1f} MB are needed, ' if last and last.is_file() else ''
        folder = next(parent for parent in file.parents if parent.exists())
        free = f'{shutil.disk_usage(folder).free / 1e6:.1f} MB are free'
        rest = f'the last checkpoint {last} is whole and --resume continues from it' if last else 'none is whole yet'
        raise RunError(
            f'{file} cannot be written: {error.strerror or error} ({size}{free}); make room, then go on: {rest}'
        ) from error
