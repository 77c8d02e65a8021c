"""Every SQL statement of the load: pure functions of a flow and the collation of its keys.

They are right in MySQL 8 (Aurora MySQL 3) and MariaDB from 10.6. No statement refers to a temporary
table twice (MySQL, "TEMPORARY Table Problems"). The loader's own names begin with ``ferry_``, which
those of a flow may not:

- `ferry_stage`, temporary: an object's lines as they are, numbered.
- `ferry_chosen`, temporary: the lines that change something, at most one per key.
- `ferry_keys_<table>`: per key the sequence of its last change, and of deleted ones since when.
- `ferry_targets`: a row per target; whoever loads locks it, so loads of one target take turns.
- `ferry_objects`: the ledger; a row per object that was loaded.

What was deleted stays in `ferry_keys_<table>`: an older change that comes late must find it. Rows
with a `ferry_deleted_at` before the oldest change that can still come may be deleted, and so may
old rows of `ferry_objects`. A stream keeps changes for 24 hours, a queue for at most 14 days, the
bucket files and failed records until their lifecycle rules: what is older than all of these cannot
come again.
"""

# ruff: noqa: S608  # the identifiers are the flow's: checked there, quoted here

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pymysql.converters import escape_string

from replication.flow import Column, Flow

STAGE = "`ferry_stage`"
CHOSEN = "`ferry_chosen`"
TARGETS = "`ferry_targets`"
OBJECTS = "`ferry_objects`"
_LATEST = "`ferry_latest`"

# A flow's marks by their places in the enumeration, which are the same for every flow.
_UPSERT, _DELETE = 1, 2
_TABLE = "ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4"


def quoted(name: str) -> str:
    """Return an identifier in backquotes; a flow's names have none inside."""
    return f"`{name}`"


def s3_source(region: str, bucket: str, key: str) -> str:
    """Return where Aurora's LOAD DATA finds an object."""
    return f"FROM S3 FILE '{escape_string(f's3-{region}://{bucket}/{key}')}'"


@dataclass(frozen=True)
class Statements:
    """The statements of one flow."""

    flow: Flow
    collation: str

    @property
    def target(self) -> str:
        """Return the target's name."""
        return quoted(self.flow.table)

    @property
    def keys(self) -> str:
        """Return the name of the table of sequences."""
        return quoted(f"ferry_keys_{self.flow.table}")

    def create_target(self) -> str:
        """Return the statement that makes the target."""
        return self._create(self.target, self._definitions())

    def create_keys(self) -> str:
        """Return the statement that makes the table of sequences."""
        own = ["`ferry_sequence` decimal(65,0) NOT NULL", "`ferry_deleted_at` datetime(6) NULL"]
        return self._create(
            self.keys, [*(self._definition(column) for column in self.flow.key_columns), *own]
        )

    def create_stage(self) -> str:
        """Return the statement that makes the stage; it commits nothing."""
        upsert, delete = self.flow.marks
        own = [
            "`ferry_row` bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY",
            f"`ferry_op` enum('{upsert}','{delete}') NOT NULL",
            "`ferry_sequence` decimal(65,0) NOT NULL",
        ]
        columns = ", ".join([*own, *self._definitions()])
        return f"CREATE TEMPORARY TABLE {STAGE} ({columns}) {_TABLE}"

    def load(self, source: str) -> str:
        """Return the statement that fills the stage from `source` (see `s3_source`).

        What it reads is what `lines` writes. Bytes come as base64, by way of a user variable.
        """
        columns = [quoted("ferry_op"), quoted("ferry_sequence")]
        decoded = []
        for column in self.flow.columns:
            name = quoted(column.name)
            columns.append(f"@{name}" if column.type.is_binary else name)
            if column.type.is_binary:
                decoded.append(f"{name} = FROM_BASE64(@{name})")
        statement = (
            f"LOAD DATA {source} INTO TABLE {STAGE} CHARACTER SET utf8mb4 "
            "FIELDS TERMINATED BY ',' ENCLOSED BY '\"' ESCAPED BY '' "
            rf"LINES TERMINATED BY '\n' ({', '.join(columns)})"
        )
        return f"{statement} SET {', '.join(decoded)}" if decoded else statement

    def choose(self) -> str:
        """Return the statement that finds each key's last line, if it is news of the key."""
        names = self._key_names()
        return (
            f"INSERT INTO {CHOSEN} (`ferry_row`) SELECT {_LATEST}.`ferry_row` FROM ("
            f"SELECT `ferry_row`, `ferry_sequence`, {', '.join(names)}, ROW_NUMBER() OVER ("
            f"PARTITION BY {', '.join(names)} ORDER BY `ferry_sequence` DESC, `ferry_row`"
            f") AS `ferry_place` FROM {STAGE}) AS {_LATEST} "
            f"LEFT JOIN {self.keys} ON {self._same_key(self.keys, _LATEST)} "
            f"WHERE {_LATEST}.`ferry_place` = 1 AND ({self.keys}.`ferry_sequence` IS NULL "
            f"OR {_LATEST}.`ferry_sequence` > {self.keys}.`ferry_sequence`)"
        )

    def delete(self) -> str:
        """Return the statement that deletes what the chosen lines say."""
        return (
            f"DELETE {self.target} FROM {self.target} JOIN {STAGE} "
            f"ON {self._same_key(self.target, STAGE)} {_JOIN_CHOSEN} "
            f"WHERE {STAGE}.`ferry_op` = {_DELETE}"
        )

    def upsert(self) -> str:
        """Return the statement that inserts or updates what the chosen lines say."""
        names = [quoted(column.name) for column in self.flow.columns]
        others = [quoted(c.name) for c in self.flow.columns if c.name not in self.flow.key]
        # A statement must assign something: of a table that is all key, the key to itself.
        updates = [f"{self.target}.{name} = {STAGE}.{name}" for name in others or names[:1]]
        return (
            f"INSERT INTO {self.target} ({', '.join(names)}) "
            f"SELECT {', '.join(f'{STAGE}.{name}' for name in names)} FROM {STAGE} "
            f"{_JOIN_CHOSEN} WHERE {STAGE}.`ferry_op` = {_UPSERT} "
            f"ON DUPLICATE KEY UPDATE {', '.join(updates)}"
        )

    def remember(self) -> str:
        """Return the statement that keeps the sequences of the chosen lines."""
        names = self._key_names()
        own = ["`ferry_sequence`", "`ferry_deleted_at`"]
        deleted = f"IF({STAGE}.`ferry_op` = {_DELETE}, UTC_TIMESTAMP(6), NULL)"
        return (
            f"INSERT INTO {self.keys} ({', '.join([*names, *own])}) "
            f"SELECT {', '.join(f'{STAGE}.{name}' for name in names)}, {STAGE}.`ferry_sequence`, "
            f"{deleted} FROM {STAGE} {_JOIN_CHOSEN} ON DUPLICATE KEY UPDATE "
            f"{self.keys}.`ferry_sequence` = {STAGE}.`ferry_sequence`, "
            f"{self.keys}.`ferry_deleted_at` = {deleted}"
        )

    def _definitions(self) -> list[str]:
        return [self._definition(column) for column in self.flow.columns]

    def _definition(self, column: Column) -> str:
        if column.name not in self.flow.key:
            return f"{quoted(column.name)} {column.type} NULL"
        collated = f" COLLATE {self.collation}" if column.type.kind == "varchar" else ""
        return f"{quoted(column.name)} {column.type}{collated} NOT NULL"

    def _create(self, table: str, definitions: Iterable[str]) -> str:
        key = f"PRIMARY KEY ({', '.join(self._key_names())})"
        return f"CREATE TABLE IF NOT EXISTS {table} ({', '.join([*definitions, key])}) {_TABLE}"

    def _key_names(self) -> list[str]:
        return [quoted(name) for name in self.flow.key]

    def _same_key(self, left: str, right: str) -> str:
        return " AND ".join(f"{left}.{name} = {right}.{name}" for name in self._key_names())


_JOIN_CHOSEN = f"JOIN {CHOSEN} ON {CHOSEN}.`ferry_row` = {STAGE}.`ferry_row`"

CREATE_CHOSEN = (
    f"CREATE TEMPORARY TABLE {CHOSEN} (`ferry_row` bigint unsigned NOT NULL PRIMARY KEY) {_TABLE}"
)
CREATE_TARGETS = (
    f"CREATE TABLE IF NOT EXISTS {TARGETS} (`target` varbinary(256) NOT NULL PRIMARY KEY) {_TABLE}"
)
CREATE_OBJECTS = (
    f"CREATE TABLE IF NOT EXISTS {OBJECTS} (`id` binary(32) NOT NULL PRIMARY KEY, "
    "`bucket` varchar(63) NOT NULL, `object` varchar(1024) NOT NULL, "
    "`version` varchar(1024) NOT NULL, `sequencer` varchar(64) NOT NULL, "
    "`target` varchar(64) NOT NULL, `lines` bigint NOT NULL, `upserts` bigint NOT NULL, "
    f"`deletes` bigint NOT NULL, `loaded_at` datetime(6) NOT NULL) {_TABLE}"
)

ADD_TARGET = f"INSERT IGNORE INTO {TARGETS} (`target`) VALUES (%s)"
FIND_TARGET = f"SELECT 1 FROM {TARGETS} WHERE `target` = %s"
LOCK_TARGET = f"SELECT `target` FROM {TARGETS} WHERE `target` = %s FOR UPDATE"
FIND_OBJECT = f"SELECT 1 FROM {OBJECTS} WHERE `id` = %s"
ADD_OBJECT = (
    f"INSERT INTO {OBJECTS} (`id`, `bucket`, `object`, `version`, `sequencer`, `target`, `lines`, "
    "`upserts`, `deletes`, `loaded_at`) "
    "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, UTC_TIMESTAMP(6))"
)
COUNT_LINES = f"SELECT COUNT(*) FROM {STAGE}"
COUNT_CHOSEN = (
    f"SELECT COALESCE(SUM({STAGE}.`ferry_op` = {_UPSERT}), 0), "
    f"COALESCE(SUM({STAGE}.`ferry_op` = {_DELETE}), 0) "
    f"FROM {STAGE} {_JOIN_CHOSEN}"
)
