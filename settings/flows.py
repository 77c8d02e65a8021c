"""From the declared flows to the ones the program works with, checked against each other.

And against what they name: the files of schemas and certificates. What needs the cloud to tell
(whether a table or the cluster is there) is not asked here.
"""

from __future__ import annotations

import json
import re
import ssl
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from settings.columns import (
    check_names,
    check_row,
    check_schema,
    in_order,
    key_columns,
    read_columns,
)
from settings.errors import Problems, snippet
from settings.files import FileError, read_text
from settings.json_schemas import read_schema
from settings.messages import Location
from settings.model import Column, Flow, KeyAttribute
from settings.replication_rules import CA_BUNDLES
from settings.replication_schema import FlowShape, ReplicationShape
from settings.schema import NAMESPACE
from settings.shape import keys

_PATH = f"{NAMESPACE}:replication"
# DynamoDB, "Change data capture for DynamoDB Streams": more readers of a stream are throttled.
_MAX_READERS = 2
_MAX_FLOW_BYTES = 256 * 1024
# Lambda, CreateEventSourceMapping.
_MAX_BATCH_WITHOUT_WINDOW = 10
# How long Firehose collects before it transforms, unless it is told otherwise.
_TRANSFORM_BUFFER_SECONDS = 60
_CERTIFICATE = "-----BEGIN CERTIFICATE-----"
_REGION = re.compile(r"[a-z]{2}(?:-[a-z]+)+-[0-9]")


@dataclass(frozen=True)
class FlowParts:
    """What of a flow takes more than one of its keys to tell."""

    key: tuple[KeyAttribute, ...]
    key_columns: tuple[str, ...]
    columns: tuple[Column, ...]
    schema: Mapping[str, Any] | None

    def flow(self, name: str, shape: FlowShape) -> Flow:
        """Return the flow of a shape."""
        database, _, target = shape.target.partition(".")
        values = shape.model_dump(
            exclude={"partition_key", "sort_key", "target", "json_schema", "columns"}
        )
        return Flow(
            name=name,
            key=self.key,
            key_columns=self.key_columns,
            database=database,
            target=target,
            schema=self.schema,
            columns=self.columns,
            **values,
        )


@dataclass(frozen=True)
class _Given:
    """A flow as it is written, and what of it is wrong by itself: keys, and single columns."""

    name: str
    values: Mapping[str, Any]
    wrong: frozenset[object]
    wrong_columns: frozenset[object]

    @classmethod
    def of(cls, name: object, values: Mapping[str, Any], wrong: set[Location]) -> _Given:
        inside = [at[3:] for at in wrong if len(at) > 3 and at[2] == name]
        columns = frozenset(at[1] for at in inside if at[0] == "columns" and len(at) > 1)
        keys = frozenset(at[0] for at in inside if at[0] != "columns" or len(at) == 1)
        return cls(str(name), values, keys, columns)

    @property
    def path(self) -> str:
        return f"{_PATH}.flows.{self.name}"

    def value(self, key: str) -> Any:
        """Return a key's value or default, or `None` where that is wrong."""
        if key in self.wrong:
            return None
        return self.values.get(key, keys(FlowShape)[key].get_default())


def check_flows(
    replication: object, wrong: set[Location], region: str | None, root: Path, problems: Problems
) -> dict[str, FlowParts]:
    """Return what becomes of the flows, noting what is wrong between their keys and between them.

    `wrong` is where the schema found something wrong already; what builds on that is left out.
    """
    if not isinstance(replication, Mapping):
        return {}
    _check_cluster(replication.get("cluster"), wrong, region, root, problems)
    if ("replication", "on_failure_key_arn") not in wrong:
        pair = ("on_failure_key_arn", "on_failure_bucket")
        _check_pair(replication, _PATH, pair, problems)
    declared = replication.get("flows")
    given = [
        _Given.of(name, values, wrong)
        for name, values in (declared.items() if isinstance(declared, Mapping) else ())
        if isinstance(values, Mapping)
    ]
    _check_targets(given, problems)
    _check_tables(given, problems)
    lag = replication.get("load_lag_minutes", keys(ReplicationShape)["load_lag_minutes"].default)
    for flow in given:
        _check_window(flow, problems)
        if ("replication", "load_lag_minutes") not in wrong:
            _check_lag(flow, lag, problems)
    found = {flow.name: _parts(flow, root, problems) for flow in given}
    return {name: parts for name, parts in found.items() if parts is not None}


def _check_cluster(
    cluster: object, wrong: set[Location], region: str | None, root: Path, problems: Problems
) -> None:
    """Note certificates that cannot be trusted, and a secret that is elsewhere."""
    if not isinstance(cluster, Mapping):
        return
    at = ("replication", "cluster")
    given = {
        name: cluster[name]
        for name in ("secret_arn", "secret_key_arn")
        if cluster.get(name) is not None and (*at, name) not in wrong
    }
    if region is not None:
        for name, arn in given.items():
            _check_region(name, arn, region, problems)
    if "secret_key_arn" in given:
        _check_pair(cluster, f"{_PATH}.cluster", ("secret_key_arn", "secret_arn"), problems)
    bundle = cluster.get("ca_bundle")
    if isinstance(bundle, str) and (*at, "ca_bundle") not in wrong:
        _check_bundle(bundle, root, region or "<region>", problems)


def _check_pair(
    values: Mapping[str, Any], path: str, pair: tuple[str, str], problems: Problems
) -> None:
    """Note the key of something that is not there."""
    key, of = pair
    if values.get(key) is not None and values.get(of) is None:
        problem = f"is the key of what {of} names, and that is missing: name it, or leave {key} out"
        problems.add(f"{path}.{key}", problem, None)


def _check_region(name: str, arn: str, region: str, problems: Problems) -> None:
    of = arn.split(":")[3]
    if of != region:
        here = arn.replace(f":{of}:", f":{region}:", 1)
        problem = f"is in {of}; the load functions are in {region}, and read none of elsewhere"
        problems.add(f"{_PATH}.cluster.{name}", problem, snippet(name, here))


def _check_bundle(name: str, root: Path, region: str, problems: Problems) -> None:
    path = f"{_PATH}.cluster.ca_bundle"
    offered = f"AWS offers it at {CA_BUNDLES.replace('<region>', region)}"
    try:
        text = read_text(name, root)
    except FileError as error:
        # Certificates of another region may have the name that is most alike.
        fits = error.meant is not None and {region} >= set(_REGION.findall(error.meant))
        right = snippet("ca_bundle", error.meant) if fits else None
        problems.add(path, f"{error}: {offered}", right)
        return
    if "PRIVATE KEY-----" in text:
        problems.add(path, f"{name} has a private key in it, which nobody should see", None)
    elif _CERTIFICATE not in text:
        problems.add(path, f"{name} has no certificate in it, in PEM: {offered}", None)
    else:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=text)
        except (ssl.SSLError, ValueError):
            problems.add(path, f"{name} has a certificate that is not one: {offered}", None)


def _check_targets(given: Sequence[_Given], problems: Problems) -> None:
    """Note flows that would load into one table, which has one flow's changes and books."""
    seen: dict[str, str] = {}
    for flow in given:
        target = flow.value("target")
        if target is None:
            continue
        # Whether case matters is a parameter of the cluster.
        first = seen.setdefault(target.lower(), flow.name)
        if first != flow.name:
            problem = f"{target} is the target of {first} already; a table has one flow"
            database, _, table = target.partition(".")
            other = f"{database}.{table[:48]}_2"
            problems.add(f"{flow.path}.target", problem, snippet("target", other))


def _check_tables(given: Sequence[_Given], problems: Problems) -> None:
    """Note a DynamoDB table that is made and read by another flow too, or read by too many."""
    by_table: dict[str, list[_Given]] = defaultdict(list)
    for flow in given:
        if flow.value("table") is not None:
            by_table[flow.value("table")].append(flow)
    for table, flows in by_table.items():
        right = snippet("table", f"{table[:253]}-2")
        maker = next((flow for flow in flows if flow.value("create_table")), None)
        if maker is not None:
            for flow in flows:
                if flow is not maker:
                    problem = f"{table} is made for {maker.name}, and has that flow alone"
                    problems.add(f"{flow.path}.table", problem, right)
        for flow in flows[_MAX_READERS:] if maker is None else ():
            problem = f"{table} has {_MAX_READERS} flows already; more readers of its stream would "
            problems.add(f"{flow.path}.table", f"{problem}be throttled", right)


def _check_window(flow: _Given, problems: Problems) -> None:
    size, window = flow.value("batch_size"), flow.value("batching_window_seconds")
    if size is not None and window == 0 and size > _MAX_BATCH_WITHOUT_WINDOW:
        problems.add(
            f"{flow.path}.batching_window_seconds",
            f"is 0, and for batches of more than {_MAX_BATCH_WITHOUT_WINDOW} Lambda wants at least "
            f"1, here for {size}",
            snippet("batching_window_seconds", 1),
        )


def _check_lag(flow: _Given, minutes: int, problems: Problems) -> None:
    """Note an alarm that would sound while changes wait as long as they are told to."""
    window, buffer = flow.value("batching_window_seconds"), flow.value("buffer_seconds")
    seconds = max(window or 0, (buffer or 0) + _TRANSFORM_BUFFER_SECONDS)
    if seconds >= minutes * 60:
        problems.add(
            f"{_PATH}.load_lag_minutes",
            f"is {minutes}, and {flow.name} lets changes wait for up to {seconds} seconds",
            snippet("load_lag_minutes", seconds // 60 + 5),
        )


def _parts(flow: _Given, root: Path, problems: Problems) -> FlowParts | None:
    """Return what takes several keys of a flow to tell, if all of it is right."""
    key, declared, schema = _key(flow, problems), flow.value("columns"), flow.value("schema")
    document = None
    if schema is not None:
        document = read_schema(schema, root, f"{flow.path}.schema", problems)
    if declared is None:
        return None
    columns = read_columns({n: c for n, c in declared.items() if n not in flow.wrong_columns})
    check_names(columns, flow.path, problems)
    if document is not None:
        check_schema(columns, key, document, flow.path, problems)
    whole = not flow.wrong_columns
    names = key_columns(columns, key, document, flow.path, problems, whole=whole)
    check_row(columns, names or (), flow.path, problems)
    whole = whole and not flow.wrong & {"partition_key", "sort_key"}
    if names is None or not whole or (schema is not None and document is None):
        return None
    parts = FlowParts(
        key=key,
        key_columns=names,
        columns=in_order(columns, names),
        schema=document.document if document is not None else None,
    )
    _check_size(flow, parts, problems)
    return parts


def _key(flow: _Given, problems: Problems) -> tuple[KeyAttribute, ...]:
    """Return the key attributes that are right by themselves, partition key first."""
    partition, sort = flow.value("partition_key") or {}, flow.value("sort_key") or {}
    for name in partition.keys() & sort.keys():
        problem = f"is {name}, as the partition key is: name another attribute, or leave it out"
        problems.add(f"{flow.path}.sort_key", problem, None)
    attributes = {**partition, **sort, **partition}
    return tuple(KeyAttribute(name=name, type=type) for name, type in attributes.items())


def _check_size(flow: _Given, parts: FlowParts, problems: Problems) -> None:
    """Note a flow of which its functions would be told too much."""
    columns = [[column.name, column.path, column.type] for column in parts.columns]
    text = json.dumps([columns, parts.schema], ensure_ascii=False)
    size = len(text.encode(errors="surrogatepass"))
    if size > _MAX_FLOW_BYTES:
        problems.add(
            f"{flow.path}.schema",
            f"is with the columns {size:,} bytes long; at most {_MAX_FLOW_BYTES:,} fit",
            None,
        )
