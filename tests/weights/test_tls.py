"""Weights over TLS: the certificate is checked, and all else is as without it; with OpenSSL called, and with `ssl`."""

import signal
import socket
import ssl
import threading
import time
from contextlib import contextmanager
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
from plinth_runtime.weights.sources import RefusedError, TransientError, tls, wire
from plinth_runtime.weights.sources.answers import Wanted
from plinth_runtime.weights.sources.wire import Wire, WireSettings

pytestmark = pytest.mark.processes

DAY = timedelta(days=1)
GONE_SECONDS = 5
"""Only guards against hanging."""


@pytest.fixture(autouse=True, params=["openssl", "ssl"])
def way(request, monkeypatch):
    """Which of the two speaks TLS."""
    if request.param == "ssl":
        monkeypatch.setattr(tls, "_openssl", lambda: None)
    elif tls._openssl() is None:
        pytest.skip("this Python has no libssl.so.3 of its system")
    wire._default_tls.cache_clear()
    yield request.param
    wire._default_tls.cache_clear()


def make_certificate(path, end):
    """A key and a certificate for 127.0.0.1 and models.example until `end`, signed by itself, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    built = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), end - 9 * DAY, end)
    names = [x509.IPAddress(ip_address("127.0.0.1")), x509.DNSName("models.example")]
    built = built.add_extension(x509.SubjectAlternativeName(names), critical=False)
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    text = key.private_bytes(pem, form, serialization.NoEncryption())
    path.write_bytes(text + built.sign(key, hashes.SHA256()).public_bytes(pem))
    return path


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """One that is valid today."""
    return make_certificate(tmp_path_factory.mktemp("tls") / "tls.pem", datetime.now(UTC) + DAY)


@contextmanager
def talking(certificate, talk, version=None, host="127.0.0.1"):
    """A server that says what `talk` has it say on each secured connection; gives its address."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    if version:
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = context.maximum_version = version

    def serve():
        try:
            while True:
                line, _ = door.accept()
                try:
                    with context.wrap_socket(line, server_side=True) as connection:
                        connection.recv(4096)
                        talk(connection)
                except OSError:
                    continue
        except OSError:
            return

    with socket.create_server((host, 0)) as door:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"https://{host}:{door.getsockname()[1]}/x"
        door.shutdown(socket.SHUT_RDWR)
    thread.join(GONE_SECONDS)


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


@pytest.mark.usefixtures("trusted")
def test_another_name(secure):
    """A certificate for other names is refused, whoever signed it."""
    with pytest.raises(RefusedError, match=r"(?i)not trusted: hostname mismatch"):
        Wire().head(secure.address.replace("127.0.0.1", "localhost"))


@pytest.mark.usefixtures("trusted")
def test_another_address(certificate):
    """So is one for another address of this machine."""
    refused = pytest.raises(RefusedError, match=r"(?i)not trusted: ip address mismatch")
    with talking(certificate, lambda _: None, host="127.0.0.2") as address, refused:
        Wire().head(address)


def test_an_expired_certificate(tmp_path, monkeypatch):
    """A certificate of yesterday is refused."""
    expired = make_certificate(tmp_path / "tls.pem", datetime.now(UTC) - DAY)
    monkeypatch.setenv("SSL_CERT_FILE", str(expired))
    with talking(expired, lambda _: None) as address, pytest.raises(RefusedError, match="certificate has expired"):
        Wire().head(address)


@pytest.mark.usefixtures("trusted")
@pytest.mark.filterwarnings("ignore:.*TLSv1_1 is deprecated:DeprecationWarning")
def test_an_old_protocol(certificate):
    """TLS 1.1 is not spoken."""
    with talking(certificate, lambda _: None, ssl.TLSVersion.TLSv1_1) as address, pytest.raises(TransientError):
        Wire().head(address)


@pytest.mark.usefixtures("trusted")
def test_tls_1_2(certificate):
    """TLS 1.2 is."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    with talking(certificate, lambda line: line.sendall(answer), ssl.TLSVersion.TLSv1_2) as address:
        assert Wire().get_small(address) == b"ok"


def test_no_handshake():
    """A server that accepts and is silent is given up after the time to connect, one that hangs up at once."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        address = f"https://127.0.0.1:{door.getsockname()[1]}/x"
        with pytest.raises(TransientError, match="timed out"):
            Wire(WireSettings(connect_seconds=0.2)).head(address)
        hang_up = threading.Thread(target=lambda: [door.accept()[0].close() for _ in range(2)], daemon=True)
        hang_up.start()
        with pytest.raises(TransientError):
            Wire().head(address)


def body_of(address, size, settings=None):
    """One range of so many bytes, asked for; and its connection."""
    line = Wire(settings)
    return line, line.get_range(address, Wanted("x", size, 0, size))


def answers(*pieces, pause=0.0, size=None):
    """A talk: the whole of these pieces as an answer, a pause before each; more is announced if `size` says so."""

    def talk(line):
        size_told = size or sum(map(len, pieces))
        line.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {size_told}\r\n\r\n".encode())
        for piece in pieces:
            time.sleep(pause)
            line.sendall(piece)

    return talk


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("step", [1000, 4096, 4097, 70_000, 1 << 20])
def test_every_byte_in_its_place(certificate, step):
    """Records of odd sizes, read in pieces of any size, the last one too."""
    pieces = [bytes([number % 251]) * (number * 977 % 40_000) for number in range(1, 60)]
    whole = b"".join(pieces)
    with talking(certificate, answers(*pieces)) as address:
        line, body = body_of(address, len(whole))
        got, buffer = bytearray(), memoryview(bytearray(step))
        while count := body.readinto(buffer):
            got += buffer[:count]
        line.close()
    assert bytes(got) == whole
    assert body.is_drained


@pytest.mark.usefixtures("trusted")
def test_a_signal_comes_between(certificate):
    """A process that is signalled while it waits for bytes waits on."""
    seen, done, main = [], threading.Event(), threading.main_thread().ident
    before = signal.signal(signal.SIGUSR1, lambda *_: seen.append(1))

    def disturb():
        while not done.wait(0.005):
            signal.pthread_kill(main, signal.SIGUSR1)

    thread = threading.Thread(target=disturb)
    try:
        with talking(certificate, answers(*[b"x" * 9000] * 20, pause=0.02)) as address:
            thread.start()
            line, body = body_of(address, 180_000)
            got, buffer = 0, memoryview(bytearray(1 << 20))
            while count := body.readinto(buffer):
                got += count
            line.close()
    finally:
        done.set()
        thread.join()
        signal.signal(signal.SIGUSR1, before)
    assert got == 180_000
    assert len(seen) > 10


@pytest.mark.usefixtures("trusted")
def test_silence_and_a_cut(certificate):
    """Where nothing comes any more the wait ends by its limit, or at once when another thread cuts it."""
    stay = threading.Event()

    def talk(line):
        answers(b"x" * 50_000, size=100_000)(line)
        stay.wait(GONE_SECONDS)

    def read_all(body):
        buffer = memoryview(bytearray(1 << 20))
        while body.readinto(buffer):
            continue
        raise TransientError("the body ended")

    try:
        with talking(certificate, talk) as address:
            line, body = body_of(address, 100_000, WireSettings(silence_seconds=0.2))
            with pytest.raises(TransientError, match="timed out"):
                read_all(body)
            line.close()
            stay.set()
            stay.clear()
            line, body = body_of(address, 100_000)
            threading.Timer(0.2, line.abort).start()
            begun = time.monotonic()
            with pytest.raises(TransientError):
                read_all(body)
            assert time.monotonic() - begun < GONE_SECONDS
            line.close()
            stay.set()
    finally:
        stay.set()


@pytest.mark.usefixtures("trusted")
def test_a_closed_connection(certificate):
    """Who reads from a connection that is closed is told so."""
    with talking(certificate, answers(b"x" * 50_000)) as address:
        line, body = body_of(address, 50_000)
        buffer = memoryview(bytearray(40_000))
        body.readinto(buffer)
        line.close()
        with pytest.raises(TransientError):
            body.readinto(buffer)


def test_which_library(way):
    """Where Python has its system's OpenSSL 3, that is called."""
    assert isinstance(tls.default_context(), tls.TlsContext) == (way == "openssl")
