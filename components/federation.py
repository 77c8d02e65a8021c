"""How the load functions reach Google Cloud without a key: workload identity federation.

Google, "Configure workload identity federation with AWS": the function signs a request to AWS STS
with its role's credentials, Google's STS verifies it and answers with a token for the pool, and
that token may act as one service account.
"""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_gcp as gcp

from export_identity import shorten

MAX_POOL_ID = 32
MAX_ACCOUNT_ID = 30
# Google asks for four characters at least, so the provider cannot be called "aws".
PROVIDER_ID = "aws-load"

# startManualRuns needs transfers.update; a truncation and the row counts need jobs.create.
PERMISSIONS = ("bigquery.jobs.create", "bigquery.transfers.get", "bigquery.transfers.update")

_ROLE_ATTRIBUTE = (
    "assertion.arn.contains('assumed-role')"
    " ? assertion.arn.extract('{account_arn}assumed-role/')"
    " + 'assumed-role/' + assertion.arn.extract('assumed-role/{role_name}/')"
    " : assertion.arn"
)
# The whole ARN may pass the 127 characters Google allows a subject.
_SUBJECT = "assertion.arn.extract('assumed-role/{role_and_session}')"


@dataclass(frozen=True, kw_only=True)
class FederationArgs:
    """The one AWS role that may come in, and the service account it becomes."""

    project: str
    account_id: pulumi.Input[str]
    role_name: str
    pool_id: str


class Federation(pulumi.ComponentResource):
    """Lets exactly one AWS role act as the load's service account.

    Twice over: the provider's condition turns away every other role of the account, and the
    binding is for that role alone.
    """

    member: pulumi.Output[str]
    email: pulumi.Output[str]
    credentials_config: pulumi.Output[str]

    def __init__(
        self, name: str, args: FederationArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("data-ferry:federation:Federation", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        assumed_role = pulumi.Output.concat(
            "arn:aws:sts::", args.account_id, f":assumed-role/{args.role_name}"
        )
        pool = gcp.iam.WorkloadIdentityPool(
            name,
            workload_identity_pool_id=shorten(args.pool_id, MAX_POOL_ID),
            project=args.project,
            description="AWS roles of data-ferry",
            opts=child,
        )
        provider = gcp.iam.WorkloadIdentityPoolProvider(
            name,
            workload_identity_pool_id=pool.workload_identity_pool_id,
            workload_identity_pool_provider_id=PROVIDER_ID,
            project=args.project,
            aws={"account_id": args.account_id},
            attribute_mapping={"google.subject": _SUBJECT, "attribute.aws_role": _ROLE_ATTRIBUTE},
            attribute_condition=pulumi.Output.concat('attribute.aws_role == "', assumed_role, '"'),
            opts=child,
        )
        account = gcp.serviceaccount.Account(
            name,
            account_id=shorten(name, MAX_ACCOUNT_ID),
            display_name="data-ferry load functions",
            project=args.project,
            opts=child,
        )
        gcp.serviceaccount.IAMMember(
            name,
            service_account_id=account.name,
            role="roles/iam.workloadIdentityUser",
            member=pulumi.Output.concat(
                "principalSet://iam.googleapis.com/",
                pool.name,
                "/attribute.aws_role/",
                assumed_role,
            ),
            opts=child,
        )
        role = gcp.projects.IAMCustomRole(
            name,
            role_id=shorten(name, 64).replace("-", "_"),
            title=name,
            project=args.project,
            permissions=PERMISSIONS,
            opts=child,
        )
        gcp.projects.IAMMember(
            name, project=args.project, role=role.name, member=account.member, opts=child
        )
        self.member = account.member
        self.email = account.email
        self.credentials_config = _credentials_config(provider.name, account.email)
        self.register_outputs({"email": self.email, "credentials_config": self.credentials_config})


def _credentials_config(
    provider_name: pulumi.Output[str], email: pulumi.Output[str]
) -> pulumi.Output[str]:
    """Return the credential configuration google-auth reads; nothing in it is secret.

    Without URLs of an EC2 metadata server: in Lambda, region and credentials are in the
    environment.
    """
    return pulumi.Output.json_dumps(
        {
            "type": "external_account",
            "universe_domain": "googleapis.com",
            "audience": pulumi.Output.concat("//iam.googleapis.com/", provider_name),
            "subject_token_type": "urn:ietf:params:aws:token-type:aws4_request",
            "token_url": "https://sts.googleapis.com/v1/token",
            "service_account_impersonation_url": pulumi.Output.concat(
                "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/",
                email,
                ":generateAccessToken",
            ),
            "credential_source": {
                "environment_id": "aws1",
                "regional_cred_verification_url": (
                    "https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15"
                ),
            },
        }
    )
