"""From an address to an answering model: the server fetches its weights itself, with the real engine."""

import signal
import ssl

import pytest
import yaml
from fakes.certificates import certificate_pem, key_pem
from fakes.object_server import ObjectServer
from support.project import MODEL, ROOT, make_project

pytestmark = [pytest.mark.engine, pytest.mark.timeout(1800)]

KNOWN = "smollm2-135m-instruct"
"""As the catalogue calls it, which tells the plan what it takes."""

QUESTION = "What is the capital of France?"


@pytest.fixture
def store(tmp_path, monkeypatch):
    """A web server of the sample model, over TLS, whose certificate the server to be trusts."""
    path = tmp_path / "tls.pem"
    path.write_bytes(key_pem() + certificate_pem())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    with ObjectServer(ROOT / "models", tls=context) as server:
        yield server


@pytest.fixture
def project(tmp_path, store):
    """A project whose only model has an address and no store."""
    made = make_project(tmp_path / "project")
    spec = {
        "models": {KNOWN: {"storage": {"uri": f"{store.address}/{MODEL}"}}},
        "deployments": {MODEL: {"model": KNOWN, "port": made.port, "maxModelLen": 2048, "startupTimeout": 800}},
    }
    (made.folder / "stacks" / "Pulumi.local.yaml").write_text(yaml.safe_dump({"config": {"plinth:stack": spec}}))
    yield made
    made.plinth("down", "--yes", check=False)
    for process in made.processes():
        process.send_signal(signal.SIGKILL)


def test_a_model_with_an_address_is_fetched_and_served(project, store):
    """The plan says what it takes, `up` fetches, verifies and serves; the next `up` needs no store."""
    plan = project.plinth("plan").stdout
    assert f"from {store.address}/{MODEL} into" in " ".join(plan.split())
    assert "fetching weights" in project.plinth("up", "--yes", timeout=850).stdout
    assert any((project.folder / ".plinth/weights").rglob("*.safetensors"))
    assert "Paris" in project.plinth("ask", "--timeout", "120", QUESTION).stdout
    status = project.status()
    assert status["phase"] == "ready"
    bodies = len(store.bodies())
    project.plinth("down", "--yes")
    assert not project.run_dir.exists()
    project.plinth("up", "--yes", timeout=850)
    assert "Paris" in project.plinth("ask", "--timeout", "120", QUESTION).stdout
    assert len(store.bodies()) == bodies
