"""Google as the functions see it, in place of the network: answers, faults, and a memory."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests
from requests.adapters import BaseAdapter

from load.bigquery import BigQuery
from load.request import LoadRequest
from load.services import Services
from load.transfer import Transfers
from shared import telemetry
from shared.environment import Environment
from shared.google import Google
from shared.retry import Backoff
from shared.storage import Storage

TOKEN = "ya29.the-access-token"
FEDERATED_TOKEN = "ya29.d.the-federated-token"
AWS_SECRET = "the-secret-access-key-of-the-function"
BUCKET = "shop-stg-rds-exports-111122223333"
PREFIX = "exports/shop-stg-2026112003"
DATASET = "shop_stg_rds_data"
RUN_TIME = "2026-11-20T03:00:00Z"

EVENT: dict[str, Any] = {
    "source": "shop-stg",
    "export_task": "shop-stg-2026112003",
    "hour": "2026112003",
    "run_time": RUN_TIME,
    "bucket": BUCKET,
    "prefix": PREFIX,
    "warning": "",
}
REQUEST = LoadRequest.parse(EVENT)

CREDENTIALS = {
    "type": "external_account",
    "audience": "//iam.googleapis.com/projects/123456789012/locations/global"
    "/workloadIdentityPools/shop-stg/providers/aws",
    "subject_token_type": "urn:ietf:params:aws:token-type:aws4_request",
    "token_url": "https://sts.googleapis.com/v1/token",
    "service_account_impersonation_url": "https://iamcredentials.googleapis.com/v1/projects/-"
    "/serviceAccounts/shop-stg-load@shop-analytics-stg.iam.gserviceaccount.com"
    ":generateAccessToken",
    "credential_source": {
        "environment_id": "aws1",
        "regional_cred_verification_url": "https://sts.{region}.amazonaws.com"
        "?Action=GetCallerIdentity&Version=2011-06-15",
    },
}
VARIABLES = {"SERVICE_NAME": "shop-stg", "GOOGLE_CREDENTIALS_CONFIG": json.dumps(CREDENTIALS)}


def config(table: str) -> str:
    return f"projects/123456789012/locations/europe/transferConfigs/{table}"


@dataclass
class Call:
    """A request that reached Google."""

    method: str
    host: str
    path: str
    params: dict[str, list[str]]
    body: dict[str, Any]
    authorization: str

    @property
    def line(self) -> str:
        return f"{self.method} {self.path}"


@dataclass
class Fault:
    """Answers calls whose `METHOD path` matches, so many times, instead of Google."""

    pattern: str
    status: int
    times: int = 10**9
    headers: dict[str, str] = field(default_factory=dict)
    message: str = "as scripted"
    reason: str | None = None
    done: bool = False
    raises: Exception | None = None


Refusal = tuple[int, dict[str, Any]]


class FakeGoogle(BaseAdapter):
    """The two APIs and the two token services."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Call] = []
        self.faults: list[Fault] = []
        self.runs: dict[str, list[dict[str, Any]]] = {}
        self.tables: dict[str, dict[str, Any]] = {}
        self.ends_as: dict[str, tuple[str, str | None]] = {}
        self.run_states: dict[str, tuple[str, str]] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Nothing is open."""

    def count(self, pattern: str) -> int:
        return sum(bool(re.search(pattern, call.line)) for call in self.calls)

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        url = urlsplit(str(request.url))
        text = request.body.decode() if isinstance(request.body, bytes) else request.body or ""
        body = json.loads(text) if str(text).startswith("{") else {}
        call = Call(
            method=str(request.method),
            host=str(url.hostname),
            path=url.path,
            params=parse_qs(url.query),
            body=body,
            authorization=request.headers.get("Authorization", ""),
        )
        with self._lock:
            self.calls.append(call)
            status, answer, headers = self._answer(call)
        response = requests.Response()
        response.status_code = status
        response._content = json.dumps(answer).encode()
        response.headers.update(headers)
        response.url = str(request.url)
        response.reason = "Scripted"
        response.request = request
        return response

    def _answer(self, call: Call) -> tuple[int, dict[str, Any], dict[str, str]]:
        for fault in self.faults:
            if fault.times and re.search(fault.pattern, call.line):
                fault.times -= 1
                if fault.done:
                    self._serve(call)
                if fault.raises:
                    raise fault.raises
                details = [{"reason": fault.reason}] if fault.reason else []
                error = {"code": fault.status, "message": fault.message, "errors": details}
                return fault.status, {"error": error}, fault.headers
        return (*self._serve(call), {})

    def _serve(self, call: Call) -> Refusal:
        if call.host == "sts.googleapis.com":
            return 200, {"access_token": FEDERATED_TOKEN, "expires_in": 3600}
        if call.host == "iamcredentials.googleapis.com":
            return 200, {"accessToken": TOKEN, "expireTime": "2126-01-01T00:00:00Z"}
        if call.authorization != f"Bearer {TOKEN}":
            return 401, {"error": {"code": 401, "message": "who is it"}}
        if call.host == "bigquerydatatransfer.googleapis.com":
            return self._transfer(call)
        assert call.host == "bigquery.googleapis.com"
        return self._bigquery(call)

    def _transfer(self, call: Call) -> Refusal:
        path = call.path.removeprefix("/v1/")
        if path.endswith(":startManualRuns"):
            return 200, {"runs": [self._started(path.partition(":")[0], call.body)]}
        if path.endswith("/runs"):
            return 200, {"transferRuns": self.runs.get(path.removesuffix("/runs"), [])}
        of, _, _ = path.partition("/runs/")
        run = next((run for run in self.runs.get(of, []) if run["name"] == path), None)
        if run is None:
            return 404, {"error": {"code": 404, "message": f"Not found: {path}"}}
        state, message = self.ends_as.get(of, ("SUCCEEDED", None))
        if run["state"] in {"PENDING", "RUNNING"}:
            run["state"] = state
            if message:
                run["errorStatus"] = {"code": 3, "message": message}
        return 200, run

    def _started(self, of: str, body: dict[str, Any]) -> dict[str, Any]:
        state, message = self.run_states.get(of, ("PENDING", ""))
        error = {"errorStatus": {"code": 3, "message": message}} if message else {}
        return self.add_run(of, body["requestedRunTime"], state=state, **error)

    def add_run(self, of: str, run_time: str = RUN_TIME, **more: Any) -> dict[str, Any]:
        runs = self.runs.setdefault(of, [])
        run = {
            "name": f"{of}/runs/{len(runs) + 1}",
            "state": "PENDING",
            "runTime": run_time,
            "startTime": "2026-11-20T04:00:00Z",
            **more,
        }
        runs.insert(0, run)
        return run

    def _bigquery(self, call: Call) -> Refusal:
        assert call.path.startswith("/bigquery/v2/projects/shop-analytics-stg/")
        if call.method == "POST":
            assert call.path.endswith("/queries")
            query = call.body["query"]
            name = re.fullmatch(r"TRUNCATE TABLE `shop-analytics-stg\.\w+\.(\w+)`", query)
            assert name, query
            self.tables[name[1]]["numRows"] = "0"
            return 200, {"jobComplete": True, "jobReference": {"jobId": "j", "location": "EU"}}
        if "/queries/" in call.path:
            return 200, {"jobComplete": True}
        table = call.path.rpartition("/")[2]
        if table not in self.tables:
            return 404, {"error": {"code": 404, "message": f"Not found: Table {table}"}}
        return 200, {"location": "EU", **self.tables[table]}


class World:
    """A bucket, Google, and the services a function gets."""

    def __init__(self, s3: Any) -> None:
        self.s3 = s3
        self.google = FakeGoogle()
        self.pauses: list[float] = []
        session = requests.Session()
        session.mount("https://", self.google)
        client = Google(
            Environment.parse(VARIABLES),
            session=session,
            backoff=Backoff(sleep=self.pauses.append, dice=lambda: 1.0),
        )
        self.client = client
        self.services = Services(
            service="shop-stg",
            storage=lambda bucket: Storage(s3, bucket),
            transfers=Transfers(client),
            bigquery=BigQuery(client, "shop-analytics-stg"),
            logger=telemetry.logger("shop-stg"),
        )

    def put(self, key: str, document: Any) -> None:
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=body)

    def declare(self, *tables: str) -> None:
        """Write the catalog of these tables of the database shop, and have them in BigQuery."""
        entries = [
            {
                "name": f"shop.{table}",
                "path": f"shop/shop.{table}",
                "table": table,
                "transfer_config": config(table),
            }
            for table in tables
        ]
        self.put(
            "catalog/shop-stg.json", {"source": "shop-stg", "dataset": DATASET, "tables": entries}
        )
        for table in tables:
            self.google.tables.setdefault(table, {"numRows": "3"})

    def exported(self, *tables: str, files: int = 1, folder: str = "1") -> None:
        """Write the manifest and the files of these tables."""
        for table in tables:
            root = f"{PREFIX}/shop/shop.{table}/{folder}"
            self.put(f"{root}/_SUCCESS", b"")
            for number in range(files):
                self.put(f"{root}/part-0000{number}-uuid.gz.parquet", b"PAR1")
        self.manifest([{"target": f"shop.{table}", "status": "COMPLETE"} for table in tables])

    def manifest(self, entries: list[dict[str, Any]], *, part: str | None = None) -> None:
        name = f"export_tables_info_shop-stg-2026112003_from_{part or len(entries)}.json"
        self.put(f"{PREFIX}/{name}", {"perTableStatus": entries})

    @property
    def work(self) -> dict[str, dict[str, Any]]:
        """The stored state of each table by its name in BigQuery."""
        body = self.s3.get_object(Bucket=BUCKET, Key="loads/shop-stg-2026112003/work.json")["Body"]
        return {table["table"]: table for table in json.loads(body.read())["tables"]}


def plenty() -> float:
    """A clock that says there is much time left."""
    return 900.0


def runs_out_after(items: int) -> Callable[[], float]:
    """A clock whose time is over after so many looks at it."""
    left = iter([900.0] * items)
    return lambda: next(left, 1.0)
