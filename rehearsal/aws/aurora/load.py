"""LOAD DATA FROM S3: from Aurora's statement to a file that MariaDB loads.

"Loading data into an Amazon Aurora MySQL DB cluster from text files in an Amazon S3 bucket"
(Amazon Aurora User Guide) has the grammar, the rights and the history table. As there, "the files
are first stored on the local disk, and then imported": the object comes into the server's folder,
in pieces, and the rest of the statement is loaded from that file as it stands. The file is not
LOCAL, so that bad data are errors or warnings just as the session's sql_mode says, and an error
leaves no row of the statement.

Errors: 63985 and its texts are what Aurora MySQL 3 was seen to answer (1871 in version 2; the page
"Enabling network communication from Amazon Aurora MySQL to other AWS services" has `Network
Connection` with that number), 1815 what it was seen to answer for an object that is not there, or
is in another Region. That S3's own refusals read `Access Denied` is inferred, and so is 1227 in
version 3. MANIFEST and LOAD XML are refused as not rehearsed. With PREFIX the files become one, in
the order of their keys, each ending its last line.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from botocore.exceptions import BotoCoreError, ClientError

from rehearsal.aws.aurora.cluster import Cluster
from rehearsal.aws.aurora.packets import Refusal
from rehearsal.aws.aurora.surroundings import Surroundings

ROLE = "AWS_LOAD_S3_ACCESS"
"""The database role that may load from S3."""

HISTORY = "mysql.aurora_s3_load_history"

HISTORY_TABLE = f"""
CREATE TABLE IF NOT EXISTS {HISTORY} (
    load_prefix VARCHAR(1024) NOT NULL,
    file_name VARCHAR(1024) NOT NULL,
    version_number VARCHAR(1024) NOT NULL,
    bytes_loaded BIGINT NOT NULL,
    load_timestamp TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6)
) ENGINE = InnoDB
"""

_SERVICE = "rds.amazonaws.com"
_PIECE_BYTES = 1024 * 1024

_SPACE = rb"(?:\s|--\s[^\n]*\n|\#[^\n]*\n|/\*(?!!).*?\*/)"
_STATEMENT = re.compile(
    rb"%(s)s*LOAD%(s)s+(?P<what>DATA|XML)%(s)s+FROM%(s)s+S3%(s)s+"
    rb"(?:(?P<kind>FILE|PREFIX|MANIFEST)%(s)s+)?"
    rb"(?P<uri>'(?:[^'\\]|\\.|'')*'|\"(?:[^\"\\]|\\.|\"\")*\")" % {b"s": _SPACE},
    re.IGNORECASE | re.DOTALL,
)
_URI = re.compile(r"s3(?:-(?P<region>[a-z0-9-]+))?://(?P<bucket>[^/]+)/(?P<key>.*)", re.DOTALL)


@dataclass(frozen=True)
class Statement:
    """A statement that loads from S3."""

    what: str
    kind: str
    uri: str
    rest: bytes
    """What follows the URI, the same in MariaDB's statement."""

    @classmethod
    def of(cls, sql: bytes) -> Statement | None:
        """Return the statement, None where *sql* is another one."""
        found = _STATEMENT.match(sql)
        if found is None:
            return None
        kind = (found["kind"] or b"FILE").decode().upper()
        what = found["what"].decode().upper()
        return cls(what, kind, _unquoted(found["uri"]), sql[found.end() :])

    def from_file(self, file: Path) -> bytes:
        """Return MariaDB's statement, which loads the same from *file*."""
        name = str(file).replace("\\", "\\\\").replace("'", "\\'")
        return f"LOAD DATA INFILE '{name}'".encode() + self.rest


def _unquoted(literal: bytes) -> str:
    quote = literal[:1].decode()
    text = literal[1:-1].decode("utf-8", "replace").replace(quote * 2, quote)
    return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)


@dataclass(frozen=True)
class Loaded:
    """An object that came into the file."""

    key: str
    version: str
    size: int


@dataclass(frozen=True)
class Fetched:
    """A file with everything that a statement loads, and the objects in it."""

    file: Path
    objects: tuple[Loaded, ...]


class Loader:
    """Fetches objects with the cluster's rights."""

    def __init__(
        self,
        cluster: Cluster,
        parameter: Callable[[str], str | None],
        surroundings: Surroundings,
        folder: Path,
    ) -> None:
        """Fetch for *cluster* into *folder*; *parameter* tells its parameters."""
        self._cluster = cluster
        self._parameter = parameter
        self._surroundings = surroundings
        self._folder = folder

    @contextmanager
    def fetched(self, statement: Statement) -> Iterator[Fetched]:
        """Give the file for a statement, for as long as the context lasts; Refusal where none."""
        if statement.what != "DATA" or statement.kind == "MANIFEST":
            named = f"LOAD {statement.what} FROM S3 {statement.kind}"
            raise Refusal(1235, f"This version of MySQL doesn't yet support '{named}'", "42000")
        bucket, key = self._place(statement.uri)
        s3 = self._client()
        self._check_rights(bucket, key)
        with tempfile.NamedTemporaryFile(dir=self._folder, prefix="load-") as file:
            with _s3_errors():
                keys = _keys(s3, bucket, key) if statement.kind == "PREFIX" else [key]
                objects = tuple([_copy(s3, bucket, each, file) for each in keys])
            if not objects:
                raise _no_stream(f"no object begins with {statement.uri}")
            file.flush()
            yield Fetched(Path(file.name), objects)

    def _place(self, uri: str) -> tuple[str, str]:
        found = _URI.fullmatch(uri)
        if found is None or found["region"] not in (None, self._cluster.region):
            raise _no_stream(f"{uri} is no object in {self._cluster.region}")
        return found["bucket"], found["key"]

    def _client(self) -> Any:
        """Return an S3 client with the rights of the role that the cluster is given."""
        role = self._parameter("aws_default_s3_role")
        if not role:
            raise _s3_error(
                "Both aurora_load_from_s3_role and aws_default_s3_role are not specified, please "
                "see documentation for more details"
            )
        context = {
            "aws:SourceAccount": self._cluster.account,
            "aws:SourceArn": self._cluster.arn,
        }
        try:
            if role not in self._cluster.roles:
                raise PermissionError(f"the role {role} is not associated with the cluster")
            return self._surroundings.client_as("s3", role, _SERVICE, context)
        except PermissionError as error:
            text = "Missing Credentials: Cannot instantiate S3 Client"
            raise _s3_error(text, str(error)) from error

    def _check_rights(self, bucket: str, key: str) -> None:
        """Ask for all of "Creating an IAM policy to access Amazon S3 resources", same guide."""
        role, arn = str(self._parameter("aws_default_s3_role")), f"arn:aws:s3:::{bucket}"
        needs: tuple[tuple[str, str, dict[str, str]], ...] = (
            ("s3:ListBucket", arn, {"s3:prefix": key}),
            ("s3:GetObject", f"{arn}/{key}", {}),
            ("s3:GetObjectVersion", f"{arn}/{key}", {}),
        )
        for action, resource, context in needs:
            try:
                self._surroundings.authorize(role, action, resource, context)
            except PermissionError as error:
                raise _s3_error("Access Denied", str(error)) from error


@contextmanager
def _s3_errors() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        if error.response["Error"]["Code"] in ("AccessDenied", "403"):
            raise _s3_error("Access Denied", str(error)) from error
        raise _no_stream(str(error)) from error
    except BotoCoreError as error:
        raise _s3_error("Network Connection", str(error)) from error


def _keys(s3: Any, bucket: str, prefix: str) -> list[str]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return [found["Key"] for page in pages for found in page.get("Contents", [])]


def _copy(s3: Any, bucket: str, key: str, file: IO[bytes]) -> Loaded:
    """Append an object to the file, after the end of the line before it."""
    answer = s3.get_object(Bucket=bucket, Key=key)
    if file.tell():
        file.seek(-1, 2)
        if file.read(1) != b"\n":
            file.write(b"\n")
    size = 0
    for piece in answer["Body"].iter_chunks(_PIECE_BYTES):
        size += file.write(piece)
    return Loaded(key, answer.get("VersionId") or "", size)


def _s3_error(text: str, reason: str = "") -> Refusal:
    return Refusal(63985, f"S3 API returned error: {text}", reason=reason)


def _no_stream(reason: str) -> Refusal:
    return Refusal(1815, "Internal error: Unable to initialize S3Stream", reason=reason)


def history(statement: Statement, objects: tuple[Loaded, ...]) -> str:
    """Return the SQL that notes a successful statement: a row for each file."""
    rows = ", ".join(
        f"({_text(statement.uri)}, {_text(each.key)}, {_text(each.version)}, {each.size})"
        for each in objects
    )
    columns = "load_prefix, file_name, version_number, bytes_loaded"
    return f"INSERT INTO {HISTORY} ({columns}) VALUES {rows}"  # noqa: S608  # see _text


def _text(value: str) -> str:
    """Write a text so that no sql_mode and no character set reads anything else in it."""
    return f"CONVERT(X'{value.encode().hex()}' USING utf8mb4)"
