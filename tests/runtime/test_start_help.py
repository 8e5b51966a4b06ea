"""What makes a start quicker or its first request: compiled code that was kept, a request ahead of all others."""

import pytest
from fakes.object_server import FOREVER, Fault, ObjectServer

from plinth_runtime.weights.publish import PublishOptions, publish
from plinth_runtime.weights.sources.opening import open_store

pytestmark = pytest.mark.processes


def test_what_was_compiled_outlives_the_server(start_agent, launch_document, tmp_path, until):
    """The second start finds it; a spoilt one is not used, and the server starts all the same."""
    launch_document["engine"]["cache"] = str(tmp_path / "cache")
    seen = []
    for number in range(3):
        agent = start_agent(arguments=("--log-file", str(tmp_path / "run.log")))
        agent.wait_phase("ready")
        until(lambda: list((tmp_path / "cache").glob("*.tar")))
        agent.send()
        assert agent.wait() == 0
        text = (tmp_path / "run.log").read_text()
        seen.append(text.rpartition("Compiled code: ")[2].splitlines()[0])
        if number == 1:
            (bundle,) = (tmp_path / "cache").glob("*.tar")
            bundle.write_bytes(b"spoilt" * 1000)
    assert seen == ["none", "of an earlier start", "none"]
    assert "cache: not used: " in text


def test_warm_before_it_is_shown(start_agent, launch_document, tmp_path, until):
    """With a warm-up the first request is ours: as long as it is not answered, nobody is let in."""
    launch_document["lifecycle"]["warmUp"] = True
    agent = start_agent("busy")
    until((tmp_path / "probes").exists)
    assert agent.status()["phase"] != "ready"
    assert agent.get("/readyz")[0] == 503


@pytest.fixture
def fetched(launch_document, make_model, tmp_path):
    """A store whose model the launch fetches; it gives its first bytes when it is told to."""
    root = make_model(tmp_path / "published", manifest=False)
    publish(root, open_store(str(root)), PublishOptions(), lambda _: None)
    with ObjectServer(root) as server:
        launch_document["model"] |= {"folder": str(tmp_path / "fetched"), "source": {"uri": server.address}}
        yield server


def test_imports_do_not_wait_for_the_weights(fetched, start_agent, tmp_path, until):
    """While weights come the engine imports; it loads them when they are there, and counts as started once."""
    agent = start_agent()
    until((tmp_path / "early").exists)
    assert agent.status()["phase"] in {"fetching", "verifying", "starting", "loading", "ready"}
    status = agent.wait_phase("ready")
    assert status["restarts"] == 0
    assert (tmp_path / "starts").read_text() == "1"
    agent.send()
    assert agent.wait() == 0
    assert not agent.run_dir.start.exists()


def test_an_early_engine_that_dies_is_no_fault(fetched, start_agent, tmp_path):
    """It is started again when the weights are there; only then its end would count."""
    status = start_agent("early").wait_phase("ready")
    assert status["restarts"] == 0
    assert status["lastEnd"] is None
    assert (tmp_path / "early").exists()


def test_an_early_engine_goes_with_its_agent(fetched, start_agent, engine_processes, tmp_path, until):
    """Ended while weights come, nothing stays behind; neither when they do not come."""
    fetched.faults = [Fault("stall", "safetensors", times=FOREVER, at=9)]
    agent = start_agent()
    until((tmp_path / "early").exists)
    assert engine_processes()
    agent.send()
    assert agent.wait() == 0
    assert not engine_processes()
