"""Faults of delivery: what at-least-once services may do to a stream of changes, on purpose.

One seeded object is asked by the local Firehose, the event source mappings and the queues; without
one of these, they deliver once and in order.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

Item = TypeVar("Item")


@dataclass
class DeliveryFaults:
    """How much goes wrong, as shares between 0 and 1; a seed and an order of calls repeat it.

    `rejected` is the share of the entries of a PutRecordBatch that Firehose does not take;
    `duplicated` the share of deliveries (a record in Firehose's buffer, a batch of a stream, a
    message of a queue) that come twice; `reordered` lets buffers and queues lose their order;
    `crashed` is the share of invocations by a stream or a queue whose process is killed halfway.
    `struck` counts how often each of them did.
    """

    seed: int = 0
    rejected: float = 0.0
    duplicated: float = 0.0
    reordered: bool = False
    crashed: float = 0.0
    struck: Counter[str] = field(init=False, default_factory=Counter)
    _invocations: int = field(init=False, repr=False, default=0)
    _random: random.Random = field(init=False, repr=False)
    _lock: threading.Lock = field(init=False, repr=False, default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)  # noqa: S311  # chance, not secrecy

    def rejects(self) -> bool:
        """Say whether the next entry of a PutRecordBatch is not taken."""
        return self._strikes("rejected", self.rejected)

    def duplicates(self) -> bool:
        """Say whether the next delivery comes twice."""
        return self._strikes("duplicated", self.duplicated)

    def crashes(self) -> bool:
        """Say whether the process of the next invocation is killed halfway.

        These strike at even distances, the first soon: a rehearsal has few invocations.
        """
        if self.crashed <= 0:
            return False
        with self._lock:
            self._invocations += 1
            later = self._invocations - 2
            strikes = later >= 0 and later % round(1 / self.crashed) == 0
            self.struck["crashed"] += strikes
            return strikes

    def ordered(self, items: Sequence[Item]) -> list[Item]:
        """Return *items* in the order of delivery."""
        delivered = list(items)
        if self.reordered and len(delivered) > 1:
            with self._lock:
                self._random.shuffle(delivered)
                self.struck["reordered"] += 1
        return delivered

    def _strikes(self, fault: str, share: float) -> bool:
        if share <= 0:
            return False
        with self._lock:
            strikes = self._random.random() < share
            self.struck[fault] += strikes
            return strikes
