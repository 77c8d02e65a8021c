"""The one project there is: its id, its number, and which of its APIs are enabled."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from rehearsal.google.errors import not_found, service_disabled

#: On in a new project, or (resource manager) needed before any tool can enable the others.
#: Source: https://cloud.google.com/service-usage/docs/enabled-service#default
DEFAULT_SERVICES = (
    "bigquery.googleapis.com",
    "bigquerystorage.googleapis.com",
    "cloudresourcemanager.googleapis.com",
    "logging.googleapis.com",
    "monitoring.googleapis.com",
    "servicemanagement.googleapis.com",
    "serviceusage.googleapis.com",
    "storage.googleapis.com",
)

_TITLES = {
    "bigquery.googleapis.com": "BigQuery API",
    "bigquerydatatransfer.googleapis.com": "BigQuery Data Transfer API",
    "cloudresourcemanager.googleapis.com": "Cloud Resource Manager API",
    "iam.googleapis.com": "Identity and Access Management (IAM) API",
    "iamcredentials.googleapis.com": "IAM Service Account Credentials API",
    "secretmanager.googleapis.com": "Secret Manager API",
    "serviceusage.googleapis.com": "Service Usage API",
    "sts.googleapis.com": "Security Token Service API",
}


@dataclass
class Project:
    """A project; *agents* are the services that have been given an identity in it."""

    id: str
    number: str
    enabled: set[str] = field(default_factory=lambda: set(DEFAULT_SERVICES))
    agents: set[str] = field(default_factory=set)

    @classmethod
    def create(cls, project: str, number: str, services: Iterable[str]) -> Project:
        """A project in which *services* are enabled."""
        return cls(project, number, set(services))

    def resolve(self, text: str) -> str:
        """The project's id for its id or number; 404 for another project."""
        if text not in (self.id, self.number):
            raise not_found(f"Not found: Project {text} (the only project here is {self.id})")
        return self.id

    def require_service(self, service: str) -> None:
        """Refuse a call to an API that nobody enabled."""
        if service not in self.enabled:
            raise service_disabled(service, _TITLES.get(service, service), self.number)

    def agent_email(self, service: str) -> str:
        """The e-mail address of a service's agent (https://cloud.google.com/iam/docs/service-agents)."""
        return f"service-{self.number}@gcp-sa-{service.partition('.')[0]}.iam.gserviceaccount.com"

    def has_agent(self, email: str) -> bool:
        """Whether *email* is an agent that exists."""
        return any(self.agent_email(service) == email for service in self.agents)
