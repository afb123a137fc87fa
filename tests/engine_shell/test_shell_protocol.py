"""The engine's messages: what is sent is what is read, and nonsense is refused."""

from __future__ import annotations

import msgspec
import pytest

from breakroom.engine.shell import protocol
from breakroom.spec.service import Deploy, Healthcheck, Limits, Port, Resources, ServiceSpec


def test_a_whole_service_survives_the_way_to_the_engine() -> None:
    spec = ServiceSpec(
        name="web",
        command=("a", "{port}"),
        environment={"K": "v"},
        ports=(Port(target=3000, published=8080),),
        healthcheck=Healthcheck(test=("HTTP", "/health")),
        deploy=Deploy(replicas=3, resources=Resources(limits=Limits(memory=1 << 29, cpus=0.5))),
    )
    request = protocol.Create(id=7, runs_as="service", spec=spec, hosts=("127.0.0.1",), port=8080)
    assert protocol.decode_request(protocol.encode(request)) == request


def test_what_the_engine_pushes_is_read_as_the_same() -> None:
    messages = [
        protocol.Reply(id=1, code="port-taken", message="m", hint="h"),
        protocol.Rotation(t=1, task="t", in_rotation=False, reason="cut", open_connections=3),
        protocol.Stats(t=2, rows=(("t", 10, None, 5), ("u", 11, 12, 6))),
        protocol.EngineProblem(t=3, severity="error", code="c", params={"a": 1}),
    ]
    for message in messages:
        line = protocol.encode(message)
        assert line.count(b"\n") == 1
        assert protocol.decode_pushed(line) == message


@pytest.mark.parametrize(
    "line", [b"{", b'{"op":"explode","id":1}', b'{"op":"scale","id":1,"replicas":"many"}']
)
def test_nonsense_is_refused(line: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        protocol.decode_request(line)
