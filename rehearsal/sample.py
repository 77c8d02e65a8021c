"""The sample database a rehearsal uses when it is given none.

Five tables in one SQLite file: `country`, `city` and `countrylanguage`, in the structure of the
well-known *world* teaching database, and `users` and `orders`, generated to hold what pipelines
get wrong: names in many scripts, exact decimals, dates before 1970, booleans, bytes, JSON, NULLs.
The same rows every time, so that counts and sums can be relied on.
"""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from rehearsal.world import CITIES, COUNTRIES, LANGUAGES

USERS = 2_000
ORDERS = 5_000

_SEED = 20_261_120

_SCHEMA = """
CREATE TABLE country (
    Code CHAR(3) NOT NULL PRIMARY KEY,
    Name VARCHAR(52) NOT NULL,
    Continent VARCHAR(20) NOT NULL,
    Region VARCHAR(26) NOT NULL,
    SurfaceArea DECIMAL(10,2) NOT NULL,
    IndepYear SMALLINT,
    Population INTEGER NOT NULL,
    LifeExpectancy DECIMAL(3,1),
    GNP DECIMAL(10,2),
    GNPOld DECIMAL(10,2),
    LocalName VARCHAR(45) NOT NULL,
    GovernmentForm VARCHAR(45) NOT NULL,
    HeadOfState VARCHAR(60),
    Capital INTEGER,
    Code2 CHAR(2) NOT NULL
);
CREATE TABLE city (
    ID INTEGER NOT NULL PRIMARY KEY,
    Name VARCHAR(35) NOT NULL,
    CountryCode CHAR(3) NOT NULL REFERENCES country (Code),
    District VARCHAR(20) NOT NULL,
    Population INTEGER NOT NULL
);
CREATE TABLE countrylanguage (
    CountryCode CHAR(3) NOT NULL REFERENCES country (Code),
    Language VARCHAR(30) NOT NULL,
    IsOfficial CHAR(1) NOT NULL,
    Percentage DECIMAL(4,1) NOT NULL,
    PRIMARY KEY (CountryCode, Language)
);
CREATE TABLE users (
    id INTEGER NOT NULL PRIMARY KEY,
    name VARCHAR(80) NOT NULL,
    email VARCHAR(120) NOT NULL,
    born DATE,
    active BOOLEAN NOT NULL,
    balance DECIMAL(14,4) NOT NULL,
    score DOUBLE,
    created_at DATETIME NOT NULL,
    avatar BLOB,
    settings JSON
);
CREATE TABLE orders (
    id INTEGER NOT NULL PRIMARY KEY,
    user_id INTEGER NOT NULL REFERENCES users (id),
    total DECIMAL(10,2) NOT NULL,
    currency CHAR(3) NOT NULL,
    status VARCHAR(12) NOT NULL,
    placed_at DATETIME NOT NULL,
    shipped_at DATETIME,
    gift BOOLEAN,
    note TEXT
);
"""

_GIVEN = (
    *("Ada", "José", "Zoë", "Łukasz", "Søren", "Nguyễn", "Ольга", "Γιώργος", "محمد", "नेहा"),
    *("さくら", "伟", "지훈", "Mícheál", "Þóra", "O'Brien", "İpek", "Ιωάννα", "Renée", "Grace 🙂"),
)
_FAMILY = (
    *("Lovelace", "Núñez", "Müller", "Wałęsa", "Åkesson", "Trần", "Иванова", "Παπαδάκης"),
    *("القاسم", "शर्मा", "田中", "李", "김", "Ó Súilleabháin", "D'Angelo", "Smith-Jones"),
)
_NOTES = (
    "leave at the door",
    "Grüße aus Köln",
    "お急ぎください",
    'say "hello"',
    "line one\nline two",
)
_STATUSES = ("new", "paid", "shipped", "returned")
_CURRENCIES = ("EUR", "USD", "JPY")
_EARLIEST = datetime(1931, 5, 17, 4, 30)
_LATEST = datetime(2026, 11, 19, 23, 59, 59)


def make(path: Path) -> None:
    """Write the sample to a file, replacing what is there."""
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as database, database:
        database.executescript(_SCHEMA)
        for table, rows in _tables().items():
            places = ", ".join("?" * len(rows[0]))
            # Table names are this file's own.
            database.executemany(f"INSERT INTO {table} VALUES ({places})", rows)  # noqa: S608


def _tables() -> dict[str, list[tuple[Any, ...]]]:
    """All rows, in tables' order; SQLite is given decimals as text, so that none is rounded."""
    chance = random.Random(_SEED)  # noqa: S311 a repeatable sample is wanted, no secret
    return {
        "country": list(COUNTRIES),
        "city": list(CITIES),
        "countrylanguage": list(LANGUAGES),
        "users": list(_users(chance)),
        "orders": list(_orders(chance)),
    }


def _users(chance: random.Random) -> Iterator[tuple[Any, ...]]:
    for number in range(1, USERS + 1):
        name = f"{chance.choice(_GIVEN)} {chance.choice(_FAMILY)}"
        born = None if chance.random() < 0.1 else _moment(chance).date().isoformat()
        avatar = None if chance.random() < 0.4 else chance.randbytes(chance.randrange(0, 24))
        settings = {"theme": chance.choice(("dark", "light")), "tags": ["ünïcode", number % 7]}
        yield (
            number,
            name,
            f"user{number}@example.com",
            born,
            int(chance.random() < 0.8),
            str(Decimal(chance.randrange(-(10**9), 10**11)).scaleb(-4)),
            None if chance.random() < 0.2 else chance.uniform(-1000, 1000),
            _moment(chance).isoformat(" ", "microseconds"),
            avatar,
            None if chance.random() < 0.3 else json.dumps(settings, ensure_ascii=False),
        )


def _orders(chance: random.Random) -> Iterator[tuple[Any, ...]]:
    for number in range(1, ORDERS + 1):
        placed = _moment(chance)
        shipped = None if chance.random() < 0.25 else placed + timedelta(hours=chance.randrange(99))
        yield (
            number,
            chance.randrange(1, USERS + 1),
            str(Decimal(chance.randrange(1, 500_000)).scaleb(-2)),
            chance.choice(_CURRENCIES),
            chance.choice(_STATUSES),
            placed.isoformat(" ", "seconds"),
            shipped and shipped.isoformat(" ", "seconds"),
            chance.choice((0, 1, None)),
            chance.choice((*_NOTES, None)),
        )


def _moment(chance: random.Random) -> datetime:
    span = (_LATEST - _EARLIEST) // timedelta(microseconds=1)
    return _EARLIEST + timedelta(microseconds=chance.randrange(span))
