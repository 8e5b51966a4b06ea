"""Recordings of the Pulumi CLI, replayed: same registrations in, same provider calls, answers and state out."""
# ruff: noqa: D102 - stand-ins follow their protocol

import json
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from google.protobuf import json_format
from pulumi.runtime.proto import resource_pb2

from pulumi_plinth.embedded import registration, removal
from pulumi_plinth.embedded.crypto import PassphraseCrypter
from pulumi_plinth.embedded.deployment import Deployment, Run
from pulumi_plinth.embedded.events import Options, ignore
from pulumi_plinth.embedded.journal import Journal
from pulumi_plinth.embedded.monitor import MonitorService
from pulumi_plinth.embedded.project import Config, Project
from pulumi_plinth.embedded.provider import Plugin
from pulumi_plinth.embedded.providers import Providers
from pulumi_plinth.embedded.registration import Registrar
from pulumi_plinth.embedded.state import PROVIDER_PREFIX, SecretMemo, Snapshot, snapshot_from_json
from pulumi_plinth.embedded.values import Secret

sys.path.insert(0, str(Path(__file__).parent.parent / "fakes"))
from recorded_provider import RecordedProvider, read_trace

sys.path.pop(0)
FIRST_ID = "abb7772a-b9c5-43bc-8f6e-ae2ac24d409a"
SECOND_ID = "393e734c-6040-4513-9369-0b403a8084cc"
DYNAMIC = "urn:pulumi:dev::trace::pulumi:providers:pulumi-python::default"


class Child:
    """No process: the recording answers."""

    def stop(self):
        pass

    def wait(self, _timeout):
        return 0


class Host:
    """Hands out connections to a recorded provider."""

    engine_address = "127.0.0.1:1"

    def __init__(self, port):
        self._port = port

    def start(self, package, version):
        return Plugin(package, Child(), self._port, Path())


class Context:
    """A gRPC context whose abort raises."""

    def abort(self, code, details):
        raise RuntimeError(details)


class Replay:
    """One recording, replayed on a state."""

    def __init__(self, calls, base, monkeypatch):
        self.calls, self.provider = calls, RecordedProvider(calls)
        self.config = _config(calls)
        dry_run = any(c["response"].get("dryRun") for c in calls if c["method"].endswith("GetDeploymentInfo"))
        name = "k8strace" if any("k8strace" in json.dumps(c) for c in calls) else "trace"
        project = Project(name, Path("/project"), Path("/project"), Path("/project"))
        run = Run(project, "dev", self.config, Options(), ignore, lambda *_: {}, dry_run)
        self.saved = []
        self.journal = Journal(base, self.saved.append)
        self.deployment = Deployment(run, self.journal)
        ids = [r["id"] for urn in self.provider.recorded for m, r in self.provider.recorded[urn] if m == "Configure"]
        monkeypatch.setattr(registration.uuid, "uuid4", lambda: ids[0])

    def __enter__(self):
        self._server, port = self.provider.serve()
        self.providers = Providers(self.deployment, Host(port))
        self.registrar = Registrar(self.deployment, self.providers)
        self.monitor = MonitorService(self.deployment, self.registrar, self.providers)
        return self

    def __exit__(self, *_):
        self.providers.close()
        self._server.stop(0).wait()

    def register(self, request):
        """Send one recorded registration; returns the answer."""
        message = json_format.ParseDict(request, resource_pb2.RegisterResourceRequest(), ignore_unknown_fields=True)
        return json_format.MessageToDict(self.monitor.RegisterResource(message, Context()))

    def up(self):
        """Send all registrations and outputs, comparing each answer, then delete what is left over."""
        for call in self.calls:
            if call["method"] == "ResourceMonitor/RegisterResource":
                assert self.register(call["request"]) == call["response"], call["request"]["name"]
            elif call["method"] == "ResourceMonitor/RegisterResourceOutputs":
                request = resource_pb2.RegisterResourceOutputsRequest()
                self.monitor.RegisterResourceOutputs(json_format.ParseDict(call["request"], request), Context())
        removal.remove(self.deployment, self.providers, set(self.registrar.done))
        return self.journal.snapshot()

    def assert_same_calls(self):
        """Every recorded provider call was made, with the recorded request, in the recorded order of its resource.

        And every checkpoint on the way was one which the Pulumi CLI accepts.
        """
        self.providers.close()
        for snapshot in self.saved:
            _assert_integrity(snapshot)
        assert self.provider.asked.keys() == self.provider.recorded.keys()
        for urn, recorded in self.provider.recorded.items():
            asked = [call for call in self.provider.asked[urn] if urn or call[0] != "Cancel"]
            assert asked == [call for call in recorded if urn or call[0] != "Cancel"], urn


def _assert_integrity(snapshot):
    """What the Pulumi CLI verifies on loading: references point backwards, and a URN lives once."""
    seen, references = set(), set()
    for resource in snapshot.resources:
        assert resource.references() <= seen, resource.urn
        assert not resource.provider or resource.provider in references, resource.urn
        assert resource.delete or resource.urn not in seen, resource.urn
        seen.add(resource.urn)
        references.add(resource.reference)


def _config(calls):
    info = next((c["response"] for c in calls if c["method"].endswith("GetDeploymentInfo")), {})
    return Config(info.get("config", {}), frozenset(info.get("configSecretKeys", ())))


@pytest.fixture(scope="module")
def recorded_state():
    """Read a recorded checkpoint of the Pulumi CLI."""
    # A key takes a third of a second.
    crypter = cache(lambda salt: PassphraseCrypter("x", salt))

    def read(name):
        document = json.loads((Path(__file__).parent / "traces" / name).read_text())
        salt = document["checkpoint"]["latest"]["secrets_providers"]["state"]["salt"]
        return snapshot_from_json(document, SecretMemo(lambda: crypter(salt)), name)

    return read


@pytest.fixture
def replay(traces, monkeypatch):
    """Make a replay of a recording on a state."""

    def make(name, base=None):
        (path,) = traces.glob(f"{name}-*.jsonl")
        return Replay(read_trace(path), base or Snapshot(), monkeypatch)

    return make


def _states(snapshot):
    """Resources without dates, by URN."""
    plain = {"created": "", "modified": "", "source_position": "", "stack_trace": ()}
    return {r.urn: replace(r, **plain) for r in snapshot.resources}


def _with_config(snapshot, config, provider_id=FIRST_ID):
    """The state as the Pulumi CLI left it under another configuration of the default provider."""
    resources = []
    for resource in snapshot.resources:
        if resource.urn == DYNAMIC:
            values = {k: Secret(v) if k in config.secret_keys else v for k, v in config.values.items()}
            resource = replace(resource, id=provider_id, inputs=values, outputs=values)  # noqa: PLW2901
        elif resource.provider:
            resource = replace(resource, provider=f"{DYNAMIC}::{provider_id}")  # noqa: PLW2901
        resources.append(resource)
    return replace(snapshot, resources=tuple(resources))


def _configured(calls):
    """The configuration which a recorded Configure call carried."""
    variables = next(c["request"]["variables"] for c in calls if c["method"] == "ResourceProvider/Configure")
    prefix = "pulumi-python:config:"
    return Config({k.removeprefix(prefix): v for k, v in variables.items()}, frozenset({"trace:content"}))


def test_preview_calls_no_create(replay):
    """The first preview checks every resource, creates none, and answers with what is known."""
    with replay("01") as run:
        run.up()
        run.assert_same_calls()
        assert not any(method == "Create" for method, _ in run.provider.order)


def test_creation_gives_the_recorded_state(replay, recorded_state):
    """The first update leaves the same checkpoint as the Pulumi CLI."""
    with replay("02") as run:
        after = run.up()
        run.assert_same_calls()
    assert _states(after) == _states(recorded_state("state-after-create.json"))
    assert not after.pending


def test_nothing_to_do_writes_nothing(replay, recorded_state):
    """An unchanged program asks Check and Diff of every resource and leaves the state file alone."""
    with replay("03", recorded_state("state-after-create.json")) as run:
        run.up()
        run.assert_same_calls()
        assert not run.journal.changed
        assert run.deployment.counts == {"same": 5}


def test_chain_of_updates(replay, recorded_state):
    """Update, replacement, and replacement that deletes first, each on the state the one before left."""
    state = recorded_state("state-after-create.json")
    for name, counts in (
        ("04", {"same": 3, "update": 2}),
        ("05", {"same": 3, "update": 1, "replace": 1}),
        ("06", {"same": 3, "update": 1, "replace": 1}),
    ):
        with replay(name, state) as run:
            state = run.up()
            run.assert_same_calls()
            assert run.deployment.counts == counts
            assert not any(resource.delete for resource in state.resources)
    order = [method for method, urn in run.provider.order if urn.endswith("::pair-b")]
    assert order == ["Check", "Diff", "Check", "Delete", "Create"]


def _failing(replay, recorded_state):
    """Recording 07 has no answer for the failing registration: take that of 08 with the failing content."""
    run = replay("07", None)
    before = {**run.config.values, "trace:a": "out/a.txt", "trace:content": "hello"}
    base = _with_config(recorded_state("state-after-create.json"), Config(before, run.config.secret_keys), SECOND_ID)
    (failed,) = [
        c["request"]
        for c in replay("08").calls
        if c["method"] == "ResourceMonitor/RegisterResource" and c["request"]["name"] == "pair-a"
    ]
    failed["object"]["content"]["value"] = "fail"
    run = replay("07", base)
    run.calls.append({"method": "ResourceMonitor/RegisterResource", "request": failed, "response": {}})
    return run


def test_failing_create_gives_the_recorded_state(replay, recorded_state):
    """A create that raises is one failure with its URN and message, and leaves the Pulumi CLI's state."""
    with _failing(replay, recorded_state) as run:
        with pytest.raises(RuntimeError, match="stopped"):
            run.up()
        run.assert_same_calls()
        (failure,) = run.deployment.failures
    assert failure.urn.endswith("::pair-a")
    assert "says" in failure.message
    assert "Traceback" not in failure.message
    assert _states(run.journal.snapshot()) == _states(recorded_state("state-after-fail.json"))


def test_recovery_then_refresh_then_recreation(replay, recorded_state):
    """The next run finishes the replacement; a vanished resource is dropped by refresh and made again by up."""
    with replay("08", recorded_state("state-after-fail.json")) as run:
        state = run.up()
        run.assert_same_calls()
    with replay("09", state) as run:
        removal.refresh(run.deployment, run.providers)
        run.assert_same_calls()
        state = run.journal.snapshot()
    assert not any(resource.name == "solo" for resource in state.resources)
    with replay("10", state) as run:
        state = run.up()
        run.assert_same_calls()
        assert run.deployment.counts == {"same": 4, "create": 1}
    _destroy(replay, state)


def _destroy(replay, state):
    with replay("11", state) as run:
        config = _configured(run.calls)
    state = _with_config(state, config, SECOND_ID)
    protected = [replace(r, protect=r.name == "solo") for r in state.resources]
    with replay("11", replace(state, resources=tuple(protected))) as run:
        removal.remove(run.deployment, run.providers, set())
        run.assert_same_calls()
        assert [f.urn.rpartition("::")[2] for f in run.deployment.failures] == ["solo"]
        left = {resource.name for resource in run.journal.snapshot().resources}
    assert left == {"trace-dev", "default", "solo"}
    with replay("12", _with_config(state, _configured(replay("12").calls), SECOND_ID)) as run:
        removal.remove(run.deployment, run.providers, set())
        run.assert_same_calls()
        deleted = [urn.rpartition("::")[2] for method, urn in run.provider.order if method == "Delete"]
        assert deleted == ["pair-b", "pair-a", "solo"]
        assert run.journal.snapshot().resources == ()


def test_kubernetes_from_preview_to_destroy(replay):
    """An explicit provider, its CRD, an immutable ConfigMap, a Secret: the recorded calls, from preview to destroy."""
    with replay("20") as run:
        run.up()
        run.assert_same_calls()
    state = Snapshot()
    for name, counts in (("21", {"create": 7}), ("22", {"same": 7}), ("23", {"same": 5, "replace": 1, "update": 1})):
        with replay(name, state) as run:
            state = run.up()
            run.assert_same_calls()
            assert run.deployment.counts == counts
    keys = next(r for r in state.resources if r.name == "keys")
    assert keys.additional_secret_outputs == ("data", "stringData")
    assert isinstance(keys.outputs["data"], Secret)
    assert next(r for r in state.resources if r.is_provider).type == PROVIDER_PREFIX + "kubernetes"
    with replay("24", state) as run:
        removal.remove(run.deployment, run.providers, set())
        run.assert_same_calls()
        assert run.journal.snapshot().resources == ()
