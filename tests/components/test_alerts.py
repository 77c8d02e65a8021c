from __future__ import annotations

from typing import Any

from tests.components.recording import ACCOUNT, REGION, Recording
from tests.components.stacks import EMAILS, links_a_section

TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:shop-stg-alerts"
ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
MACHINES = ("shop-stg-export-shop-db", "shop-stg-export-ledger-db", "shop-stg-load")


def alarms(stack: Recording) -> dict[str, dict[str, Any]]:
    return {each.inputs["name"]: each.inputs for each in stack.all(ALARM)}


def test_everyone_named_is_told(ferry: Recording) -> None:
    subscriptions = ferry.all("aws:sns/topicSubscription:TopicSubscription")
    assert len(subscriptions) == len(EMAILS)
    for email in EMAILS:
        wanted = {"topic": TOPIC, "protocol": "email", "endpoint": email}
        assert wanted in [each.inputs for each in subscriptions]


def test_the_topic_has_a_key_of_its_own(ferry: Recording) -> None:
    key = ferry.one("aws:kms/key:Key", "shop-stg-alerts")
    assert key.inputs["enableKeyRotation"] is True
    statements = ferry.statements("aws:kms/key:Key", "shop-stg-alerts")
    assert set(statements) == {"Administration", "PublishersThroughSns", "Alarms"}
    publishers = statements["PublishersThroughSns"]
    assert publishers["Action"] == ["kms:Decrypt", "kms:GenerateDataKey"]
    assert publishers["Condition"] == {
        "StringEquals": {
            "kms:ViaService": f"sns.{REGION}.amazonaws.com",
            "kms:CallerAccount": ACCOUNT,
        }
    }
    assert statements["Alarms"]["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    assert statements["Alarms"]["Condition"] == {"StringEquals": {"aws:SourceAccount": ACCOUNT}}
    topic = ferry.one("aws:sns/topic:Topic")
    assert topic.inputs["kmsMasterKeyId"].startswith("arn:aws:kms:")


def test_the_topic_takes_alarms_and_no_plain_http(ferry: Recording) -> None:
    statements = ferry.statements("aws:sns/topicPolicy:TopicPolicy")
    assert set(statements) == {"AlarmsPublish", "TlsOnly"}
    assert statements["AlarmsPublish"]["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    assert statements["AlarmsPublish"]["Condition"] == {
        "StringEquals": {"aws:SourceAccount": ACCOUNT}
    }
    assert statements["TlsOnly"]["Effect"] == "Deny"
    assert statements["TlsOnly"]["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_every_machine_may_publish_through_the_topics_key(ferry: Recording) -> None:
    for name in MACHINES:
        statements = ferry.statements("aws:iam/rolePolicy:RolePolicy", name)
        assert statements["Alert"]["Action"] == ["sns:Publish"]
        assert statements["Alert"]["Resource"] == [TOPIC]
        assert statements["EncryptAlerts"]["Action"] == ["kms:Decrypt", "kms:GenerateDataKey"]
        assert statements["EncryptAlerts"]["Resource"] == [
            ferry.one("aws:sns/topic:Topic").inputs["kmsMasterKeyId"]
        ]


def test_the_queue_is_encrypted_and_takes_only_this_stacks_rules(ferry: Recording) -> None:
    queue = ferry.one("aws:sqs/queue:Queue")
    assert queue.inputs["name"] == "shop-stg-rds-events-dlq"
    assert queue.inputs["sqsManagedSseEnabled"] is True
    assert queue.inputs["messageRetentionSeconds"] == 14 * 24 * 3600
    statements = ferry.statements("aws:sqs/queuePolicy:QueuePolicy")
    assert set(statements) == {"RulesSend", "TlsOnly"}
    send = statements["RulesSend"]
    assert send["Principal"] == {"Service": "events.amazonaws.com"}
    assert send["Action"] == ["sqs:SendMessage"]
    rules = f"arn:aws:events:{REGION}:{ACCOUNT}:rule/shop-stg-*"
    assert send["Condition"] == {
        "StringEquals": {"aws:SourceAccount": ACCOUNT},
        "ArnLike": {"aws:SourceArn": rules},
    }
    for rule in ferry.all("aws:cloudwatch/eventRule:EventRule"):
        assert rule.inputs["name"].startswith("shop-stg-")
    assert statements["TlsOnly"]["Effect"] == "Deny"
    assert statements["TlsOnly"]["Principal"] == "*"
    assert statements["TlsOnly"]["Action"] == ["sqs:*"]
    assert statements["TlsOnly"]["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_an_event_in_the_queue_raises_an_alarm(ferry: Recording) -> None:
    alarm = alarms(ferry)["shop-stg-alarms-lost-events"]
    assert alarm["metricName"] == "ApproximateNumberOfMessagesVisible"
    assert alarm["dimensions"] == {"QueueName": "shop-stg-rds-events-dlq"}
    assert (alarm["comparisonOperator"], alarm["threshold"]) == ("GreaterThanThreshold", 0)


def test_every_bad_end_of_every_machine_raises_an_alarm(ferry: Recording) -> None:
    found = {
        (each["dimensions"]["StateMachineArn"].rpartition(":")[2], each["metricName"])
        for each in alarms(ferry).values()
        if each["namespace"] == "AWS/States" and each["comparisonOperator"] != "LessThanThreshold"
    }
    assert found == {
        (machine, metric)
        for machine in MACHINES
        for metric in ("ExecutionsFailed", "ExecutionsTimedOut", "ExecutionsAborted")
    }


def test_a_snapshot_nobody_heard_of_raises_an_alarm(ferry: Recording) -> None:
    """RDS promises no event: then nothing fails, and only the silence can be noticed."""
    for machine in MACHINES[:2]:
        alarm = alarms(ferry)[f"{machine}-silence"]
        assert alarm["metricName"] == "ExecutionsSucceeded"
        assert (alarm["comparisonOperator"], alarm["threshold"]) == ("LessThanThreshold", 1)
        assert alarm["treatMissingData"] == "breaching"
        assert alarm["period"] * alarm["evaluationPeriods"] == 30 * 3600


def test_a_schedule_of_ones_own_promises_no_daily_export(production: Recording) -> None:
    assert not [name for name in alarms(production) if name.endswith("-silence")]


def test_every_alarm_tells_the_topic_and_links_the_runbook(ferry: Recording) -> None:
    assert len(alarms(ferry)) == 1 + 3 * 3 + 2
    for name, alarm in alarms(ferry).items():
        assert alarm["alarmActions"] == [TOPIC], name
        assert links_a_section(alarm), name
