"""Finding the source databases: they are looked up, never owned."""

from __future__ import annotations

from typing import Literal

import pulumi
import pulumi_aws as aws

from components.look_ups import found_or_stop

_WHERE = "data-ferry:snapshot.sources"
# The engines RDS can export, by the words RDS has for them.
_ENGINES = {
    "mysql": ("aurora-mysql", "mysql", "mariadb"),
    "postgresql": ("aurora-postgresql", "postgres"),
}


def look_up_source(
    identifier: str,
    kind: Literal["cluster", "instance"],
    engine: Literal["mysql", "postgresql"],
    provider: aws.Provider,
) -> pulumi.Output[str]:
    """Return `identifier` once RDS has such a cluster or instance with the declared engine.

    A wrong name or engine fails the preview with one line, before anything is created: what is
    made for a source takes its identifier from here.
    """
    opts = pulumi.InvokeOutputOptions(provider=provider)
    what = f"the {kind} {identifier}"
    if kind == "cluster":
        cluster = aws.rds.get_cluster_output(cluster_identifier=identifier, opts=opts)
        found = found_or_stop(cluster, _WHERE, what).engine
    else:
        instance = found_or_stop(
            aws.rds.get_instance_output(db_instance_identifier=identifier, opts=opts), _WHERE, what
        )
        found = pulumi.Output.all(instance.engine, instance.db_cluster_identifier).apply(
            lambda known: _engine_of_instance(identifier, *known)
        )

    def check(actual: str) -> str:
        if actual in _ENGINES[engine]:
            return identifier
        right = next((ours for ours, theirs in _ENGINES.items() if actual in theirs), None)
        advice = f"declare `engine: {right}`" if right else "RDS cannot export it"
        raise pulumi.RunError(
            f"{_WHERE}: {kind} {identifier} is declared as {engine}, "
            f"but RDS says its engine is {actual}: {advice}"
        )

    return found.apply(check)


def _engine_of_instance(identifier: str, engine: str, cluster: str | None) -> str:
    """Return the engine of an instance that has snapshots of its own."""
    if cluster:
        raise pulumi.RunError(
            f"{_WHERE}: instance {identifier} belongs to the cluster {cluster}, "
            f"which has the snapshots: declare `cluster: {cluster}`"
        )
    return engine
