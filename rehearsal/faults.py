"""The faults a rehearsal can be told to play, by name."""

from __future__ import annotations

from dataclasses import dataclass

from rehearsal.errors import BadInput

SNAPSHOT = {
    "export-failed": "every export task ends FAILED",
    "export-failed-once": "the first export task ends FAILED; the next hour's must carry the day",
    "export-limit": "the account's limit of five running exports is reached at first",
    "table-missing": "a declared table is not in the export",
    "table-skipped": "RDS skips a table and says so in the manifest",
    "transfer-failed": "BigQuery's transfer of a table fails",
    "duplicate-event": "EventBridge delivers the snapshot's event twice",
    "reader-key-revoked": "the reader's access key is switched off before the transfers run",
}

REPLICATION = {
    "function-crash": "one in ten invocations by the stream or a queue is killed halfway",
    "records-rejected": "Firehose does not take a third of the records at first",
    "duplicates": "one in ten deliveries comes twice: records, batches, messages",
    "reordered": "Firehose and the queues lose the order of what they deliver",
    "database-down": "the database crashes and is away for a while",
    "poison": "one change in a thousand is not as the schema and the columns want it",
    "everything": "all of these at once",
}

#: The faults of each route.
FAULTS = {"snapshot": SNAPSHOT, "replication": REPLICATION}

_SHOWN = 10

# Of these faults one table is the victim: the first, unless one is named.
_OF_A_TABLE = ("table-missing", "table-skipped", "transfer-failed")


@dataclass(frozen=True)
class FaultChoice:
    """A fault and, where it strikes a single table, that table as the user named it."""

    name: str
    table: str | None = None


def parse(text: str | None, route: str = "snapshot") -> FaultChoice | None:
    """Parse ``NAME`` or ``NAME:TABLE``; BadInput when the route has no such fault."""
    if text is None:
        return None
    name, _, table = text.partition(":")
    if name not in FAULTS[route]:
        others = [other for other, faults in FAULTS.items() if name in faults]
        why = f"is a fault of --route {others[0]}" if others else "no such fault"
        raise BadInput([f"--fault {text}: {why}; choose one of {', '.join(FAULTS[route])}"])
    if table and name not in _OF_A_TABLE:
        raise BadInput([f"--fault {text}: {name} takes no table; write --fault {name}"])
    return FaultChoice(name, table or None)


def check_table(choice: FaultChoice | None, declared: list[str]) -> None:
    """Refuse a fault's table that is not among the *declared* ones: nothing would happen."""
    if choice is None or choice.table is None or choice.table in declared:
        return
    shown = ", ".join(declared[:_SHOWN]) + (", ..." if len(declared) > _SHOWN else "")
    raise BadInput(
        [f"--fault {choice.name}:{choice.table}: no such table is declared; declared are {shown}"]
    )
