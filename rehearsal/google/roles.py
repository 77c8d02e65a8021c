"""The predefined roles the program grants, with the permissions that matter here.

Source: https://cloud.google.com/bigquery/docs/access-control,
https://cloud.google.com/iam/docs/roles-permissions. A role missing from this table cannot be
granted, so that a new one is added here with its permissions rather than silently giving none.
"""

from __future__ import annotations

_TABLE_READ = {
    "bigquery.tables.get",
    "bigquery.tables.getData",
    "bigquery.tables.getIamPolicy",
    "bigquery.tables.list",
    "bigquery.tables.export",
}
_TABLE_WRITE = {
    "bigquery.tables.create",
    "bigquery.tables.delete",
    "bigquery.tables.update",
    "bigquery.tables.updateData",
}
_DATASET_READ = {"bigquery.datasets.get", "bigquery.datasets.getIamPolicy"}
_DATASET_OWN = {
    "bigquery.datasets.create",
    "bigquery.datasets.delete",
    "bigquery.datasets.update",
    "bigquery.datasets.setIamPolicy",
    "bigquery.tables.setIamPolicy",
}
_JOBS = {"bigquery.jobs.create", "resourcemanager.projects.get"}
_JOBS_ALL = {
    "bigquery.jobs.get",
    "bigquery.jobs.list",
    "bigquery.jobs.listAll",
    "bigquery.jobs.update",
}
_TRANSFERS = {"bigquery.transfers.get", "bigquery.transfers.update"}
_SECRET_VIEW = {
    "secretmanager.secrets.get",
    "secretmanager.secrets.list",
    "secretmanager.secrets.getIamPolicy",
    "secretmanager.versions.get",
    "secretmanager.versions.list",
}

PREDEFINED_ROLES: dict[str, frozenset[str]] = {
    role: frozenset(permissions)
    for role, permissions in {
        "roles/bigquery.jobUser": _JOBS,
        "roles/bigquery.metadataViewer": _DATASET_READ
        | {"bigquery.tables.get", "bigquery.tables.getIamPolicy", "bigquery.tables.list"},
        "roles/bigquery.dataViewer": _DATASET_READ | _TABLE_READ,
        "roles/bigquery.dataEditor": _DATASET_READ
        | _TABLE_READ
        | _TABLE_WRITE
        | {"bigquery.datasets.create"},
        "roles/bigquery.dataOwner": _DATASET_READ | _DATASET_OWN | _TABLE_READ | _TABLE_WRITE,
        "roles/bigquery.user": _JOBS
        | _DATASET_READ
        | {
            "bigquery.datasets.create",
            "bigquery.jobs.list",
            "bigquery.tables.list",
            "bigquery.transfers.get",
        },
        "roles/bigquery.admin": _DATASET_READ
        | _DATASET_OWN
        | _TABLE_READ
        | _TABLE_WRITE
        | _JOBS
        | _JOBS_ALL
        | _TRANSFERS,
        "roles/bigquerydatatransfer.serviceAgent": {
            "bigquery.jobs.create",
            "iam.serviceAccounts.getAccessToken",
            "resourcemanager.projects.get",
        },
        "roles/iam.serviceAccountTokenCreator": {
            "iam.serviceAccounts.get",
            "iam.serviceAccounts.getAccessToken",
            "iam.serviceAccounts.getOpenIdToken",
            "iam.serviceAccounts.implicitDelegation",
            "iam.serviceAccounts.signBlob",
            "iam.serviceAccounts.signJwt",
        },
        "roles/iam.serviceAccountUser": {
            "iam.serviceAccounts.actAs",
            "iam.serviceAccounts.get",
            "iam.serviceAccounts.list",
        },
        "roles/iam.workloadIdentityUser": {
            "iam.serviceAccounts.get",
            "iam.serviceAccounts.getAccessToken",
            "iam.serviceAccounts.getOpenIdToken",
            "iam.serviceAccounts.list",
        },
        "roles/secretmanager.secretAccessor": {"secretmanager.versions.access"},
        "roles/secretmanager.viewer": _SECRET_VIEW,
        "roles/secretmanager.secretVersionManager": _SECRET_VIEW
        | {
            "secretmanager.versions.add",
            "secretmanager.versions.destroy",
            "secretmanager.versions.disable",
            "secretmanager.versions.enable",
        },
        "roles/secretmanager.admin": _SECRET_VIEW
        | {
            "secretmanager.secrets.create",
            "secretmanager.secrets.delete",
            "secretmanager.secrets.setIamPolicy",
            "secretmanager.secrets.update",
            "secretmanager.versions.access",
            "secretmanager.versions.add",
            "secretmanager.versions.destroy",
            "secretmanager.versions.disable",
            "secretmanager.versions.enable",
        },
    }.items()
}

#: Dataset ACLs use the older names (https://cloud.google.com/bigquery/docs/control-access-to-resources-iam).
BASIC_DATASET_ROLES = {
    "OWNER": "roles/bigquery.dataOwner",
    "WRITER": "roles/bigquery.dataEditor",
    "READER": "roles/bigquery.dataViewer",
}
