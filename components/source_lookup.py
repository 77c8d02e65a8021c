"""Finding the source databases: they are looked up, never owned."""

from __future__ import annotations

from typing import Literal

import pulumi
import pulumi_aws as aws

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

    A wrong name or engine fails the preview, before anything is created: what is made for a
    source takes its identifier from here.
    """
    opts = pulumi.InvokeOutputOptions(provider=provider)
    if kind == "cluster":
        found = aws.rds.get_cluster_output(cluster_identifier=identifier, opts=opts).engine
    else:
        instance = aws.rds.get_instance_output(db_instance_identifier=identifier, opts=opts)
        found = pulumi.Output.all(instance.engine, instance.db_cluster_identifier).apply(
            lambda known: _engine_of_instance(identifier, *known)
        )

    def check(actual: str) -> str:
        if actual in _ENGINES[engine]:
            return identifier
        right = next((ours for ours, theirs in _ENGINES.items() if actual in theirs), None)
        advice = f"declare `engine: {right}`" if right else "RDS cannot export it"
        raise pulumi.RunError(
            f"data-ferry:snapshot.sources: {kind} {identifier} is declared as {engine}, "
            f"but RDS says its engine is {actual}: {advice}"
        )

    return found.apply(check)


def _engine_of_instance(identifier: str, engine: str, cluster: str | None) -> str:
    """Return the engine of an instance that has snapshots of its own."""
    if cluster:
        raise pulumi.RunError(
            f"data-ferry:snapshot.sources: instance {identifier} belongs to the cluster {cluster}, "
            f"which has the snapshots: declare `cluster: {cluster}`"
        )
    return engine
