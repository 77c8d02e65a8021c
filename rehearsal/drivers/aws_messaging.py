"""Drivers of SQS queues and SNS topics."""

from __future__ import annotations

import json
from typing import Any

from rehearsal.drivers.aws_shapes import as_read, number, same_document
from rehearsal.drivers.registry import Clouds, Created, Driver, Inputs, Outputs, driver
from rehearsal.drivers.wire import aws_tags, change_tags, from_aws_tags, or_none

_NO_QUEUE = ("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist")

# Property -> (attribute, its value where none is given). SQS encrypts unless it is told not to.
_QUEUE: dict[str, tuple[str, Any]] = {
    "messageRetentionSeconds": ("MessageRetentionPeriod", 345600),
    "sqsManagedSseEnabled": ("SqsManagedSseEnabled", True),
    "visibilityTimeoutSeconds": ("VisibilityTimeout", 30),
}
# Documents of queues: what they do with messages that fail, and who may send them such.
_REDRIVE = {"redrivePolicy": "RedrivePolicy", "redriveAllowPolicy": "RedriveAllowPolicy"}
_QUEUE_DEFAULTS = {
    "tags": {},
    **dict.fromkeys(_REDRIVE, ""),
    **{key: default for key, (_, default) in _QUEUE.items()},
}


@driver
class Queue(Driver):
    """A standard queue; its policy is a resource of its own."""

    token = "aws:sqs/queue:Queue"  # noqa: S105  # a type token
    required = "name"
    optional = " ".join((*_QUEUE, *_REDRIVE, "tags", "region"))
    replace_on = "name region"
    autonamed = "name"

    def create(self, clouds: Clouds, inputs: Inputs) -> Created:
        """Make the queue."""
        url = clouds.aws.client("sqs").create_queue(
            QueueName=inputs["name"],
            Attributes={key: value for key, value in self._attributes(inputs).items() if value},
            tags=inputs.get("tags", {}),
        )["QueueUrl"]
        return Created(url, self._outputs(clouds, url, inputs))

    def read(self, clouds: Clouds, identifier: str, known: Inputs) -> Outputs | None:
        """Read attributes and tags."""
        sqs = clouds.aws.client("sqs")
        answer = or_none(
            sqs.get_queue_attributes, *_NO_QUEUE, QueueUrl=identifier, AttributeNames=["All"]
        )
        if answer is None:
            return None
        seen = {
            "name": identifier.rpartition("/")[2],
            "tags": sqs.list_queue_tags(QueueUrl=identifier).get("Tags", {}),
            **self._seen(answer["Attributes"]),
            **{
                key: same_document(known.get(key), answer["Attributes"].get(attribute, ""))
                for key, attribute in _REDRIVE.items()
            },
        }
        told = as_read(known, ("name", "tags", *_QUEUE, *_REDRIVE), seen, _QUEUE_DEFAULTS)
        return self._outputs(clouds, identifier, told)

    def update(self, clouds: Clouds, identifier: str, inputs: Inputs, known: Inputs) -> Outputs:
        """Set every attribute, and the tags."""
        sqs = clouds.aws.client("sqs")
        sqs.set_queue_attributes(QueueUrl=identifier, Attributes=self._attributes(inputs))
        change_tags(
            known.get("tags", {}),
            inputs.get("tags", {}),
            lambda gone: sqs.untag_queue(QueueUrl=identifier, TagKeys=gone),
            lambda tags: sqs.tag_queue(QueueUrl=identifier, Tags=tags),
        )
        return self._outputs(clouds, identifier, inputs)

    def delete(self, clouds: Clouds, identifier: str, known: Inputs) -> None:
        """Delete the queue with whatever waits in it."""
        or_none(clouds.aws.client("sqs").delete_queue, *_NO_QUEUE, QueueUrl=identifier)

    @staticmethod
    def _attributes(inputs: Inputs) -> dict[str, str]:
        given = {**_QUEUE_DEFAULTS, **inputs}
        return {
            **{attribute: given[key] for key, attribute in _REDRIVE.items()},
            **{
                attribute: str(number(given[key])).lower() for key, (attribute, _) in _QUEUE.items()
            },
        }

    @staticmethod
    def _seen(attributes: Inputs) -> Outputs:
        """Return attributes as properties: SQS writes all of them as text."""
        return {
            key: json.loads(attributes[attribute]) if attribute in attributes else default
            for key, (attribute, default) in _QUEUE.items()
        }

    @staticmethod
    def _outputs(clouds: Clouds, url: str, inputs: Inputs) -> Outputs:
        arn = f"arn:aws:sqs:{clouds.aws.region}:{clouds.aws.account}:{inputs['name']}"
        return {**inputs, "arn": arn, "url": url}


@driver
class QueuePolicy(Driver):
    """Who may use a queue."""

    token = "aws:sqs/queuePolicy:QueuePolicy"  # noqa: S105
    required = "queueUrl policy"
    optional = "region"
    replace_on = "queueUrl region"

    def create(self, clouds: Clouds, inputs: Inputs) -> Created:
        """Set the policy."""
        return Created(inputs["queueUrl"], self.update(clouds, inputs["queueUrl"], inputs, {}))

    def read(self, clouds: Clouds, identifier: str, known: Inputs) -> Outputs | None:
        """Read the policy."""
        answer = or_none(
            clouds.aws.client("sqs").get_queue_attributes,
            *_NO_QUEUE,
            QueueUrl=identifier,
            AttributeNames=["Policy"],
        )
        policy = answer and answer.get("Attributes", {}).get("Policy")
        if not policy:
            return None
        return {
            **known,
            "queueUrl": identifier,
            "policy": same_document(known.get("policy"), policy),
        }

    def update(self, clouds: Clouds, identifier: str, inputs: Inputs, known: Inputs) -> Outputs:
        """Set the policy anew."""
        clouds.aws.client("sqs").set_queue_attributes(
            QueueUrl=identifier, Attributes={"Policy": inputs["policy"]}
        )
        return dict(inputs)

    def delete(self, clouds: Clouds, identifier: str, known: Inputs) -> None:
        """Leave the queue without a policy."""
        sqs = clouds.aws.client("sqs")
        attributes = {"Policy": ""}
        or_none(sqs.set_queue_attributes, *_NO_QUEUE, QueueUrl=identifier, Attributes=attributes)


_NO_TOPIC = ("NotFound", "NotFoundException", "ResourceNotFoundException")
_TOPIC = {"displayName": "DisplayName", "kmsMasterKeyId": "KmsMasterKeyId"}
_TOPIC_DEFAULTS = {"displayName": "", "kmsMasterKeyId": "", "tags": {}}


@driver
class Topic(Driver):
    """A standard topic; policy and subscriptions are resources of their own."""

    token = "aws:sns/topic:Topic"  # noqa: S105
    required = "name"
    optional = "displayName kmsMasterKeyId tags region"
    replace_on = "name region"
    autonamed = "name"

    def create(self, clouds: Clouds, inputs: Inputs) -> Created:
        """Make the topic, then tag it: ministack does not see tags that come with the call."""
        sns = clouds.aws.client("sns")
        attributes = {wire: inputs[key] for key, wire in _TOPIC.items() if key in inputs}
        arn = sns.create_topic(Name=inputs["name"], Attributes=attributes)["TopicArn"]
        if inputs.get("tags"):
            sns.tag_resource(ResourceArn=arn, Tags=aws_tags(inputs["tags"]))
        return Created(arn, {**inputs, "arn": arn})

    def read(self, clouds: Clouds, identifier: str, known: Inputs) -> Outputs | None:
        """Read attributes and tags."""
        sns = clouds.aws.client("sns")
        answer = or_none(sns.get_topic_attributes, *_NO_TOPIC, TopicArn=identifier)
        if answer is None:
            return None
        tags = sns.list_tags_for_resource(ResourceArn=identifier)["Tags"]
        seen = {
            "name": identifier.rpartition(":")[2],
            "tags": from_aws_tags(tags),
            **{key: answer["Attributes"].get(wire) or "" for key, wire in _TOPIC.items()},
        }
        told = as_read(known, ("name", "tags", *_TOPIC), seen, _TOPIC_DEFAULTS)
        return {**told, "arn": identifier}

    def update(self, clouds: Clouds, identifier: str, inputs: Inputs, known: Inputs) -> Outputs:
        """Set the attributes that changed, and the tags."""
        sns = clouds.aws.client("sns")
        for key, wire in _TOPIC.items():
            if inputs.get(key) != known.get(key):
                sns.set_topic_attributes(
                    TopicArn=identifier, AttributeName=wire, AttributeValue=inputs.get(key, "")
                )
        change_tags(
            known.get("tags", {}),
            inputs.get("tags", {}),
            lambda gone: sns.untag_resource(ResourceArn=identifier, TagKeys=gone),
            lambda tags: sns.tag_resource(ResourceArn=identifier, Tags=aws_tags(tags)),
        )
        return {**inputs, "arn": identifier}

    def delete(self, clouds: Clouds, identifier: str, known: Inputs) -> None:
        """Delete the topic."""
        or_none(clouds.aws.client("sns").delete_topic, *_NO_TOPIC, TopicArn=identifier)


# SNS gives every topic a policy with this id, and the official provider puts it back on delete.
_DEFAULT_POLICY_ID = "__default_policy_ID"
_OWNER_ACTIONS = [
    f"SNS:{action}"
    for action in (
        "GetTopicAttributes",
        "SetTopicAttributes",
        "AddPermission",
        "RemovePermission",
        "DeleteTopic",
        "Subscribe",
        "ListSubscriptionsByTopic",
        "Publish",
    )
]


@driver
class TopicPolicy(Driver):
    """Who may use a topic."""

    token = "aws:sns/topicPolicy:TopicPolicy"  # noqa: S105
    required = "arn policy"
    optional = "region"
    replace_on = "arn region"

    def create(self, clouds: Clouds, inputs: Inputs) -> Created:
        """Set the policy."""
        return Created(inputs["arn"], self.update(clouds, inputs["arn"], inputs, {}))

    def read(self, clouds: Clouds, identifier: str, known: Inputs) -> Outputs | None:
        """Read the policy; a topic with SNS's own policy has none of ours."""
        sns = clouds.aws.client("sns")
        answer = or_none(sns.get_topic_attributes, *_NO_TOPIC, TopicArn=identifier)
        policy = answer and answer["Attributes"].get("Policy")
        if not policy or json.loads(policy).get("Id") == _DEFAULT_POLICY_ID:
            return None
        return {**known, "arn": identifier, "policy": same_document(known.get("policy"), policy)}

    def update(self, clouds: Clouds, identifier: str, inputs: Inputs, known: Inputs) -> Outputs:
        """Set the policy anew."""
        clouds.aws.client("sns").set_topic_attributes(
            TopicArn=identifier, AttributeName="Policy", AttributeValue=inputs["policy"]
        )
        return dict(inputs)

    def delete(self, clouds: Clouds, identifier: str, known: Inputs) -> None:
        """Put SNS's own policy back: a topic is never without one."""
        or_none(
            clouds.aws.client("sns").set_topic_attributes,
            *_NO_TOPIC,
            TopicArn=identifier,
            AttributeName="Policy",
            AttributeValue=_default_policy(identifier, clouds.aws.account),
        )


def _default_policy(topic: str, account: str) -> str:
    owner = {
        "Sid": "__default_statement_ID",
        "Effect": "Allow",
        "Principal": {"AWS": "*"},
        "Action": _OWNER_ACTIONS,
        "Resource": topic,
        "Condition": {"StringEquals": {"AWS:SourceOwner": account}},
    }
    return json.dumps({"Version": "2008-10-17", "Id": _DEFAULT_POLICY_ID, "Statement": [owner]})


@driver
class TopicSubscription(Driver):
    """Who gets a topic's messages. All that it consists of can only be replaced."""

    token = "aws:sns/topicSubscription:TopicSubscription"  # noqa: S105
    required = "topic protocol endpoint"
    optional = "region"
    replace_on = "topic protocol endpoint region"

    def create(self, clouds: Clouds, inputs: Inputs) -> Created:
        """Subscribe."""
        arn = clouds.aws.client("sns").subscribe(
            TopicArn=inputs["topic"],
            Protocol=inputs["protocol"],
            Endpoint=inputs["endpoint"],
            ReturnSubscriptionArn=True,
        )["SubscriptionArn"]
        return Created(arn, {**inputs, "arn": arn})

    def read(self, clouds: Clouds, identifier: str, known: Inputs) -> Outputs | None:
        """Read the subscription."""
        sns = clouds.aws.client("sns")
        answer = or_none(sns.get_subscription_attributes, *_NO_TOPIC, SubscriptionArn=identifier)
        if answer is None:
            return None
        actual = answer["Attributes"]
        return {
            **known,
            "topic": actual["TopicArn"],
            "protocol": actual["Protocol"],
            "endpoint": actual["Endpoint"],
            "arn": identifier,
        }

    def delete(self, clouds: Clouds, identifier: str, known: Inputs) -> None:
        """Unsubscribe."""
        or_none(clouds.aws.client("sns").unsubscribe, *_NO_TOPIC, SubscriptionArn=identifier)
