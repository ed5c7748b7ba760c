"""Which signals wait for the end of an iteration, and which end a process at once."""

from __future__ import annotations

import os
import signal

import pytest

from resnest_mm.signals import Stopped, StopRequest, signals_handled


def test_a_signal_that_a_launcher_passes_on_is_not_a_second_one(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """With torchrun, Ctrl-C reaches a process from the terminal and from torchrun; the checkpoint must be saved."""
    now = [100.0]
    monkeypatch.setattr('resnest_mm.signals.time.monotonic', lambda: now[0])
    request = StopRequest(waiting=True, launched=True)
    with signals_handled(request):
        os.kill(os.getpid(), signal.SIGINT)
        now[0] += 0.5
        os.kill(os.getpid(), signal.SIGTERM)
        assert request.number == signal.SIGINT
        now[0] += 1
        with pytest.raises(Stopped, match='stopped by SIGTERM'):
            os.kill(os.getpid(), signal.SIGTERM)
    assert capfd.readouterr().err == 'SIGINT: stopping after this iteration; a second signal stops at once\n'


def test_without_a_launcher_the_second_signal_stops_at_once() -> None:
    request = StopRequest(waiting=True)
    with signals_handled(request):
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(Stopped, match='stopped by SIGINT'):
            os.kill(os.getpid(), signal.SIGINT)
