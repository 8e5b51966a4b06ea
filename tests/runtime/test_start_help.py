"""What makes a start quicker or its first request: compiled code that was kept, a request ahead of all others."""

import pytest

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
