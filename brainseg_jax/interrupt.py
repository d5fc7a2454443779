"""SIGTERM and Ctrl-C as a request to stop at the next safe point."""

import contextlib
import os
import signal
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT)
STDERR = 2


class Interrupted(Exception):
    """The run has saved itself after a signal; `status` is what the process exits with."""

    def __init__(self, message: str, status: int):
        super().__init__(message)
        self.status = status


class StopRequest:
    """While active, the first signal only sets `signal`; a second one ends the process."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self._previous: dict[int, object] = {}

    def __enter__(self) -> "StopRequest":
        self._previous = {
            number: signal.signal(number, self._note) for number in SIGNALS
        }
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    @property
    def status(self) -> int:
        """What shells give for a process ended by that signal: 143 or 130."""
        return 128 + (self.signal or 0)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        self.signal = number
        # Not by print: the signal may have come in the middle of one.
        with contextlib.suppress(OSError):
            os.write(STDERR, b"\nStopping at the next step; once more stops at once.\n")
