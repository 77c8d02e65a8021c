"""The tables that are declared for a source, as the program wrote them to S3."""

from __future__ import annotations

from dataclasses import dataclass

from load.request import LoadRequest
from shared.errors import InvalidInput
from shared.storage import Storage


@dataclass(frozen=True, kw_only=True)
class DeclaredTable:
    """A table: its name in the export, its folder there, its place in BigQuery."""

    name: str
    path: str
    table: str
    transfer_config: str


@dataclass(frozen=True, kw_only=True)
class Catalog:
    """What is declared for one source."""

    dataset: str
    tables: tuple[DeclaredTable, ...]


def read(storage: Storage, request: LoadRequest) -> Catalog:
    """Return the catalog of the request's source."""
    where = f"s3://{storage.bucket}/{request.catalog_key}"
    document = storage.read(request.catalog_key)
    if document is None:
        raise InvalidInput(f"{where} is not there; `pulumi up` writes it for each source")
    try:
        tables = tuple(
            DeclaredTable(
                name=table["name"],
                path=table["path"].strip("/"),
                table=table["table"],
                transfer_config=table["transfer_config"],
            )
            for table in document["tables"]
        )
        return Catalog(dataset=document["dataset"], tables=tables)
    except (KeyError, TypeError, AttributeError) as error:
        raise InvalidInput(
            f"{where}: {type(error).__name__} {error}; expected dataset and tables with name, "
            "path, table and transfer_config"
        ) from None
