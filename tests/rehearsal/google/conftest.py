"""A local Google Cloud next to a very small AWS: S3 (list, get, location) and STS."""

from __future__ import annotations

import contextlib
import io
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from rehearsal.google.server import LocalGoogle

PROJECT = "shop-analytics"
NUMBER = "123456789012"
APIS = [
    "bigquerydatatransfer.googleapis.com",
    "iam.googleapis.com",
    "iamcredentials.googleapis.com",
    "secretmanager.googleapis.com",
    "sts.googleapis.com",
]
RUN_TIME = "2026-01-01T03:00:00Z"
FOLDER = "exports/shop-2026010103/db/db.users"


@dataclass
class SmallAws:
    """What the two services here know; keys of *secrets* are the access keys that exist."""

    endpoint: str = ""
    buckets: dict[str, dict[str, tuple[bytes, datetime]]] = field(default_factory=dict)
    denied_actions: set[str] = field(default_factory=set)
    access_keys: set[str] = field(default_factory=lambda: {"AKIAREADER"})
    page_size: int = 1000
    caller: str = "arn:aws:sts::111122223333:assumed-role/shop-load/shop-load-settle"
    account: str = "111122223333"
    sts_status: int = 200
    sts_requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)

    def put(self, key: str, content: bytes | pa.Table, bucket: str = "shop-exports") -> None:
        if isinstance(content, pa.Table):
            content = parquet(content)
        self.buckets.setdefault(bucket, {})[key] = (content, datetime.now(timezone.utc))


def parquet(table: pa.Table, **options: Any) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="gzip", **options)
    return buffer.getvalue()


def _handler(aws: SmallAws) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            pass

        def answer(self, status: int, body: bytes, kind: str = "application/xml") -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def refuse(self, status: int, code: str, message: str) -> None:
            self.answer(
                status,
                f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode(),
            )

        def do_POST(self) -> None:
            headers = {k.lower(): v for k, v in self.headers.items()}
            self.rfile.read(int(headers.get("content-length", "0")))
            aws.sts_requests.append((self.command, self.path, headers))
            if aws.sts_status != 200:
                self.refuse(aws.sts_status, "SignatureDoesNotMatch", "no")
                return
            result = (
                f"<Arn>{aws.caller}</Arn><UserId>AROA:x</UserId><Account>{aws.account}</Account>"
            )
            self.answer(
                200,
                f"<GetCallerIdentityResponse><GetCallerIdentityResult>{result}"
                "</GetCallerIdentityResult></GetCallerIdentityResponse>".encode(),
            )

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            bucket, _, key = unquote(parts.path).lstrip("/").partition("/")
            query = parse_qs(parts.query, keep_blank_values=True)
            action = "location" if "location" in query else "get" if key else "list"
            credential = re.search(r"Credential=([^/]+)/", self.headers.get("Authorization", ""))
            if credential is None or credential[1] not in aws.access_keys:
                self.refuse(403, "InvalidAccessKeyId", "The AWS Access Key Id does not exist")
            elif action in aws.denied_actions:
                self.refuse(403, "AccessDenied", "Access Denied")
            elif bucket not in aws.buckets:
                self.refuse(404, "NoSuchBucket", "The specified bucket does not exist")
            elif action == "location":
                self.answer(200, b"<LocationConstraint>eu-west-1</LocationConstraint>")
            elif action == "list":
                self.answer(200, _listing(aws, bucket, query))
            else:
                self.answer(200, aws.buckets[bucket][key][0], "application/octet-stream")

    return Handler


def _listing(aws: SmallAws, bucket: str, query: dict[str, list[str]]) -> bytes:
    prefix = query.get("prefix", [""])[0]
    start = int(query.get("continuation-token", ["0"])[0])
    keys = sorted(key for key in aws.buckets[bucket] if key.startswith(prefix))
    end = start + aws.page_size
    entries = "".join(
        f"<Contents><Key>{escape(key)}</Key><Size>{len(aws.buckets[bucket][key][0])}</Size>"
        f"<LastModified>{aws.buckets[bucket][key][1]:%Y-%m-%dT%H:%M:%S.%fZ}</LastModified>"
        "</Contents>"
        for key in keys[start:end]
    )
    more = end < len(keys)
    token = f"<NextContinuationToken>{end}</NextContinuationToken>" if more else ""
    truncated = f"<IsTruncated>{str(more).lower()}</IsTruncated>"
    return f"<ListBucketResult>{truncated}{token}{entries}</ListBucketResult>".encode()


@contextlib.contextmanager
def small_aws() -> Iterator[SmallAws]:
    state = SmallAws()
    state.buckets["shop-exports"] = {}
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(state))
    server.daemon_threads = True
    state.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield state
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def aws() -> Iterator[SmallAws]:
    with small_aws() as state:
        yield state


class Refused(Exception):
    """An answer that is not 2xx."""

    def __init__(self, code: int, body: Any) -> None:
        super().__init__(f"{code}: {body}")
        self.code = code
        self.body = body

    @property
    def message(self) -> str:
        return str(self.body["error"]["message"])


class Api:
    """The REST API as a deployer, or whoever holds *token*, calls it."""

    def __init__(self, endpoint: str, token: str | None = "local-deployer") -> None:
        self.endpoint = endpoint
        self.session = requests.Session()
        self.session.trust_env = False
        if token is not None:
            self.session.headers["Authorization"] = f"Bearer {token}"

    def __call__(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        response = self.session.request(method, self.endpoint + path, json=body, **options)
        content = response.json() if response.content else None
        if not response.ok:
            raise Refused(response.status_code, content)
        return content

    def query(self, sql: str, **options: Any) -> Any:
        return self(
            "POST",
            f"/bigquery/v2/projects/{PROJECT}/queries",
            {"query": sql, "useLegacySql": False, **options},
        )


@dataclass
class World:
    """A running local Google Cloud, with what tests do to it."""

    google: LocalGoogle
    aws: SmallAws
    api: Api
    clients: list[Api]

    def enable(self, *services: str) -> None:
        self.api(
            "POST",
            f"/v1/projects/{PROJECT}/services:batchEnable",
            {"serviceIds": list(services or APIS)},
        )

    def account(self, account_id: str, *roles: str) -> str:
        """A service account with *roles* on the project."""
        created = self.api(
            "POST", f"/v1/projects/{PROJECT}/serviceAccounts", {"accountId": account_id}
        )
        for role in roles:
            self.grant(f"/v1/projects/{PROJECT}", role, f"serviceAccount:{created['email']}")
        return str(created["email"])

    def grant(self, path: str, role: str, member: str) -> None:
        method = "GET" if "/secrets/" in path else "POST"
        policy = self.api(method, f"{path}:getIamPolicy")
        bindings = [*policy.get("bindings", []), {"role": role, "members": [member]}]
        self.api("POST", f"{path}:setIamPolicy", {"policy": {**policy, "bindings": bindings}})

    def token_of(self, email: str) -> Api:
        """The API as the service account *email* calls it."""
        answer = self.api(
            "POST",
            f"/v1/projects/-/serviceAccounts/{email}:generateAccessToken",
            {"scope": ["https://www.googleapis.com/auth/cloud-platform"]},
        )
        client = Api(self.google.endpoint, answer["accessToken"])
        self.clients.append(client)
        return client

    def dataset(self, dataset: str = "shop_data", location: str = "EU") -> None:
        self.api(
            "POST",
            f"/bigquery/v2/projects/{PROJECT}/datasets",
            {"datasetReference": {"datasetId": dataset}, "location": location},
        )

    def table(self, table: str = "users", fields: Any = None, dataset: str = "shop_data") -> None:
        body: dict[str, Any] = {"tableReference": {"tableId": table}}
        if fields:
            body["schema"] = {"fields": fields}
        self.api("POST", f"/bigquery/v2/projects/{PROJECT}/datasets/{dataset}/tables", body)

    def get_table(self, table: str = "users", dataset: str = "shop_data") -> Any:
        return self.api("GET", f"/bigquery/v2/projects/{PROJECT}/datasets/{dataset}/tables/{table}")

    def ready_for_transfers(self) -> str:
        """APIs, agent, owner and dataset; returns the owner."""
        self.enable()
        self.agent()
        owner = self.account("shop-transfer", "roles/bigquery.admin")
        self.let_agent_act_as(owner)
        self.dataset()
        return owner

    def agent(self) -> str:
        answer = self.api(
            "POST",
            f"/v1beta1/projects/{PROJECT}/services/{APIS[0]}:generateServiceIdentity",
            {},
        )
        return str(answer["response"]["email"])

    def let_agent_act_as(self, email: str) -> None:
        agent = f"service-{NUMBER}@gcp-sa-bigquerydatatransfer.iam.gserviceaccount.com"
        self.grant(
            f"/v1/projects/{PROJECT}/serviceAccounts/{email}",
            "roles/iam.serviceAccountTokenCreator",
            f"serviceAccount:{agent}",
        )

    def config(
        self,
        owner: str,
        location: str = "eu",
        params: dict[str, Any] | None = None,
        api: Api | None = None,
        **fields: Any,
    ) -> Any:
        body = {
            "dataSourceId": "amazon_s3",
            "displayName": "shop db.users",
            "destinationDatasetId": "shop_data",
            "scheduleOptions": {"disableAutoScheduling": True},
            "params": transfer_params(**(params or {})),
            **fields,
        }
        return (api or self.api)(
            "POST",
            f"/v1/projects/{PROJECT}/locations/{location}/transferConfigs"
            f"?serviceAccountName={owner}",
            body,
        )

    def run(self, config: Any, run_time: str = RUN_TIME) -> Any:
        """Start a run and wait for its end."""
        started = self.api(
            "POST", f"/v1/{config['name']}:startManualRuns", {"requestedRunTime": run_time}
        )["runs"][0]
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            run = self.api("GET", f"/v1/{started['name']}")
            if run["state"] not in ("PENDING", "RUNNING"):
                return run
            time.sleep(0.01)
        raise AssertionError(f"the run did not end: {run}")

    def log(self, run: Any) -> str:
        messages = self.api("GET", f"/v1/{run['name']}/transferLogs")["transferMessages"]
        return "\n".join(f"{m['severity']} {m['messageText']}" for m in messages)

    def loaded(self, table: pa.Table, **params: Any) -> Any:
        """Load *table* through a transfer into ``shop_data.users``; returns the run."""
        owner = self.ready_for_transfers()
        self.table()
        self.aws.put(f"{FOLDER}/1/part-0.gz.parquet", table)
        return self.run(self.config(owner, params=params))


def transfer_params(**changes: Any) -> dict[str, Any]:
    params = {
        "destination_table_name_template": "users",
        "data_path": 's3://shop-exports/exports/shop-{run_time|"%Y%m%d%H"}/db/db.users/*.parquet',
        "access_key_id": "AKIAREADER",
        "secret_access_key": "s3cr3t-value",
        "file_format": "PARQUET",
        "write_disposition": "WRITE_TRUNCATE",
        "decimal_target_types": "NUMERIC,BIGNUMERIC,STRING",
        "max_bad_records": "0",
    }
    return {k: v for k, v in {**params, **changes}.items() if v is not None}


@contextlib.contextmanager
def worlds_on(aws: SmallAws, folder: Path) -> Iterator[Callable[..., World]]:
    worlds: list[World] = []

    def starter(**options: Any) -> World:
        google = LocalGoogle(
            PROJECT,
            project_number=NUMBER,
            aws_endpoint=aws.endpoint,
            aws_region="eu-west-1",
            database=folder / "bigquery.duckdb",
            **options,
        )
        google.start()
        api = Api(google.endpoint)
        worlds.append(World(google, aws, api, [api]))
        return worlds[-1]

    try:
        yield starter
    finally:
        for world in worlds:
            for client in world.clients:
                client.session.close()
            world.google.stop()


@pytest.fixture
def start(aws: SmallAws, tmp_path: Path) -> Iterator[Callable[..., World]]:
    """Start a local Google Cloud with constructor options of the test's choice."""
    with worlds_on(aws, tmp_path) as starter:
        yield starter


@pytest.fixture
def world(start: Callable[..., World]) -> World:
    return start()


@pytest.fixture(scope="module")
def shared_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One for all tests of a file, which leave it as it was."""
    folder = tmp_path_factory.mktemp("shared")
    with small_aws() as aws, worlds_on(aws, folder) as starter:
        yield starter()


@pytest.fixture(scope="module")
def client(shared_world: World) -> Iterator[bigquery.Client]:
    """Google's own client, as a user of ``rehearsal up`` makes it."""
    made = bigquery.Client(
        PROJECT,
        credentials=AnonymousCredentials(),
        client_options={"api_endpoint": shared_world.google.endpoint},
    )
    yield made
    made.close()


@pytest.fixture
def refused() -> type[Refused]:
    return Refused


@pytest.fixture
def users() -> pa.Table:
    return pa.table({"id": [1, 2, 3], "name": ["Ada", "Bo", None]})


@pytest.fixture
def new_api() -> Iterator[Callable[[World, str | None], Api]]:
    made: list[Api] = []

    def make(world: World, token: str | None) -> Api:
        made.append(Api(world.google.endpoint, token))
        return made[-1]

    yield make
    for api in made:
        api.session.close()
