"""A suite that cannot fail is worthless: with route generation broken, suite routing says what it expected and saw."""

import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: namespaces and mounts")

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent
# Test → what its message must say that it expected, and what it must say that came.
NOTICED: Mapping[str, tuple[str, str]] = {
    "test_split.py::test_requests_divide_by_weight[http]": ("split v1 80.0%, v2 20.0%", "v2"),
    "test_split.py::test_requests_divide_by_weight[http2]": ("split v1 80.0%, v2 20.0%", "v2"),
    "test_split.py::test_requests_divide_by_weight[grpc]": ("split v1 80.0%, v2 20.0%", "v2"),
    "test_split.py::test_a_subset_is_the_pods_with_its_labels[grpc-v3]": ("to reach v3", "10 × v2"),
    "test_match.py::test_path[http-exact]": ("to reach v1", "10 × v2"),
    "test_match.py::test_header[http2-exact]": ("to reach v1", "10 × v2"),
    "test_match.py::test_header[grpc-regex]": ("to reach v1", "10 × v2"),
    "test_match.py::test_method[http]": ("to reach v1", "10 × v2"),
    "test_match.py::test_without_header[http]": ("to reach v1", "10 × v2"),
    "test_match.py::test_query_parameter[http-exact]": ("to reach v1", "10 × v2"),
    "test_match.py::test_authority[http]": ("to reach v1", "10 × v2"),
    "test_match.py::test_the_first_route_that_matches_wins[http]": ("to reach v3", "10 × v2"),
    "test_match.py::test_all_conditions_of_a_match_must_hold[http]": ("to reach v1", "10 × v2"),
    "test_rewrite.py::test_a_prefix_is_replaced_and_the_rest_kept[http]": ("path /new/rest", "/old/rest"),
    "test_rewrite.py::test_the_authority_is_replaced[http2]": ("authority other.example.com", ".svc.cluster.local"),
    "test_rewrite.py::test_a_redirect_has_the_code_that_it_names[http-308]": ("status 308", "status 303"),
    "test_rewrite.py::test_a_direct_response_comes_from_the_proxy[http]": ("short and stout", "something else"),
    "test_headers.py::test_a_route_changes_request_headers[http]": ("request header x-set: by-route", "x-set: sent"),
    "test_headers.py::test_a_route_changes_response_headers[grpc]": ("response header x-set: by-route", "x-set: app"),
    "test_headers.py::test_an_allowed_origin_is_told_so_and_another_is_not[http]": (
        "response header access-control-allow-origin",
        "no access-control-allow-origin",
    ),
    "test_mirror.py::test_every_request_is_copied_and_the_answer_is_not_the_copys[http]": (
        "at least 20 of 20",
        "got 0",
    ),
    "test_fault.py::test_an_abort_answers_instead_of_the_workload[http]": ("status 503", "status 200"),
    "test_fault.py::test_an_abort_has_a_grpc_status[PERMISSION_DENIED-7]": ("gRPC status 7", "gRPC status 0"),
    "test_fault.py::test_a_delay_holds_requests_back[http]": ("a duration between 0.3 s", "0.0"),
    "test_retry.py::test_a_request_times_out[http]": ("status 504", "status 200"),
    "test_retry.py::test_a_failing_request_is_tried_again[grpc]": ("every request to succeed", "gRPC status 14"),
    "test_delegate.py::test_a_delegate_routes_what_its_root_leaves_to_it[http]": ("to reach v3", "10 × v2"),
    "test_load_balancing.py::test_the_same_header_value_goes_to_the_same_endpoint[http]": (
        "expected one endpoint",
        "b-v",
    ),
}
HEALTHY = (
    "test_split.py::test_without_config_every_version_is_reached[http]",
    "test_mtls.py::test_the_server_knows_the_clients_identity[http]",
)


def run_broken(report: Path, ids: Iterable[str]) -> dict[str, str]:
    """Run tests of the suite on the broken mesh; each one's failure in full, empty for those that passed."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "broken_pilot_plugin", f"--junitxml={report}"]
    run = subprocess.run(
        [*command, *(f"suites/routing/{each}" for each in ids)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(HERE)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert run.returncode == 1, run.stdout[-3000:] + run.stderr[-1000:]
    outcomes = {}
    for case in ElementTree.parse(report).iter("testcase"):
        failure = case.find("failure")
        name = f"{case.get('classname', '').rpartition('.')[2]}.py::{case.get('name')}"
        outcomes[name] = "" if failure is None else f"{failure.get('message')}\n{failure.text}"
    return outcomes


def test_each_broken_behaviour_fails_its_test_with_expected_and_got(tmp_path: Path) -> None:
    outcomes = run_broken(tmp_path / "report.xml", [*HEALTHY, *NOTICED])
    assert set(outcomes) == {*HEALTHY, *NOTICED}
    assert [each for each in NOTICED if not outcomes[each]] == [], "broken, and nobody noticed"
    unclear = {each: outcomes[each] for each, words in NOTICED.items() if not all(w in outcomes[each] for w in words)}
    assert unclear == {}, "failed without saying what was expected and what came"
    assert [each for each in HEALTHY if outcomes[each]] == [], "failed, though nothing of their own is broken"


def test_the_way_of_an_offending_request_is_shown(tmp_path: Path) -> None:
    (message,) = run_broken(tmp_path / "report.xml", ["test_match.py::test_method[http]"]).values()
    for part in ("route ", "cluster outbound|80|v2|b.", "endpoint 10.", "flags ", "/a-v1-", "/b-v2-", "inbound|8080||"):
        assert part in message, f"{part!r} is not in: {message}"
