"""Event source mappings: what reads DynamoDB streams and queues and invokes functions with them.

ministack has one thread for all of them, which neither bounds retries nor splits a failed batch.
Here every mapping has threads of its own that follow the Lambda developer guide. `service` is the
API, `rules` what it refuses, `mapping` a mapping's life; `stream` and `queues` read and invoke,
`batches` says what becomes of a batch, `filters` what is left out of it, and `destinations` where
discarded records go. `stream_records` mends what ministack writes into a stream.

What it does not rehearse: Kinesis, Kafka and MQ, tumbling windows, provisioned pollers, encrypted
filter criteria, streams of more than one shard.
"""

from rehearsal.aws.event_sources.service import EventSources

__all__ = ["EventSources"]
