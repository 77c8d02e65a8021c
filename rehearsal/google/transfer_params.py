"""The parameters of an ``amazon_s3`` transfer (https://cloud.google.com/bigquery/docs/s3-transfer)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rehearsal.google import run_time
from rehearsal.google.errors import invalid
from rehearsal.google.objects import DataPath

DATA_SOURCE = "amazon_s3"
SECRET = "secret_access_key"  # noqa: S105  # the parameter's name

REQUIRED = ("destination_table_name_template", "data_path", "access_key_id", SECRET)
OPTIONAL = (
    *("file_format", "write_disposition", "max_bad_records", "decimal_target_types"),
    *("ignore_unknown_values", "field_delimiter", "skip_leading_rows"),
    *("allow_quoted_newlines", "allow_jagged_rows"),
)
#: A change of one of these is refused, so the provider replaces the configuration.
FIXED = ("data_path", "destination_table_name_template")

_FILE_FORMATS = ("CSV", "JSON", "AVRO", "PARQUET", "ORC")
_DISPOSITIONS = ("WRITE_APPEND", "WRITE_TRUNCATE")
_DECIMAL_TYPES = ("NUMERIC", "BIGNUMERIC", "STRING")


@dataclass(frozen=True)
class S3Params:
    """Checked parameters; the secret is never shown."""

    table: str
    data_path: str
    access_key_id: str
    secret_access_key: str = field(repr=False)
    append: bool
    decimal_targets: tuple[str, ...]
    given: Mapping[str, str]

    def shown(self) -> dict[str, str]:
        """The parameters as answers show them."""
        return {name: value for name, value in self.given.items() if name != SECRET}


def parse(params: Any) -> S3Params:
    """Check *params*; a wrong one is refused with 400."""
    if not isinstance(params, Mapping):
        raise invalid("Invalid value at 'transfer_config.params': it must be an object")
    given = {str(name): _text(value) for name, value in params.items()}
    for name in given:
        if name not in REQUIRED and name not in OPTIONAL:
            raise invalid(
                f"Unknown parameter '{name}' for data source {DATA_SOURCE}. Known are "
                f"{', '.join((*REQUIRED, *OPTIONAL))}"
            )
    for name in REQUIRED:
        if not given.get(name):
            raise invalid(f"Missing required parameter '{name}' for data source {DATA_SOURCE}.")
    _check_templates(given)
    _check_choices(given)
    return S3Params(
        table=given["destination_table_name_template"],
        data_path=given["data_path"],
        access_key_id=given["access_key_id"],
        secret_access_key=given[SECRET],
        append=given.get("write_disposition", "WRITE_APPEND") == "WRITE_APPEND",
        decimal_targets=_decimal_targets(given.get("decimal_target_types", "")),
        given=given,
    )


def _text(value: Any) -> str:
    """Parameters are strings; JSON's booleans and numbers are taken as their text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _check_templates(given: Mapping[str, str]) -> None:
    for name in FIXED:
        try:
            run_time.check(given[name])
        except run_time.TemplateError as error:
            raise invalid(f"Invalid parameter '{name}': {error}") from error
    try:
        DataPath.parse(given["data_path"])
    except ValueError as error:
        raise invalid(f"Invalid parameter 'data_path': {error}") from error


def _check_choices(given: Mapping[str, str]) -> None:
    file_format = given.get("file_format", "CSV")
    if file_format not in _FILE_FORMATS:
        raise invalid(f"Invalid file_format '{file_format}'; one of {', '.join(_FILE_FORMATS)}")
    if file_format != "PARQUET":
        raise invalid(
            f"file_format {file_format} (the default is CSV) is not served here; PARQUET is"
        )
    disposition = given.get("write_disposition", "WRITE_APPEND")
    if disposition not in _DISPOSITIONS:
        raise invalid(
            f"Invalid write_disposition '{disposition}'; one of {', '.join(_DISPOSITIONS)}"
        )
    bad_records = given.get("max_bad_records", "0")
    if not bad_records.isdecimal():
        raise invalid(f"Invalid max_bad_records '{bad_records}'; it is a number such as 0")


def _decimal_targets(text: str) -> tuple[str, ...]:
    targets = tuple(part.strip() for part in text.split(",") if part.strip()) or ("NUMERIC",)
    wrong = [target for target in targets if target not in _DECIMAL_TYPES]
    if wrong or len(set(targets)) != len(targets):
        raise invalid(
            f"Invalid decimal_target_types '{text}'; a list of {', '.join(_DECIMAL_TYPES)}, each "
            "at most once"
        )
    return targets
