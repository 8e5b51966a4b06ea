"""Who signs for OCI: the choice as a table, and each way with OCI's own library against stand-ins."""

import base64
import time

import jwt
import oci
import pytest
from cryptography.hazmat.primitives import serialization
from fakes.certificates import key_pem, own_address, private_key, server_tls
from fakes.oci_object_storage import FakeObjectStorage, Stored
from fakes.oci_tokens import SECRET, FakeInstance, FakePodTokens

from plinth_runtime.weights.sources import RefusedError, TransientError
from plinth_runtime.weights.sources.oci import OciAccount, OciFolder, OciPlace
from plinth_runtime.weights.sources.oci_signers import choose_method, find_identity

ADDRESS = "oci://n/ns/b/models/o/llama"
SHARD = bytes(range(256)) * 10
ACCOUNT = jwt.encode({"exp": int(time.time()) + 3600}, SECRET, algorithm="HS256")
PASSPHRASE = "hunter2"
PERSON = {"user": "ocid1.user.oc1..u", "tenancy": "ocid1.tenancy.oc1..t", "fingerprint": ":".join(["aa"] * 16)}


@pytest.fixture
def storage(monkeypatch):
    """A bucket with one model, and no identity in the environment."""
    for name in ("OCI_CLI_AUTH", "OCI_CONFIG_FILE", "OCI_REGION", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    with FakeObjectStorage() as server:
        server.objects = {"llama/model.safetensors": Stored(SHARD)}
        yield server


@pytest.fixture
def write_config(tmp_path):
    """A function that writes a configuration file and returns its path."""

    def write(key, **values):
        (tmp_path / "key.pem").write_bytes(key)
        rows = {**PERSON, "key_file": tmp_path / "key.pem", "region": "us-phoenix-1", **values}
        (tmp_path / "config").write_text("\n".join(["[DEFAULT]", *(f"{name}={value}" for name, value in rows.items())]))
        return str(tmp_path / "config")

    return write


@pytest.fixture
def pod(storage, tmp_path, monkeypatch):
    """A pod of an enhanced cluster: environment, mounted account, and the service that gives tokens."""
    host = own_address()
    tls, certificate = server_tls(tmp_path, host)
    (tmp_path / "account").write_text(ACCOUNT)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    monkeypatch.setenv("OCI_RESOURCE_PRINCIPAL_VERSION", "2.2")
    monkeypatch.setenv("OCI_RESOURCE_PRINCIPAL_REGION", "us-phoenix-1")
    monkeypatch.setenv("OCI_KUBERNETES_SERVICE_ACCOUNT_CERT_PATH", str(certificate))
    with FakePodTokens(storage, tls, host, ACCOUNT) as server:
        account = {"OCI_KUBERNETES_SERVICE_ACCOUNT_TOKEN_PATH": str(tmp_path / "account")}
        server.environment = {"OCI_CLI_AUTH": "oke_workload_identity", **account}
        yield server


@pytest.fixture
def instance(storage, monkeypatch):
    """An instance: its metadata, and the federation that its region has."""
    with FakeInstance(storage) as server:
        monkeypatch.setenv("OCI_METADATA_BASE_URL", f"{server.address}/opc/v2")
        monkeypatch.setattr(oci.regions, "endpoint_for", lambda *_, **__: server.address)
        yield server


def folder(storage, environment):
    """The model as somebody sees it."""
    return OciFolder(OciPlace.read(ADDRESS), OciAccount({"PLINTH_OCI_ENDPOINT": storage.address, **environment}))


def names(source):
    """What is listed."""
    return [row.name for row in source.list_objects().objects]


@pytest.mark.parametrize(
    ("environment", "has_config", "method"),
    [
        ({}, True, "api_key"),
        ({}, False, "instance_principal"),
        ({"OCI_CLI_AUTH": "instance_principal"}, True, "instance_principal"),
        ({"OCI_CLI_AUTH": "security_token", "OCI_RESOURCE_PRINCIPAL_RPST": "x"}, True, "security_token"),
        ({"OCI_RESOURCE_PRINCIPAL_VERSION": "2.2", "OCI_RESOURCE_PRINCIPAL_RPST": "x"}, True, "resource_principal"),
        ({"OCI_RESOURCE_PRINCIPAL_VERSION": "2.2", "KUBERNETES_SERVICE_HOST": "h"}, True, "oke_workload_identity"),
        ({"OCI_RESOURCE_PRINCIPAL_VERSION": "2.2"}, False, "instance_principal"),
        ({"KUBERNETES_SERVICE_HOST": "h"}, True, "api_key"),
    ],
)
def test_the_order_of_identities(environment, has_config, method):
    """What is named is taken; else the first that fits, in the documented order."""
    assert choose_method(environment, has_config=has_config) == method


def test_an_unknown_way_is_refused():
    """A name that is no way of signing is answered with those that are."""
    with pytest.raises(RefusedError, match="OCI_CLI_AUTH is 'apikey'; write one of api_key, security_token"):
        choose_method({"OCI_CLI_AUTH": "apikey"}, has_config=True)


@pytest.mark.parametrize("passphrase", [None, PASSPHRASE])
def test_behaviour_18_a_configuration_file_signs(storage, write_config, passphrase):
    """A person's key signs, with a passphrase too."""
    encryption = serialization.BestAvailableEncryption(PASSPHRASE.encode())
    locked = private_key().private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    path = write_config(locked, pass_phrase=passphrase) if passphrase else write_config(key_pem())
    storage.keys[f"{PERSON['tenancy']}/{PERSON['user']}/{PERSON['fingerprint']}"] = private_key().public_key()
    assert names(folder(storage, {"OCI_CONFIG_FILE": path})) == ["model.safetensors"]


def test_behaviour_18_a_session_signs(storage, write_config, tmp_path):
    """A session's token beside its key signs."""
    (tmp_path / "token").write_text("the-token\n")
    path = write_config(key_pem(), security_token_file=tmp_path / "token")
    storage.keys["ST$the-token"] = private_key().public_key()
    assert names(folder(storage, {"OCI_CONFIG_FILE": path})) == ["model.safetensors"]


def test_behaviour_18_a_resource_principal_signs(storage, monkeypatch, tmp_path):
    """A token that lies in a file signs; when the file is replaced before the token ends, so is the signer's."""

    def token(number, seconds):
        claims = {"exp": int(time.time()) + seconds, "n": number, "res_tenant": "t", "res_compartment": "c"}
        text = jwt.encode(claims, SECRET, algorithm="HS256")
        (tmp_path / "rpst").write_text(text)
        storage.keys[f"ST${text}"] = private_key().public_key()
        return text

    first = token(1, 50)
    (tmp_path / "key").write_bytes(key_pem())
    monkeypatch.setenv("OCI_RESOURCE_PRINCIPAL_VERSION", "2.2")
    monkeypatch.setenv("OCI_RESOURCE_PRINCIPAL_RPST", str(tmp_path / "rpst"))
    monkeypatch.setenv("OCI_RESOURCE_PRINCIPAL_PRIVATE_PEM", str(tmp_path / "key"))
    monkeypatch.setenv("OCI_RESOURCE_PRINCIPAL_REGION", "us-phoenix-1")
    source = folder(storage, {"OCI_RESOURCE_PRINCIPAL_RPST": "given"})
    assert names(source) == ["model.safetensors"]
    token(2, 3600)
    storage.forgotten.add(f"ST${first}")
    assert names(source) == ["model.safetensors"]


def test_behaviour_18_a_workload_signs_and_its_token_is_renewed(storage, pod, stream):
    """A pod's key and account become a token; when it ends in the middle of an object, no part fails."""
    pod.seconds = -10
    source = folder(storage, pod.environment)
    target = source.list_objects().objects[0]
    session = stream(source)
    session.open_range(target, 0, 10).close()
    storage.forgotten.update(f"ST${token}" for token in pod.issued)
    pod.seconds = 1200
    for start in (10, 20, 30):
        session.open_range(target, start, 10).close()
    assert f"ST${pod.issued[-1]}" not in storage.forgotten
    assert f"ST${pod.issued[-2]}" in storage.forgotten


def test_behaviour_18_an_instance_signs(storage, instance):
    """An instance's certificate becomes a token; its region is known."""
    source = folder(storage, {"OCI_CLI_AUTH": "instance_principal"})
    assert names(source) == ["model.safetensors"]
    assert (len(instance.issued), source._account.identity.region) == (1, "us-phoenix-1")


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        ({"key_file": "/no/such/key.pem"}, RefusedError, "signing for OCI as api_key: .*key"),
        ({"fingerprint": "short"}, RefusedError, "api_key: InvalidConfig: .*fingerprint.*malformed"),
        ({"pass_phrase": PASSPHRASE, "key": b"nonsense"}, RefusedError, "api_key: InvalidPrivateKey"),
    ],
)
def test_faults_of_a_configuration_file(write_config, change, kind, words):
    """What is wrong in the file is named; no key or passphrase is."""
    path = write_config(change.pop("key", key_pem()), **change)
    with pytest.raises(kind, match=words) as fault:
        find_identity({"OCI_CONFIG_FILE": path})
    assert PASSPHRASE not in str(fault.value)
    assert "PRIVATE KEY" not in str(fault.value)


def test_a_missing_profile_is_named(write_config):
    """A profile that is not in the file is named with the file."""
    path = write_config(key_pem())
    with pytest.raises(RefusedError, match="ProfileNotFound: Profile 'NO'"):
        find_identity({"OCI_CONFIG_FILE": path, "OCI_CLI_PROFILE": "NO"})
    with pytest.raises(RefusedError, match=r"profile DEFAULT .* has no security_token_file"):
        find_identity({"OCI_CONFIG_FILE": path, "OCI_CLI_AUTH": "security_token"})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("status", "kind"), [(401, RefusedError), (403, RefusedError), (429, TransientError), (500, TransientError)]
)
def test_refused_tokens(storage, pod, status, kind):
    """A workload without a token is refused at once, or tried again, without showing its account."""
    pod.fail(status, times=9)
    with pytest.raises(kind, match=f"as oke_workload_identity: OCI answered {status}") as fault:
        find_identity(pod.environment)
    assert ACCOUNT not in str(fault.value)
    assert len(pod.log) == 1


def test_tokens_that_are_none(storage, pod):
    """An answer that is no token is told as such, and not shown."""
    pod.fail(200, body=base64.b64encode(b'{"token": "ST$nonsense"}'))
    with pytest.raises(RefusedError, match="what should be a token is none") as fault:
        find_identity(pod.environment)
    assert "nonsense" not in str(fault.value)


def test_no_instance(monkeypatch):
    """Where no metadata answers, the advice is how to sign otherwise."""
    monkeypatch.setenv("OCI_METADATA_BASE_URL", "http://127.0.0.1:9/opc/v2")
    with pytest.raises(TransientError, match="nothing answers for instances here; set OCI_CLI_AUTH"):
        find_identity({"OCI_CLI_AUTH": "instance_principal"})
