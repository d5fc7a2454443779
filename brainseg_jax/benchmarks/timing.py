"""Times several things in turn: a median over rounds for each, and how far they spread."""

import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

LEAST, MOST = 5, 100  # rounds
SLOW = 1.0  # seconds


class Spread(NamedTuple):
    """Seconds of one thing over its rounds: the median and the quartiles about it."""

    median: float
    first_quartile: float
    third_quartile: float
    rounds: int

    @property
    def share(self) -> float:
        """Half of the distance between the quartiles, as a share of the median."""
        return (self.third_quartile - self.first_quartile) / 2 / self.median


def measure(
    tasks: Mapping[str, Callable[[], object]], budget: float
) -> dict[str, Spread]:
    """The spread of each task over rounds in which all take turns."""
    return {name: spread(times) for name, times in take_turns(tasks, budget).items()}


def take_turns(
    tasks: Mapping[str, Callable[[], object]], budget: float
) -> dict[str, list[float]]:
    """The seconds that each task took in every round, after one call to warm up.

    There are rounds for `budget` seconds, but LEAST in any case and MOST at most. A busy
    machine slows all down alike. A turn begins with a call that does not count, for in
    training a step follows its like, not another's that has taken the memory; left out
    where a call takes SLOW seconds. Every second round goes backwards.
    """
    times: dict[str, list[float]] = {name: [] for name in tasks}
    last = {name: _seconds(task) for name, task in tasks.items()}
    order, rounds, start = list(tasks), 0, time.perf_counter()
    while rounds < LEAST or (rounds < MOST and time.perf_counter() - start < budget):
        for name in order:
            if last[name] < SLOW:
                tasks[name]()
            last[name] = _seconds(tasks[name])
            times[name].append(last[name])
        order.reverse()
        rounds += 1
    return times


def spread(times: list[float]) -> Spread:
    first, median, third = (float(q) for q in np.quantile(times, (0.25, 0.5, 0.75)))
    return Spread(median, first, third, len(times))


def _seconds(task: Callable[[], object]) -> float:
    start = time.perf_counter()
    task()
    return time.perf_counter() - start
