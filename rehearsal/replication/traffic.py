"""Web-analytics events as an application writes them: inserts, updates, deletes, re-inserts.

Everything follows from the seed: the keys, the values, the order of each key's changes. Values are
DynamoDB's own JSON, so that nothing stands between what is written and what is compared later.
"""

from __future__ import annotations

import base64
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any, Literal

Item = dict[str, dict[str, Any]]
Key = tuple[str, str]
Operation = Literal["put", "add", "delete"]

KEYS = 10_000
# Of the changes to a page view that is there, so many take it away, and so many count one hit more.
_DELETED, _COUNTED = 0.25, 0.05
_BEGAN = datetime(2024, 2, 29, 23, 59, 59, tzinfo=timezone.utc)

_TEXTS = (
    "",
    "NULL",
    "\\N",
    'She said "hello", and left',
    "comma, semicolon; tab\t",
    "two\nlines\r\nand three",
    "C:\\path\\to\\n",
    '"',
    '""',
    "'",
    "\\",
    ' "quoted" ',
    "trailing space ",
    "Ünïcödé, 中文, العربية",
    "🦄🚀 emoji 👩‍👩‍👧",
    "a" * 2000,
)
_NUMBERS = (
    "0",
    "-1",
    "0.1",
    "12345678901234567890123456789012345678",
    "-99999999999999999999999999999999999999",
    "1234567890123456789012345678901234.5678",
    "0.00000000000000000001",
)
_AGENTS = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0 Safari",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15",
    'odd "agent", v1\\2',
)
_DEVICES = ("desktop", "phone", "tablet", "télé")


@dataclass(frozen=True)
class Change:
    """One write to the table; `item` is what it puts, None of a deletion or a count.

    `poison` names the change where the route must refuse it, and is in the item as `note`.
    """

    operation: Operation
    key: Key
    item: Item | None = None
    poison: str | None = None


@dataclass
class Traffic:
    """The changes to some of the keys, and what the table and its copy hold after them.

    `share` and `of` divide the keys among writers: no two of them write one key, so that the order
    of a key's changes is one writer's. `poison_every` makes each n-th change a bad one, 0 none.
    """

    seed: int
    changes: int
    keys: int = KEYS
    poison_every: int = 0
    share: int = 0
    of: int = 1
    items: dict[Key, Item] = field(default_factory=dict)
    poisons: set[str] = field(default_factory=set)
    counts: dict[str, int] = field(
        default_factory=lambda: {"inserts": 0, "updates": 0, "deletes": 0, "poison": 0}
    )

    def __post_init__(self) -> None:
        self._random = random.Random(f"{self.seed}/{self.share}")  # noqa: S311  # repeatable
        self._spoilt: set[Key] = set()

    def __iter__(self) -> Iterator[Change]:
        """Yield the changes; those to spoilt items come once more at the end, good ones."""
        for number in range(1, self.changes + 1):
            key = self._key()
            if self.poison_every and number % self.poison_every == 0:
                yield self._poison(key, number)
            else:
                yield self._good(key)
        for key in sorted(self._spoilt):
            yield self._put(key)

    def _key(self) -> Key:
        number = self._random.randrange(self.share, self.keys, self.of)
        return f"/page/{number % 100}", f"session-{number // 100:04d} ü"

    def _good(self, key: Key) -> Change:
        present = key in self.items
        chance = self._random.random()
        if present and chance < _DELETED:
            self.counts["deletes"] += 1
            del self.items[key]
            self._spoilt.discard(key)
            return Change("delete", key)
        if present and key not in self._spoilt and chance < _DELETED + _COUNTED:
            self.counts["updates"] += 1
            hits = int(self.items[key]["hits"]["N"]) + 1
            self.items[key] = {**self.items[key], "hits": {"N": str(hits)}}
            return Change("add", key)
        return self._put(key)

    def _put(self, key: Key) -> Change:
        self.counts["updates" if key in self.items else "inserts"] += 1
        self._spoilt.discard(key)
        self.items[key] = item = self._page_view(key)
        return Change("put", key, item)

    def _poison(self, key: Key, number: int) -> Change:
        """Write what no schema or column takes, over whatever was there."""
        name = f"poison-{self.share}-{number}"
        item = self._page_view(key)
        item["note"] = {"S": name}
        wrong: Item = self._random.choice(
            [
                {"hits": {"S": "many"}},
                {"hits": {"N": "-1"}},
                {"hits": {"N": "9223372036854775808"}},
                {"activity_time": {"S": "yesterday"}},
                {"client": {"M": {"device": {"S": "d" * 65}}}},
                {"client": {"M": {"device": {"N": "7"}}}},
                {"tags": {"S": "not a set"}},
            ]
        )
        self.counts["poison"] += 1
        self.poisons.add(name)
        self.items[key] = item | wrong
        self._spoilt.add(key)
        return Change("put", key, item | wrong, name)

    def _page_view(self, key: Key) -> Item:
        chance = self._random
        at = _BEGAN + timedelta(microseconds=chance.randrange(10**15))
        view: Item = {
            "page_id": {"S": key[0]},
            "session": {"S": key[1]},
            "activity_time": {"S": at.isoformat().replace("+00:00", "Z")},
            "hits": {"N": str(chance.randrange(1_000_000))},
            "client": {"M": self._client()},
        }
        optional: list[tuple[str, dict[str, Any]]] = [
            ("revenue", {"N": chance.choice(_NUMBERS)}),
            ("note", chance.choice([{"S": chance.choice(_TEXTS)}, {"NULL": True}])),
            ("tags", {"SS": chance.sample(("a", "b", "ü", '"', "x,y"), chance.randrange(1, 5))}),
            ("fingerprint", {"B": base64.b64encode(chance.randbytes(16)).decode()}),
        ]
        for name, value in optional:
            if chance.random() < 0.7:
                view[name] = value
        return view

    def _client(self) -> Item:
        chance = self._random
        return {
            "device": {"S": chance.choice(_DEVICES)},
            "user_agent": chance.choice([{"S": chance.choice(_AGENTS)}, {"NULL": True}]),
            "screen": {"M": {"w": {"N": "1920"}, "scale": {"N": "1.25"}}},
            "history": {"L": [{"S": chance.choice(_TEXTS)}, {"BOOL": True}, {"NULL": True}]},
        }
