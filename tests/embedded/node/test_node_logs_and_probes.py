"""Logs in CRI form and what is read from them; verdicts of probes; the health check's wire form."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshtest.embedded.node import grpchealth, kubelet, logs, probing, streams
from meshtest.embedded.node.host import Addresses, AddressesExhausted


def test_lines_are_stamped_and_incomplete_ones_wait(tmp_path: Path) -> None:
    file = logs.LogFile(tmp_path / "c" / "0.log")
    file.feed("stdout", b"one\ntw")
    file.feed("stderr", b"bad\n")
    file.feed("stdout", b"o\nrest")
    shown, _ = logs.read(file.path, logs.Query())
    assert shown == b"one\nbad\ntwo\n"
    file.close()
    file.close()
    assert logs.read(file.path, logs.Query())[0].endswith(b"two\nrest\n")
    when, stream, flag, text = file.path.read_bytes().splitlines()[0].split(b" ", 3)
    assert (stream, flag, text) == (b"stdout", b"F", b"one") and when.endswith(b"Z") and len(when) == 30


def test_a_very_long_line_is_written_in_parts_and_read_in_one(tmp_path: Path) -> None:
    file = logs.LogFile(tmp_path / "0.log")
    file.feed("stdout", b"x" * 20000)
    file.feed("stdout", b"y\n")
    file.close()
    assert logs.read(file.path, logs.Query())[0] == b"x" * 20000 + b"y\n"


def test_queries(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    path.write_bytes(
        b"2026-01-01T00:00:00.000000001Z stdout F a\n"
        b"2026-01-01T00:00:01.000000000Z stdout F b\n"
        b"2026-01-01T00:00:02.000000000Z stderr F c\n"
    )
    assert logs.read(path, logs.Query(tail=1))[0] == b"c\n"
    assert logs.read(path, logs.Query(tail=0))[0] == b""
    assert logs.read(path, logs.Query(limit_bytes=3))[0] == b"a\nb"
    since = logs.since_text(time_text="2026-01-01T00:00:01Z")
    assert logs.read(path, logs.Query(since=since))[0] == b"b\nc\n"
    assert logs.read(path, logs.Query(tail=1, timestamps=True))[0] == b"2026-01-01T00:00:02.000000000Z c\n"
    offset = logs.read(path, logs.Query())[1]
    with path.open("ab") as file:
        file.write(b"2026-01-01T00:00:03.000000000Z stdout F d\n2026-01-01T00:00:03.0")
    more, offset = logs.read_from(path, offset, logs.Query())
    assert more == b"d\n"


def test_a_large_log_is_turned_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "ROTATE_BYTES", 200)
    file = logs.LogFile(tmp_path / "0.log")
    for number in range(12):
        file.feed("stdout", f"line {number}\n".encode())
    file.close()
    assert file.rotations == 2
    assert (tmp_path / "0.log.1").exists()
    assert logs.read(file.path, logs.Query())[0].endswith(b"line 11\n")


def test_thresholds() -> None:
    probe = {"successThreshold": 2, "failureThreshold": 2}
    verdict = probing.Verdict()
    seen = []
    for ok in (True, True, False, True, False, False):
        verdict = probing.judge(verdict, ok, probe)
        seen.append(verdict.healthy)
    assert seen == [None, True, True, True, True, False]


def test_checks_come_quickly_until_the_first_success() -> None:
    probe = {"periodSeconds": 1}
    assert [probing.pause(probe, elapsed, False) for elapsed in (0, 0.2, 60)] == [0.01, 0.03, 1]
    assert probing.pause(probe, 0, True) == 1


def test_ports_by_name() -> None:
    container = {"name": "c", "ports": [{"name": "http", "containerPort": 8080}]}
    assert probing.port_number(container, "http") == 8080
    assert probing.port_number(container, "81") == probing.port_number(container, 81) == 81
    with pytest.raises(ValueError, match="no port named 'grpc'"):
        probing.port_number(container, "grpc")


def test_health_messages() -> None:
    assert grpchealth.encode_request("") == b"\0\0\0\0\0"
    assert grpchealth.encode_request("ab") == b"\0\0\0\0\x04\x0a\x02ab"
    assert grpchealth.decode_status(b"\0\0\0\0\2\x08\x01") == grpchealth.SERVING
    assert grpchealth.decode_status(b"\0\0\0\0\0") == 0


def test_an_address_is_reused_as_late_as_possible() -> None:
    addresses = Addresses("10.0.0.0/29")
    first = [addresses.take() for _ in range(5)]
    assert first == ["10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"]
    addresses.give_back("10.0.0.3")
    addresses.give_back("10.0.0.2")
    assert addresses.take() == "10.0.0.3"
    addresses.take()
    with pytest.raises(AddressesExhausted, match=r"10\.0\.0\.0/29"):
        addresses.take()


def test_names_of_config_that_a_pod_uses() -> None:
    pod = {
        "spec": {
            "volumes": [
                {"name": "a", "secret": {"secretName": "s"}},
                {"name": "b", "projected": {"sources": [{"configMap": {"name": "m"}}]}},
            ],
            "containers": [{"name": "c", "envFrom": [{"configMapRef": {"name": "e"}}]}],
        }
    }
    assert kubelet.config_names(pod) == {"s", "m", "e"}


def test_exec_statuses() -> None:
    assert streams.exit_status(0)["status"] == "Success"
    assert streams.exit_status(3)["details"]["causes"] == [{"reason": "ExitCode", "message": "3"}]
    assert "no such" in streams.failure_status("no such")["message"]
