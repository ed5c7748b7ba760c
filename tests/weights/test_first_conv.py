"""Weights trained on RGB images respond to other numbers of channels as they do to RGB."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from mmengine.logging import MMLogger

from resnest_mm.weights import CheckpointError, load_backbone
from tests.support.tiny_backbones import image, scatter, tiny


@pytest.mark.parametrize('in_channels', [1, 2, 3, 4, 5, 6])
def test_repeated_input_gives_the_colour_response(in_channels: int, tmp_path: Path) -> None:
    """One or two channels stand for a grey image, four and more for the colours in turn."""
    colour = tiny(num_stages=2)
    scatter(colour)
    torch.save(colour.state_dict(), tmp_path / 'colour.pth')
    init_cfg = {'type': 'Pretrained', 'checkpoint': str(tmp_path / 'colour.pth')}
    other = tiny(num_stages=2, in_channels=in_channels, init_cfg=init_cfg)
    other.init_weights()
    assert other.stem[0].weight.shape[1] == in_channels
    x = image(2).double()
    x = x[:, :1].expand(-1, 3, -1, -1) if in_channels < 3 else x
    repeated = x[:, [channel % 3 for channel in range(in_channels)]]
    with torch.no_grad():
        for a, b in zip(other.double().eval()(repeated), colour.double().eval()(x), strict=True):
            assert (a - b).abs().max() / b.abs().max() <= 1e-6


def test_every_channel_has_a_part() -> None:
    other = tiny(num_stages=1, in_channels=4)
    load_backbone(other, tiny(num_stages=1).state_dict())
    assert all(other.stem[0].weight[:, channel].any() for channel in range(4))


def test_grey_weights_do_not_make_colours() -> None:
    with pytest.raises(CheckpointError, match=r'stem.0.weight \(4, 1, 3, 3\) for \(4, 3, 3, 3\)'):
        load_backbone(tiny(num_stages=1), tiny(num_stages=1, in_channels=1).state_dict())


@pytest.mark.parametrize(('in_channels', 'lines'), [(3, []), (4, ['the file: stem.0.weight fitted from 3 to 4'])])
def test_fitting_is_logged_once_with_both_numbers_of_channels(
    in_channels: int, lines: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    """A user whose images have other channels reads in the log that the first convolution was changed."""
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    try:
        with caplog.at_level(logging.INFO):
            load_backbone(
                tiny(num_stages=1, in_channels=in_channels), tiny(num_stages=1).state_dict(), source='the file'
            )
    finally:
        logger.removeHandler(caplog.handler)
    assert [record.getMessage().partition(' image channels')[0] for record in caplog.records] == lines
    assert all(record.levelno == logging.INFO for record in caplog.records)
