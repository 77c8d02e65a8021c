"""Queues and topics live and die as their drivers say."""

from __future__ import annotations

import json

import pytest

from rehearsal import drivers
from rehearsal.drivers import Clouds, registry
from tests.rehearsal.drivers.lifecycle import Life, live

ACCOUNT, REGION = "111122223333", "eu-west-1"


def policy(sid: str) -> str:
    statement = {
        "Sid": sid,
        "Effect": "Deny",
        "Principal": "*",
        "Action": "sns:Publish" if sid.startswith("Topic") else "sqs:*",
        "Resource": "*",
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]}, indent=2)


def a_queue(name: str):
    def make(clouds: Clouds) -> dict[str, str]:
        return {"queueUrl": clouds.aws.client("sqs").create_queue(QueueName=name)["QueueUrl"]}

    return make


ALLOW = json.dumps({"redrivePermission": "denyAll"}, indent=1)


def redrive(times: int) -> str:
    dead = f"arn:aws:sqs:{REGION}:{ACCOUNT}:life-dead"
    return json.dumps({"deadLetterTargetArn": dead, "maxReceiveCount": times}, indent=1)


def a_dead_letter_queue(clouds: Clouds) -> dict[str, str]:
    clouds.aws.client("sqs").create_queue(QueueName="life-dead")
    return {}


def a_topic(name: str, called: str):
    def make(clouds: Clouds) -> dict[str, str]:
        return {called: clouds.aws.client("sns").create_topic(Name=name)["TopicArn"]}

    return make


def set_policy_of_queue(clouds: Clouds, url: str) -> None:
    attributes = {"Policy": policy("ByHand")}
    clouds.aws.client("sqs").set_queue_attributes(QueueUrl=url, Attributes=attributes)


def set_of_topic(name: str, value: str):
    def by_hand(clouds: Clouds, arn: str) -> None:
        clouds.aws.client("sns").set_topic_attributes(
            TopicArn=arn, AttributeName=name, AttributeValue=value
        )

    return by_hand


LIVES = [
    Life(
        "aws:sqs/queue:Queue",
        {
            "name": "life-queue",
            "messageRetentionSeconds": 1209600,
            "tags": {"team": "data"},
        },
        updates=[
            {"messageRetentionSeconds": 3600, "sqsManagedSseEnabled": False},
            {"visibilityTimeoutSeconds": 90.0},
            {"messageRetentionSeconds": None, "visibilityTimeoutSeconds": 0},
            {"visibilityTimeoutSeconds": None, "sqsManagedSseEnabled": None},
            {"redrivePolicy": redrive(5)},
            {"redrivePolicy": redrive(20), "redriveAllowPolicy": ALLOW},
            {"redrivePolicy": None},
            {"redriveAllowPolicy": None},
            {"tags": {"team": "web", "stage": "stg"}},
            {"tags": None},
        ],
        before=a_dead_letter_queue,
        by_hand=lambda clouds, url: clouds.aws.client("sqs").set_queue_attributes(
            QueueUrl=url, Attributes={"VisibilityTimeout": "7", "SqsManagedSseEnabled": "false"}
        ),
        drift={"visibilityTimeoutSeconds": 7, "sqsManagedSseEnabled": False},
    ),
    Life(
        "aws:sqs/queuePolicy:QueuePolicy",
        {"policy": policy("TlsOnly")},
        before=a_queue("life-queue-policy"),
        updates=[{"policy": policy("TlsOnlyToo")}],
        by_hand=set_policy_of_queue,
        drift={"policy": policy("ByHand")},
    ),
    Life(
        "aws:sns/topic:Topic",
        {"name": "life-topic", "kmsMasterKeyId": "alias/one", "tags": {"team": "data"}},
        updates=[
            {"displayName": "Alerts", "kmsMasterKeyId": "alias/two"},
            {"displayName": None, "kmsMasterKeyId": None},
            {"displayName": "Alerts again"},
            {"tags": {"team": "web", "stage": "stg"}},
            {"tags": None},
        ],
        by_hand=set_of_topic("DisplayName", "By hand"),
        drift={"displayName": "By hand"},
    ),
    Life(
        "aws:sns/topicPolicy:TopicPolicy",
        {"policy": policy("TopicTls")},
        before=a_topic("life-topic-policy", "arn"),
        updates=[{"policy": policy("TopicTlsToo")}],
        by_hand=set_of_topic("Policy", policy("TopicByHand")),
        drift={"policy": policy("TopicByHand")},
    ),
    # Nothing of it can be changed, not even by hand.
    Life(
        "aws:sns/topicSubscription:TopicSubscription",
        {"protocol": "email", "endpoint": "data@example.com"},
        before=a_topic("life-subscription", "topic"),
    ),
]


@pytest.mark.parametrize("life", LIVES, ids=lambda life: life.name)
def test_a_life(clouds: Clouds, life: Life) -> None:
    live(clouds, life)


def test_a_topic_without_its_policy_has_the_owners(clouds: Clouds) -> None:
    token = "aws:sns/topicPolicy:TopicPolicy"
    topic = a_topic("owned", "arn")(clouds)
    made = drivers.create(clouds, token, "it", {**topic, "policy": policy("TopicTls")})
    registry.delete(clouds, token, "it", made.id, made.outputs)
    sns = clouds.aws.client("sns")
    left = json.loads(sns.get_topic_attributes(TopicArn=made.id)["Attributes"]["Policy"])
    assert left["Statement"][0]["Condition"] == {"StringEquals": {"AWS:SourceOwner": ACCOUNT}}


@pytest.mark.parametrize(
    ("token", "identifier", "known"),
    [
        ("aws:sqs/queuePolicy:QueuePolicy", "http://127.0.0.1/1/never", {"policy": "{}"}),
        ("aws:sns/topicPolicy:TopicPolicy", f"arn:aws:sns:{REGION}:{ACCOUNT}:never", {}),
        ("aws:sns/topicSubscription:TopicSubscription", f"arn:aws:sns:{REGION}:1:never:1", {}),
    ],
)
def test_what_belongs_to_something_that_is_gone_is_gone(
    clouds: Clouds, token: str, identifier: str, known: dict[str, str]
) -> None:
    assert registry.read(clouds, token, "it", identifier, known) is None
    registry.delete(clouds, token, "it", identifier, known)
