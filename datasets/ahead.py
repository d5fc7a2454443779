"""Work done ahead by threads, eight at most, with a bound on what waits in memory."""

import collections
import itertools
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
from typing import TypeVar

MOST = 8  # each may hold a volume of several sequences
Item = TypeVar("Item")
Result = TypeVar("Result")


def ahead(
    function: Callable[[Item], Result], items: Iterable[Item], threads: int = 0
) -> Iterator[Result]:
    """function(item) of each in order; what it raises is raised in its turn.

    At most as many results exist at a time as there are threads, and the one given out.

    Args:
        threads: 0: as many as this process may use processors, at most MOST.
    """
    threads = threads or min(MOST, processors())
    rest = iter(items)
    waiting: collections.deque[futures.Future[Result]] = collections.deque()
    pool = futures.ThreadPoolExecutor(threads)
    try:
        for item in itertools.islice(rest, threads):
            waiting.append(pool.submit(function, item))
        while waiting:
            yield waiting.popleft().result()
            for item in itertools.islice(rest, 1):
                waiting.append(pool.submit(function, item))
    finally:
        pool.shutdown(cancel_futures=True)


def processors() -> int:
    """How many this process may use, of those that the machine has."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
