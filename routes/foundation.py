"""What every route of a stack stands on: its names, its AWS account, and who is told of trouble."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.alerts import Alerts, AlertsArgs
from components.labels import stack_labels
from components.providers import aws_provider
from settings import Settings

PRODUCTION = "prod"


@dataclass(frozen=True, kw_only=True)
class Foundation:
    """The settings, the beginning of all names, the AWS provider and account, and the alerts."""

    settings: Settings
    base: str
    production: bool
    labels: dict[str, str]
    aws: aws.Provider
    account_id: pulumi.Output[str]
    alerts: Alerts

    @property
    def in_aws(self) -> pulumi.ResourceOptions:
        """The options of a component on AWS."""
        return pulumi.ResourceOptions(providers=[self.aws])


def lay(settings: Settings) -> Foundation:
    """Return the foundation of the stack: what all of its routes share."""
    base = f"{settings.service}-{settings.stack}"
    labels = stack_labels(settings.service, settings.stack, settings.labels)
    provider = aws_provider(settings.region, labels)
    account_id = aws.get_caller_identity_output(
        opts=pulumi.InvokeOutputOptions(provider=provider)
    ).account_id
    alerts = Alerts(
        f"{base}-alerts",
        AlertsArgs(emails=settings.alerts.emails, account_id=account_id, region=settings.region),
        pulumi.ResourceOptions(providers=[provider]),
    )
    return Foundation(
        settings=settings,
        base=base,
        production=settings.stack == PRODUCTION,
        labels=labels,
        aws=provider,
        account_id=account_id,
        alerts=alerts,
    )
