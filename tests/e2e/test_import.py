"""What a team has already is taken over and not made again: docs/production.md."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.kit import Stack

BUCKET = "ferry-local-rds-exports-111122223333"
DATASETS = "/bigquery/v2/projects/local-project/datasets"
DATASET = "ferry_local_rds_data"


def test_a_bucket_a_key_and_a_dataset_are_taken_over(local: Stack, tmp_path: Path) -> None:
    aws, google = local.clouds.aws, local.clouds.google_api
    s3, kms = aws.client("s3"), aws.client("kms")
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": aws.region})
    s3.put_object(Bucket=BUCKET, Key="older/kept.txt", Body=b"kept")
    key = kms.create_key(Description="exports, by hand")["KeyMetadata"]["KeyId"]
    google.send("POST", "/v1/projects/local-project/services/bigquery.googleapis.com:enable", {})
    reference = {"projectId": "local-project", "datasetId": DATASET}
    google.send("POST", DATASETS, {"datasetReference": reference, "location": "EU"})
    google.send(
        "POST", f"{DATASETS}/{DATASET}/tables", {"tableReference": {**reference, "tableId": "mine"}}
    )
    ids = {
        ("aws:s3/bucket:Bucket", "ferry-local-rds-exports"): BUCKET,
        ("aws:kms/key:Key", "ferry-local-rds-exports"): key,
        ("gcp:bigquery/dataset:Dataset", DATASET): f"projects/local-project/datasets/{DATASET}",
    }
    local.adopt(lambda *which: ids.get(which), tmp_path / "import.json").succeeded()

    plan = local.preview().succeeded()
    mine = {step.short: step.op for step in plan.changes if (step.type, step.name) in ids}
    assert set(mine.values()) <= {"update"}, mine
    local.up().succeeded()
    assert local.preview("--expect-no-changes").succeeded().changes == []
    assert local.play_day().problems == []

    state = {(each["type"], each["urn"].split("::", 3)[3]): each for each in local.resources()}
    assert {which: state[which]["id"] for which in ids} == ids
    assert not any(state[which].get("protect") for which in ids)
    assert s3.get_object(Bucket=BUCKET, Key="older/kept.txt")["Body"].read() == b"kept"
    tables = google.get(f"{DATASETS}/{DATASET}/tables")["tables"]
    assert "mine" in {each["tableReference"]["tableId"] for each in tables}
    # The other one is the replication route's.
    assert len(s3.list_buckets()["Buckets"]) == 2
