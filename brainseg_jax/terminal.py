"""What a person sees: tables, a bar while training, and where the time of an epoch went."""

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)


def show(*parts: Any) -> None:
    """Prints tables and lines as they are: names from data may hold [brackets]."""
    console = Console(markup=False, emoji=False)
    for part in parts:
        console.print(part)


class ProcessorClock:
    """Processor time that this process took, on all of its cores together."""

    def __init__(self) -> None:
        self._told = time.process_time()

    def since_told(self) -> float:
        """Seconds since this was last asked, or made."""
        before, self._told = self._told, time.process_time()
        return self._told - before


class Clock:
    """Wall time of an epoch, and of the named parts of it."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self.parts: dict[str, float] = {}

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - start
            self.parts[name] = self.parts.get(name, 0.0) + spent

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._start

    def line(self) -> str:
        """Such as "31.0 s: data 1 %, step 85 %, evaluation 12 %, checkpoint 2 %"."""
        total = self.seconds
        shares = [f"{name} {100 * t / total:.0f} %" for name, t in self.parts.items()]
        return f"{total:.1f} s: {', '.join(shares)}"


class TrainingBar:
    """Steps done, loss, the watched score, examples per second, time left.

    A context manager; silent where the output is no terminal: logs get a line per epoch.
    """

    def __init__(self, total_steps: int, batch_size: int, note: str, watched: str):
        console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        description = f"training [{note}]" if note else "training"
        self._task = self._progress.add_task(
            description.replace("[", r"\["), total=total_steps, figures=""
        )
        self._batch_size = batch_size
        self._watched = watched
        self._shown: tuple[int, float] | None = None

    def __enter__(self) -> "TrainingBar":
        self._progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._progress.stop()

    def show(
        self, step: int, loss: float | None, history: Sequence[Mapping[str, Any]]
    ) -> None:
        """Draws the bar anew: the mean loss of the epoch, and the last score so far."""
        figures, now = [], time.perf_counter()
        if loss is not None:
            figures.append(f"loss {loss:.4f}")
        column = f"validation_{self._watched}"
        if scored := [row[column] for row in history if column in row]:
            figures.append(f"{column.replace('_', ' ')} {scored[-1]:.3f}")
        if self._shown and step > self._shown[0]:
            rate = (step - self._shown[0]) * self._batch_size / (now - self._shown[1])
            figures.append(f"{rate:.0f} examples/s")
        self._shown = (step, now)
        self._progress.update(self._task, completed=step, figures="  ".join(figures))
