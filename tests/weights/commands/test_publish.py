"""What `publish` returns is what it has written."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch

from resnest_mm.weights.commands.publish import publish
from tests.support.made_checkpoints import OWN, equal


def test_the_publication_is_the_file(tmp_path: Path) -> None:
    """The draft of a record is made from it, with the normalisation in the config of the training."""
    meta = {'cfg': 'mean = [1, 2, 3]', 'epoch': 12}
    torch.save({'state_dict': OWN, 'meta': meta, 'optimizer': {}}, tmp_path / 'in.pth')
    published = publish(tmp_path / 'in.pth', tmp_path / 'out')
    content = torch.load(published.path, weights_only=True)
    assert content['meta'] == published.meta
    assert {name: published.meta[name] for name in meta} == meta
    assert equal(content['state_dict'], published.checkpoint.tensors)
    assert published.sha256 == hashlib.sha256(published.path.read_bytes()).hexdigest()
    assert published.stripped == ('optimizer',)
