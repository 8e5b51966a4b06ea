"""Service limits: what pools ask of them, what OCI's answers mean, and what a plan says where OCI does not answer."""

import json
import time

import pytest
from click.testing import CliRunner
from fakes.certificates import key_pem, private_key
from fakes.oci_limits import FakeLimits
from pool.conftest import ARGS, METAL, changed

from pulumi_plinth.cli import main
from pulumi_plinth.oci_spec import OciSpec
from pulumi_plinth.pool import limits_client
from pulumi_plinth.pool.arguments import planned
from pulumi_plinth.pool.limits import Answers, Demand, LimitsReport, Place, Room, Unanswered, demands, judge
from pulumi_plinth.pool.limits_client import answered, check, log_in

ONE, TWO = "Uocm:PHX-AD-1", "Uocm:PHX-AD-2"
HERE = Place(ONE, "ocid1.compartment.x")
OCI = OciSpec(compartment_id="ocid1.compartment.x", region="us-phoenix-1")
PERSON = {"user": "ocid1.user.oc1..u", "tenancy": "ocid1.tenancy.oc1..t", "fingerprint": ":".join(["aa"] * 16)}
MANY = [{"availability_domain": ONE}, {"availability_domain": TWO}]
FAILED = "logging in to OCI as resource_principal failed"
RESERVED = [{"availability_domain": ONE, "capacity_reservation_id": "ocid1.r"}]


@pytest.mark.parametrize(
    ("args", "nodes"),
    [
        (ARGS, {ONE: 1}),
        (changed(ARGS, size=5, placements=MANY), {ONE: 3, TWO: 3}),
        (changed(ARGS, autoscale={"max": 4}), {ONE: 4}),
        (changed(ARGS, size=0), {}),
        (changed(ARGS, placements=RESERVED), {}),
        (changed(ARGS, capacity_reservation_id="ocid1.r"), {}),
        ({"kind": "existing", "shape": "VM.GPU.A10.1", "labels": {"a": "b"}}, {}),
    ],
)
def test_what_a_pool_asks_of_limits(args, nodes):
    """Its most nodes, spread over its domains; nothing where nodes exist or are reserved."""
    asked = demands([planned("gpu", args)])
    assert {item.place.domain: item.nodes for item in asked} == nodes
    assert all((item.shape, item.gpus) == ("VM.GPU.A10.1", 1) for item in asked)


def verdict(room, *parts, limit="gpu-h100-count"):
    """What is found for pools of one limit."""
    asked = parts or (Demand("a", "BM.GPU.H100.8", 8, 2, HERE),)
    limits = {(item.shape, HERE): (limit,) for item in asked}
    (found,) = judge(asked, Answers(limits, {(limit, HERE): room})).findings
    return found


@pytest.mark.parametrize(
    ("room", "expected", "words"),
    [
        (Room(16, 0), "fits", "a 2 x BM.GPU.H100.8 x 8 GPUs = 16 GPUs in Uocm:PHX-AD-1; gpu-h100-count leaves 16"),
        (Room(8, 0), "short", "leaves 8: 8 GPUs too few; ask for more in the Console"),
        (Room(0, 4), "short", "leaves 0 and the compartment uses 4: 12 GPUs too few"),
        (
            Room(0, 16),
            "perhaps",
            "beside the 16 GPUs that the compartment uses: enough if 16 of those are this stack's",
        ),
        (Room(8, 0, quota=8.0), "short", "a quota policy of the tenancy allows 8: ask who looks after it"),
        (Room(8, 0, quota=99.0), "short", "ask for more in the Console"),
        (Room(limit=8), "short", "gpu-h100-count is 8: 8 too few"),
        (Room(limit=16), "perhaps", "gpu-h100-count is 16, and OCI does not say how much of it is used"),
    ],
)
def test_what_is_left_is_compared_with_the_sum(room, expected, words):
    """Enough, too little by how much and whom to ask, or enough if what is in use is the stack's own."""
    found = verdict(room)
    assert found.verdict == expected
    assert words in found.text
    assert found.needed == 16


def test_pools_that_share_a_limit_are_added_up():
    """Each alone would fit; some limits count nodes and not GPUs."""
    parts = Demand("a", "VM.GPU3.2", 2, 3, HERE), Demand("b", "VM.GPU3.4", 4, 1, HERE)
    found = verdict(Room(9, 0), *parts, limit="gpu3-count")
    assert (found.verdict, found.needed, found.pools) == ("short", 10, ("a", "b"))
    assert "a 3 x VM.GPU3.2 x 2 GPUs + b 1 x VM.GPU3.4 x 4 GPUs = 10 GPUs" in found.text
    assert verdict(Room(3, 0), parts[0], limit="vm-gpu3-2-count").verdict == "fits"
    assert "= 3 nodes" in verdict(Room(3, 0), parts[0], limit="vm-gpu3-2-count").text


def test_what_nobody_answered_is_said_once():
    """One reason for all is the report's; beside answers it is a finding of its own."""
    silence, asked = Unanswered("OCI was silent"), (Demand("a", "X", 1, 1, HERE), Demand("b", "Y", 1, 1, HERE))
    nothing = judge(asked, Answers({("X", HERE): silence, ("Y", HERE): silence}, {}))
    assert (nothing.findings, nothing.reason, nothing.checked) == ((), "OCI was silent", False)
    half = judge(asked, Answers({("X", HERE): silence, ("Y", HERE): ("y",)}, {("y", HERE): Room(5, 0)}))
    assert [item.verdict for item in half.findings] == ["unanswered", "fits"]
    assert half.checked
    strange = judge(asked[:1], Answers({("X", HERE): None}, {})).findings[0]
    assert (strange.verdict, strange.pools) == ("not-offered", ("a",))
    assert judge(asked[:1], Answers({("X", HERE): ()}, {})).reason == "OCI names no limit that X counts under"


@pytest.mark.slow
def test_nobody_waits_longer_than_until_the_end():
    """What takes longer is said to; what was quick is there."""
    begun = time.monotonic()
    found = answered({"slow": lambda: time.sleep(20), "quick": lambda: 1, "bad": lambda: 1 / 0}, begun + 0.5)
    assert time.monotonic() - begun < 10
    assert found["quick"] == 1
    assert "too slow" in found["slow"].reason
    assert found["bad"].reason == "OCI's answer cannot be read (ZeroDivisionError)"


@pytest.mark.parametrize(
    ("environment", "auth", "words"),
    [
        ({}, None, "there are no OCI credentials"),
        ({"OCI_CLI_AUTH": "security_token"}, None, "there are no OCI credentials"),
        pytest.param({"OCI_RESOURCE_PRINCIPAL_VERSION": "9"}, None, FAILED, marks=pytest.mark.processes),
        pytest.param({}, "ResourcePrincipal", FAILED, marks=pytest.mark.processes),
    ],
)
def test_without_credentials_there_is_a_reason(environment, auth, words, tmp_path):
    """A line, and no question is asked."""
    spec = OCI.model_copy(update={"auth": auth})
    report = check(demands([planned("gpu", ARGS)]), spec, {"OCI_CONFIG_FILE": str(tmp_path / "none"), **environment})
    assert words in report.reason
    assert report.to_json()["checked"] is False


@pytest.fixture
def config(tmp_path):
    """A person's configuration file."""
    (tmp_path / "key.pem").write_bytes(key_pem())
    rows = {**PERSON, "key_file": tmp_path / "key.pem", "region": "us-phoenix-1"}
    (tmp_path / "config").write_text("\n".join(["[DEFAULT]", *(f"{name}={value}" for name, value in rows.items())]))
    return {"OCI_CONFIG_FILE": str(tmp_path / "config")}


@pytest.fixture
def oracle(monkeypatch):
    """OCI's services as they answer; the person is known, and 16 H100 and 2 A10 are left."""
    with FakeLimits() as server:
        monkeypatch.setattr(limits_client, "ENDPOINTS", {"limits": server.address, "iaas": server.address})
        server.keys["/".join(PERSON[part] for part in ("tenancy", "user", "fingerprint"))] = private_key().public_key()
        server.shapes = {("BM.GPU.H100.8", ONE): ["gpu-h100-count"], ("VM.GPU.A10.1", ONE): ["gpu-a10-count"]}
        server.rooms = {
            ("gpu-h100-count", ONE): {"used": 0, "available": 16},
            ("gpu-a10-count", ONE): {"used": 1, "available": 2, "effectiveQuotaValue": 3.0},
        }
        yield server


def checked(config, **pools):
    """The report on pools by name."""
    return check(demands([planned(name, args) for name, args in pools.items()]), OCI, config)


@pytest.mark.processes
def test_oci_is_asked_and_believed(oracle, config):
    """Signed questions for shapes and what their limits leave, one for each limit."""
    report = checked(config, large=changed(METAL, size=3), small=ARGS, other=ARGS)
    assert {item.pools: item.verdict for item in report.findings} == {("large",): "short", ("small", "other"): "fits"}
    assert len(oracle.asked(path="/shapes")) == len(oracle.asked(path="resourceAvailability")) == 2
    assert {asked.query["compartmentId"] for asked in oracle.log} == {"ocid1.compartment.x"}


@pytest.mark.processes
def test_a_limit_whose_use_is_not_counted(oracle, config):
    """OCI has no availability for it, so the limit itself is asked for."""
    oracle.rooms.clear()
    oracle.values = {("gpu-h100-count", ONE): 8}
    (found,) = checked(config, large=changed(METAL, size=2)).findings
    assert (found.verdict, found.available) == ("short", None)
    assert "gpu-h100-count is 8: 8 too few" in found.text
    assert oracle.asked(path="limitValues")[0].query["compartmentId"] == PERSON["tenancy"]


@pytest.mark.processes
def test_a_shape_that_oci_does_not_list(oracle, config):
    """It is said, with the domain."""
    oracle.shapes.clear()
    (found,) = checked(config, small=ARGS).findings
    assert found.verdict == "not-offered"
    assert f"VM.GPU.A10.1 is not among the shapes that OCI lists in {ONE}" in found.text


@pytest.mark.processes
@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "OCI answered 401; check the key, and this machine's clock"),
        (403, "Allow group <g> to inspect resource-availability in tenancy"),
        (404, "Allow group <g> to inspect resource-availability in tenancy"),
        (429, "OCI answered 429; it was asked too often; try again in a minute"),
        (500, "OCI answered 500; try again later"),
    ],
)
def test_what_oci_refuses_is_a_reason(oracle, config, status, words):
    """Missing rights, throttling and faults of the service end nothing."""
    oracle.fail(status, times=9)
    assert words in checked(config, small=ARGS).reason


@pytest.mark.processes
def test_a_wrong_answer_is_a_reason(oracle, config):
    """Answers of another form end nothing either."""
    oracle.fail(200, times=9, body=b"<html>")
    assert "OCI's answer cannot be read" in checked(config, small=ARGS).reason


@pytest.mark.processes
def test_a_silent_service_costs_seconds(oracle, config, monkeypatch):
    """No longer than a question may take."""
    monkeypatch.setattr(limits_client, "REQUEST_SECONDS", 0.2)
    oracle.silent = True
    assert checked(config, small=ARGS).reason == "OCI was silent for 0.2 s"


@pytest.mark.processes
def test_nobody_there_is_a_reason(oracle, config, monkeypatch):
    """A closed port, as without a network."""
    monkeypatch.setattr(limits_client, "ENDPOINTS", dict.fromkeys(("limits", "iaas"), "http://127.0.0.1:9"))
    assert checked(config, small=ARGS).reason == "OCI cannot be reached (ConnectError)"


@pytest.mark.processes
def test_a_key_that_oci_does_not_know(oracle, config):
    """Signatures are really checked: a forgotten key is refused, and the reason names no part of it."""
    oracle.keys.clear()
    reason = checked(config, small=ARGS).reason
    assert reason.startswith("OCI answered 401")
    assert "aa:aa" not in reason


@pytest.mark.processes
def test_a_configuration_that_is_wrong_shows_nothing_of_itself(config, tmp_path):
    """Its key may be what is wrong."""
    (tmp_path / "key.pem").write_text("-----BEGIN secret-----")
    found = log_in(OCI, config)
    assert found.reason.startswith("logging in to OCI as api_key failed (")
    assert "secret" not in found.reason


@pytest.mark.processes
def test_plan_says_it_on_a_terminal_and_in_json(oracle, config, monkeypatch, project_root):
    """One line for each limit, `limits` for scripts; without credentials one line that it was not checked."""
    place = "Uocm:US-CHICAGO-1-AD-1"
    oracle.shapes[("BM.GPU.H100.8", place)] = ["gpu-h100-count"]
    oracle.rooms[("gpu-h100-count", place)] = {"used": 0, "available": 8}
    command = ["plan", "--stack", "oci-h100", "--cwd", str(project_root)]
    monkeypatch.setenv("OCI_CONFIG_FILE", config["OCI_CONFIG_FILE"])
    said = CliRunner().invoke(main, command, catch_exceptions=False).stdout
    assert f"service limit, too little: h100 2 x BM.GPU.H100.8 x 8 GPUs = 16 GPUs in {place};" in said
    (found,) = json.loads(CliRunner().invoke(main, [*command, "--json"]).stdout)["limits"]["findings"]
    assert (found["verdict"], found["needed"], found["available"]) == ("short", 16, 8)
    monkeypatch.setenv("OCI_CONFIG_FILE", config["OCI_CONFIG_FILE"] + "-none")
    said = CliRunner().invoke(main, command, catch_exceptions=False)
    assert said.stdout.count("service limits were not checked: there are no OCI credentials") == 1
    assert said.exit_code == 0


def test_a_stack_without_pools_asks_nothing():
    """The report says so, and nothing is printed."""
    assert judge((), Answers({}, {})) == LimitsReport()
