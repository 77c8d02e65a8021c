"""An Aurora MySQL cluster as the RDS API knows it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from rehearsal.aws.rds_events import Kind

FAMILY = "aurora-mysql8.0"
ENGINE, ENGINE_VERSION = "aurora-mysql", "8.0.mysql_aurora.3.08.2"
MYSQL_VERSION = "8.0.39"
"""What Aurora MySQL 3.08 is compatible with: Release Notes for Aurora MySQL, "3.08.0"."""

# "Aurora MySQL configuration parameters", Amazon Aurora User Guide.
DEFAULTS: Mapping[str, str | None] = {
    "activate_all_roles_on_login": "0",
    "aws_default_s3_role": None,
    "binlog_format": "OFF",
    "character_set_server": None,
    "collation_server": None,
    "innodb_lock_wait_timeout": None,
    "local_infile": "1",
    "max_allowed_packet": None,
    "require_secure_transport": "OFF",
    "sql_mode": None,
    "time_zone": "UTC",
    "transaction_isolation": None,
}
"""The cluster parameters that are known here; None is the engine's own default.

Of these `activate_all_roles_on_login`, `aws_default_s3_role`, `require_secure_transport` and
`sql_mode` have effect, for new sessions and at once; the others are only kept.
"""


@dataclass(frozen=True)
class SubnetGroup:
    """The subnets of one VPC that clusters may lie in."""

    name: str
    vpc: str
    subnets: Mapping[str, str]
    """Subnet -> its availability zone."""


@dataclass
class ParameterGroup:
    """Settings for clusters."""

    name: str
    arn: str
    description: str
    values: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Parameter -> its value and when that applies, where it is not the default."""
    tags: dict[str, str] = field(default_factory=dict)

    def value(self, parameter: str) -> str | None:
        """Return a parameter's value; None where it is the engine's default."""
        changed = self.values.get(parameter)
        return changed[0] if changed else DEFAULTS.get(parameter)


@dataclass
class Cluster:
    """What of a cluster can be looked up, and what can be changed."""

    identifier: str
    account: str
    region: str
    subnet_group: SubnetGroup
    security_groups: list[str]
    endpoint: str
    port: int
    iam_authentication: bool
    parameter_group: str = f"default.{FAMILY}"
    roles: dict[str, str] = field(default_factory=dict)
    """Role's ARN -> the feature it is associated for, mostly none."""
    created: datetime = field(default_factory=lambda: datetime.now(timezone.utc))

    kind: Kind = field(default="cluster", init=False)

    @property
    def arn(self) -> str:
        """The cluster's ARN."""
        return f"arn:aws:rds:{self.region}:{self.account}:cluster:{self.identifier}"

    @property
    def resource_id(self) -> str:
        """The id that never changes, and that policies of database users name."""
        return f"cluster-{hashlib.sha256(self.arn.encode()).hexdigest()[:26].upper()}"

    def describe(self) -> dict[str, Any]:
        """The API's DBCluster."""
        return {
            "DBClusterIdentifier": self.identifier,
            "DBClusterArn": self.arn,
            "DbClusterResourceId": self.resource_id,
            "Engine": ENGINE,
            "EngineVersion": ENGINE_VERSION,
            "EngineMode": "provisioned",
            "Status": "available",
            "Endpoint": self.endpoint,
            "ReaderEndpoint": self.endpoint,
            "Port": self.port,
            "MasterUsername": "admin",
            "IAMDatabaseAuthenticationEnabled": self.iam_authentication,
            "DBClusterParameterGroup": self.parameter_group,
            "DBSubnetGroup": self.subnet_group.name,
            "VpcSecurityGroups": [
                {"VpcSecurityGroupId": group, "Status": "active"} for group in self.security_groups
            ],
            "AssociatedRoles": [
                {"RoleArn": role, "Status": "ACTIVE", "FeatureName": feature or None}
                for role, feature in self.roles.items()
            ],
            "AvailabilityZones": sorted(set(self.subnet_group.subnets.values())),
            "DBClusterMembers": [],
            "ClusterCreateTime": self.created,
            "BackupRetentionPeriod": 7,
            "AllocatedStorage": 1,
            "MultiAZ": False,
            "StorageEncrypted": True,
            "TagList": [],
        }
