"""The report that is wanted, as checked arguments."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from mmengine.config import Config

from resnest_mm.errors import UserError

SPLITS: Final = ('val', 'test')


@dataclass(frozen=True)
class Request:
    """The report that is wanted.

    Args:
        cfg: The config of the training.
        work_dir: The directory given to the training; the report is written there, too.
        checkpoint: Weights to show; None for those that the training saved last.
        images: Images to show, at least 1.
        score_threshold: Lowest score of a detection that is shown, in 0..1; None for the default, and for segmentors.
        split: One of `SPLITS`.
        device: Where the model runs.
        partial: Whether to show a checkpoint that does not fill the model.
    """

    cfg: Config
    work_dir: Path
    checkpoint: Path | None = None
    images: int = 12
    score_threshold: float | None = None
    split: str = 'val'
    device: torch.device | str = 'cpu'
    partial: bool = False

    def __post_init__(self) -> None:
        if self.images < 1:
            raise UserError(f'images={self.images} must be at least 1')
        if self.score_threshold is not None and not 0 <= self.score_threshold <= 1:
            raise UserError(f'score_threshold={self.score_threshold} must lie in 0..1')
        if self.split not in SPLITS:
            raise UserError(f'split={self.split!r} is unknown; choose one of {SPLITS}')
        try:
            torch.empty(0, device=self.device)
        except (RuntimeError, AssertionError) as error:
            raise UserError(f'device={str(self.device)!r} cannot be used here; choose cpu, cuda or cuda:N') from error

    @property
    def name(self) -> str:
        """The name of the training: that of its config, or that of its directory."""
        return Path(self.cfg.filename).stem if self.cfg.filename else self.work_dir.name
