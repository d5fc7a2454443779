"""The first signal asks a run to stop, the second ends it."""

import os
import signal
import subprocess
import sys

from brainseg_jax.interrupt import StopRequest

STUBBORN = """
import os, signal, time
from brainseg_jax.interrupt import StopRequest
with StopRequest() as stop:
    os.kill(os.getpid(), signal.SIGINT)
    print("asked by", stop.signal, flush=True)
    os.kill(os.getpid(), signal.SIGINT)
    print("still here", flush=True)
"""


def test_a_signal_sets_a_flag_and_what_to_exit_with():
    with StopRequest() as stop:
        assert stop.signal is None
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.signal == signal.SIGTERM
        assert stop.status == 143


def test_the_handler_does_not_print_since_it_may_come_within_a_print(
    monkeypatch, capfd
):
    monkeypatch.setattr("builtins.print", None)
    monkeypatch.setattr(sys, "stderr", None)
    with StopRequest():
        os.kill(os.getpid(), signal.SIGTERM)
    assert "once more stops at once" in capfd.readouterr().err


def test_a_closed_terminal_does_not_matter(monkeypatch):
    def closed(file, content):
        raise BrokenPipeError

    monkeypatch.setattr(os, "write", closed)
    with StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
    assert stop.signal == signal.SIGTERM


def test_handlers_are_put_back():
    before = signal.getsignal(signal.SIGINT)
    with StopRequest():
        assert signal.getsignal(signal.SIGINT) != before
    assert signal.getsignal(signal.SIGINT) == before


def test_the_second_signal_ends_the_process_at_once():
    done = subprocess.run(
        [sys.executable, "-c", STUBBORN], capture_output=True, text=True, timeout=60
    )
    assert "asked by 2" in done.stdout
    assert "still here" not in done.stdout
    assert done.returncode == -signal.SIGINT
