"""Mappings with the clouds they need: slow ones, faulty ones, and ones that stop."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from rehearsal.aws.delivery_faults import DeliveryFaults
from tests.rehearsal.aws.cloud_kit import local_aws
from tests.rehearsal.aws.event_source_kit import Keeper, make_queue, make_table, put, send, settle


def test_a_window_gathers(tmp_path: Path) -> None:
    with local_aws(wait_scale=1.0) as aws:
        keeper = Keeper(aws, "window", tmp_path)
        keeper.read(make_table(aws, "window"), MaximumBatchingWindowInSeconds=1, BatchSize=4)
        for number in range(6):
            put(aws, "window", "a", number)
            time.sleep(0.05)
        settle(aws, 30)
        assert [len(batch) for batch in keeper.batches()] == [4, 2]


def test_crashes_and_duplicates_lose_nothing(tmp_path: Path) -> None:
    faults = DeliveryFaults(seed=7, crashed=0.3, duplicated=0.3)
    with local_aws(faults=faults) as aws:
        keeper, stream = Keeper(aws, "faults", tmp_path), make_table(aws, "faults")
        for number in range(30):
            put(aws, "faults", "a", number)
        keeper.read(stream, BatchSize=1)
        settle(aws, 30)
        records = keeper.records()
        assert set(records) == {f"a/{number}" for number in range(30)}
        assert len(records) > 40, "about 30 / 0.7 * 1.3"
        firsts = list(dict.fromkeys(records))
        assert firsts == [f"a/{number}" for number in range(30)], "the first of each is in order"


def test_a_cloud_that_stops_ends_what_runs(tmp_path: Path) -> None:
    code = "import time\ndef work(event, records, bodies, inbox):\n    time.sleep(60)\n"
    before = set(threading.enumerate())
    with local_aws() as aws:
        keeper = Keeper(aws, "sleeper", tmp_path, code, Timeout=60)
        keeper.read(make_table(aws, "sleeper"), ParallelizationFactor=3)
        keeper.read(make_queue(aws, "sleeper", VisibilityTimeout="60"))
        put(aws, "sleeper", "a")
        while not keeper.events():
            time.sleep(0.01)
        started = time.monotonic()
    assert time.monotonic() - started < 10
    for thread in set(threading.enumerate()) - before:
        thread.join(10)  # one that ends as it should may just be about to
        assert not thread.is_alive(), thread.name
    assert len(keeper.events()) == 1, "what was interrupted is not tried again"


def test_messages_come_twice_and_in_any_order_and_none_is_lost(tmp_path: Path) -> None:
    faults = DeliveryFaults(seed=3, duplicated=0.3, reordered=True, crashed=0.2)
    with local_aws(faults=faults) as aws:
        keeper = Keeper(aws, "mixed", tmp_path)
        queue = make_queue(aws, "mixed")
        sent = [str(number) for number in range(40)]
        send(aws, queue, *sent)
        keeper.read(queue, BatchSize=1)
        settle(aws, 30)
        records = keeper.records()
        assert set(records) == set(sent)
        assert len(records) > 50
        assert list(dict.fromkeys(records)) != sent


def test_a_message_is_repeated_once_at_most_and_so_is_no_dead_letter(tmp_path: Path) -> None:
    with local_aws(faults=DeliveryFaults(duplicated=1.0)) as aws:
        keeper = Keeper(aws, "repeated", tmp_path)
        dead = make_queue(aws, "dead")
        policy = f'{{"deadLetterTargetArn": "{dead}", "maxReceiveCount": 3}}'
        keeper.read(make_queue(aws, "repeated", RedrivePolicy=policy))
        send(aws, dead.replace("dead", "repeated"), "one")
        settle(aws, 30)
        assert keeper.batches() == [["one"], ["one"]]
