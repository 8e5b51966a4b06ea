"""Stand-ins for the services that give OCI's tokens: to a pod of an enhanced cluster, and to an instance."""

import base64
import json
import time

import jwt
from cryptography.hazmat.primitives import serialization
from fakes.certificates import certificate_pem, key_pem
from fakes.store_server import Answer, StoreServer

POD_PORT = 12250
TOKEN_SECONDS = 1200
SECRET = "of the service, long enough for its algorithm"


class TokenService(StoreServer):
    """Issues tokens for public keys, and tells an object storage to trust them."""

    def __init__(self, storage, **options):
        super().__init__(**options)
        self.storage = storage
        self.seconds = TOKEN_SECONDS
        self.issued = []

    def issue(self, public_key_text):
        """Give a token for a public key, base64 of DER."""
        now = int(time.time())
        claims = {"iat": now, "exp": now + self.seconds, "jti": str(len(self.issued))}
        claims |= {"res_tenant": "ocid1.tenancy.oc1..t", "res_compartment": "ocid1.compartment.oc1..c"}
        token = jwt.encode(claims, SECRET, algorithm="HS256")
        key = serialization.load_der_public_key(base64.b64decode(public_key_text))
        self.storage.keys[f"ST${token}"] = key
        self.issued.append(token)
        return token


class FakePodTokens(TokenService):
    """`/resourcePrincipalSessionTokens` of a cluster: a pod's key and service account for a token."""

    def __init__(self, storage, tls, host, account_token):
        super().__init__(storage, tls=tls, host=host, port=POD_PORT)
        self.account_token = account_token

    def answer(self, asked):
        """Exchange."""
        assert (asked.method, asked.path) == ("POST", "/resourcePrincipalSessionTokens")
        if asked.headers.get("authorization") != f"Bearer {self.account_token}":
            return Answer(403, b"{}")
        token = self.issue(json.loads(asked.body)["podKey"])
        return Answer(200, base64.b64encode(json.dumps({"token": f"ST${token}"}).encode()))


class FakeInstance(TokenService):
    """An instance's metadata, and the federation that takes its certificate."""

    def answer(self, asked):
        """Answer both."""
        if asked.path == "/v1/x509":
            assert 'keyId="ocid1.tenancy.oc1..t/fed-x509' in asked.headers["authorization"]
            token = self.issue(json.loads(asked.body)["publicKey"])
            return Answer(200, json.dumps({"token": token}).encode(), {"Content-Type": "application/json"})
        if asked.headers.get("authorization") != "Bearer Oracle":
            return Answer(401)
        certificate = certificate_pem("instance", unit="opc-tenant:ocid1.tenancy.oc1..t")
        texts = {"region": b"phx", "cert.pem": certificate, "key.pem": key_pem(), "intermediate.pem": certificate}
        return Answer(200, texts[asked.path.rpartition("/")[2]])
