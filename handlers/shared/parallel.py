"""Many small calls at once, within the time a function has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

THREADS = 16
SECONDS_TO_SPARE = 60.0


def work_off(
    items: Sequence[T],
    work: Callable[[T], None],
    seconds_left: Callable[[], float],
    chunk: int,
) -> int | None:
    """Do `work` on a chunk of the items; return the index of the first left undone, or None.

    Nothing is begun when less than a minute is left, but the first item always is: a function
    with a short timeout moves slowly instead of not at all.
    """

    def one(numbered: tuple[int, T]) -> bool:
        index, item = numbered
        if index and seconds_left() < SECONDS_TO_SPARE:
            return False
        work(item)
        return True

    with ThreadPoolExecutor(THREADS) as pool:
        done = list(pool.map(one, enumerate(items[:chunk])))
    if False in done:
        return done.index(False)
    return chunk if len(items) > chunk else None
