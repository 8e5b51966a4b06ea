"""Weights over TLS: the certificate is checked, and all else is as without it."""

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from fakes.connect_proxy import ConnectProxy
from fakes.object_server import Fault, ObjectServer
from weights.making import PART, SHARD, contents

from plinth_runtime.errors import SourceRefusedError

pytestmark = pytest.mark.processes


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """A key and a certificate for 127.0.0.1, signed by itself, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    end = now + timedelta(days=1)
    built = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, end)
    names = [x509.IPAddress(ip_address("127.0.0.1")), x509.DNSName("models.example")]
    built = built.add_extension(x509.SubjectAlternativeName(names), critical=False)
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    path = tmp_path_factory.mktemp("tls") / "tls.pem"
    text = key.private_bytes(pem, form, serialization.NoEncryption())
    path.write_bytes(text + built.sign(key, hashes.SHA256()).public_bytes(pem))
    return path


@pytest.fixture
def secure(published, certificate):
    """A server of the published model that speaks TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with ObjectServer(published.parent, tls=context) as server:
        yield server


def test_over_tls(secure, get, weights, certificate, monkeypatch):
    """A model arrives whole and verified over TLS, through a broken and a silent connection and a flipped bit."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    secure.faults = [Fault("short", SHARD, at=99), Fault("stall", SHARD, at=70000), Fault("flip", SHARD, at=PART)]
    result = get(f"{secure.address}/published")
    assert (result.state, contents(result.folder)) == ("verified", contents(weights))


def test_a_certificate_that_nobody_trusts(secure, get):
    """A server with an unknown certificate is refused at once, and is sent no request."""
    with pytest.raises(SourceRefusedError, match="its certificate is not trusted: self-signed certificate"):
        get(f"{secure.address}/published")
    assert not secure.requests


@pytest.fixture
def trusted(certificate, monkeypatch):
    """The certificate is trusted."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize(("name", "who"), [("https_proxy", ""), ("HTTPS_PROXY", "user:p%40ss@")])
def test_through_a_proxy_of_the_environment(secure, get, monkeypatch, name, who):
    """Other hosts are reached through the environment's proxy, which sees names only; NO_PROXY is respected."""
    port = int(secure.address.rpartition(":")[2])
    with ConnectProxy("127.0.0.1", port) as proxy:
        monkeypatch.setenv(name, proxy.address.replace("//", f"//{who}"))
        assert get("https://models.example/published").state == "verified"
        assert set(proxy.asked) == {("CONNECT", "models.example:443")}
        assert ("Proxy-Authorization: Basic dXNlcjpwQHNz" in proxy.headers) == bool(who)
        monkeypatch.setenv("no_proxy", "models.example")
        monkeypatch.setattr("plinth_runtime.weights.offer.ASK_PAUSE_SECONDS", 0.01)
        before = len(proxy.asked)
        with pytest.raises(SourceRefusedError):
            get("https://models.example/other")
        assert len(proxy.asked) == before
