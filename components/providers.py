"""The two cloud providers, explicit, each with everything the stack's config says of it.

An explicit provider does not read ``aws:*`` and ``gcp:*`` config by itself, as Pulumi's default
providers do. It is handed all of it here, so the documented keys keep working: credentials,
profiles, impersonation, and the endpoints of a local cloud.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Mapping
from typing import Any, get_args

import pulumi
import pulumi_aws as aws
import pulumi_gcp as gcp


def aws_provider(region: str, tags: Mapping[str, str]) -> aws.Provider:
    """Return the AWS provider of the stack's region; every resource gets the tags."""
    configured = _configured("aws", aws.ProviderArgs)
    return aws.Provider("aws", **{**configured, "region": region, "default_tags": {"tags": tags}})


def gcp_provider(project: str, labels: Mapping[str, str]) -> gcp.Provider:
    """Return the Google Cloud provider of the stack's project; every resource gets the labels."""
    configured = _configured("gcp", gcp.ProviderArgs)
    return gcp.Provider("gcp", **{**configured, "project": project, "default_labels": labels})


def _configured(package: str, args: type) -> dict[str, Any]:
    config = pulumi.Config(package)
    values = {}
    for name, parameter in inspect.signature(args).parameters.items():
        key = re.sub(r"_([a-z0-9])", lambda match: match[1].upper(), name)
        is_secret = pulumi.runtime.is_config_secret(f"{package}:{key}")
        text = config.get_secret(key) if is_secret else config.get(key)
        if text is not None:
            values[name] = text if str in get_args(parameter.annotation) else _parsed(text)
    return values


def _parsed(value: str | pulumi.Output[str]) -> Any:
    """Return what a config value that is not text stands for: config files hold it as JSON."""
    if isinstance(value, pulumi.Output):
        return value.apply(json.loads)
    return json.loads(value)
