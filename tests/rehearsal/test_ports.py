"""Where the local clouds listen: where the stack says, or nowhere when it makes no sense."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from rehearsal.errors import BadInput
from rehearsal.ports import ANY_PORTS, Ports, declared
from tests.rehearsal.playing import config_of

AWS, GOOGLE = "aws:endpoints", "gcp:bigQueryCustomEndpoint"


def refusal(config: dict[str, Any]) -> str:
    with pytest.raises(BadInput) as refused:
        declared(config)
    (line,) = refused.value.lines
    assert "\n" not in line
    return line


@contextmanager
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        yield port


def free() -> int:
    with taken() as port:
        return port


@pytest.mark.parametrize("config", [{}, {AWS: []}, {AWS: None, GOOGLE: ""}, {AWS: [{}]}])
def test_a_stack_that_says_nothing_takes_any_ports(config) -> None:
    assert declared(config) == ANY_PORTS == Ports(0, 0)


def test_the_ports_of_the_local_stack_are_those_it_says() -> None:
    config = config_of("local")
    ports = declared(config)
    assert set(config[AWS][0].values()) == {f"http://127.0.0.1:{ports.aws}"}
    assert config[GOOGLE].startswith(f"http://127.0.0.1:{ports.google}/")


@pytest.mark.parametrize(
    ("config", "ports"),
    [
        ({AWS: [{"s3": "http://127.0.0.1:4566"}]}, Ports(aws=4566)),
        ({AWS: [{"s3": "http://localhost:1"}, {"sqs": "http://localhost:1/"}]}, Ports(aws=1)),
        ({GOOGLE: "http://localhost:9050/bigquery/v2/"}, Ports(google=9050)),
    ],
)
def test_one_cloud_may_be_said_alone(config, ports) -> None:
    assert declared(config) == ports


@pytest.mark.parametrize(
    "urls",
    [
        ["http://127.0.0.1:4566", "http://127.0.0.1:4567"],
        ["http://127.0.0.1:4566", "http://192.0.2.1:4566"],
        ["https://s3.amazonaws.com"],
        ["http://127.0.0.1"],
        ["https://127.0.0.1:4566"],
        ["http://127.0.0.1:70000"],
        ["http://127.0.0.1:port"],
        ["http://[::1"],
        ["127.0.0.1:4566"],
        [""],
    ],
)
def test_what_is_no_port_of_this_machine_is_refused_in_one_line(urls) -> None:
    endpoints = [{f"service{index}": url for index, url in enumerate(urls)}]
    assert refusal({AWS: endpoints}) == (
        f"{AWS}: {', '.join(urls)}: the local cloud needs one http://127.0.0.1:PORT for all"
    )
    if len(urls) == 1 and urls[0]:
        assert refusal({GOOGLE: urls[0]}).startswith(f"{GOOGLE}: {urls[0]}: ")


def test_ports_that_are_free_are_well() -> None:
    ANY_PORTS.check()
    Ports(aws=free(), google=0).check()


def test_each_port_that_is_taken_is_told_with_its_setting() -> None:
    with taken() as aws, taken() as google:
        with pytest.raises(BadInput) as refused:
            Ports(aws, google).check()
        first, second = refused.value.lines
        assert first.startswith(f"{AWS} says port {aws}, which is taken: ")
        assert second.startswith(f"{GOOGLE} says port {google}, which is taken: ")
        with pytest.raises(BadInput) as refused:
            Ports(free(), google).check()
        assert refused.value.lines == [second]


def test_looking_leaves_a_port_free() -> None:
    port = free()
    Ports(aws=port).check()
    socket.create_server(("127.0.0.1", port)).close()


def test_both_clouds_on_one_port_are_refused() -> None:
    port = free()
    with pytest.raises(BadInput) as refused:
        Ports(port, port).check()
    assert refused.value.lines == [f"{AWS}, {GOOGLE}: both say port {port}; change one"]
