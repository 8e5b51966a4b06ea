"""Keys, certificates and kubeconfigs of one cluster: one authority, a server, a client for kubelets, tokens for all.

Everything lives as long as the cluster's folder and is worth nothing outside it.
"""

import datetime as dt
import ipaddress
import json
import secrets

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAYS = 30
SERVER_NAMES = ["localhost", *("kubernetes.default.svc.cluster.local".rsplit(".", count)[0] for count in range(5))]


class Keys:
    """A folder of keys. Tokens are in `tokens.csv`, which the API server reads once, when it starts."""

    def __init__(self, folder, addresses):
        folder.mkdir(mode=0o700)
        self.folder, self._key = folder, ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "plinth-test-authority")])
        authority = x509.BasicConstraints(ca=True, path_length=0)
        self._write("ca", self._key, self._signed(self._name, self._key, [authority]))
        names = [x509.DNSName(name) for name in SERVER_NAMES]
        names += [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
        self._issue("server", "kube-apiserver", ExtendedKeyUsageOID.SERVER_AUTH, x509.SubjectAlternativeName(names))
        self._issue("kubelet-client", "apiserver-kubelet-client", ExtendedKeyUsageOID.CLIENT_AUTH)
        account = ec.generate_private_key(ec.SECP256R1())
        (folder / "accounts.key").write_bytes(_pem(account))

    def kubeconfig(self, path, server, user, group=""):
        """A token of a user's own, and the file that uses it at an address of the API server."""
        token = secrets.token_hex(16)
        with (self.folder / "tokens.csv").open("a") as file:
            file.write(f'{token},{user},{user},"{group}"\n')
        cluster = {"server": server, "certificate-authority": str(self.folder / "ca.crt")}
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "plinth-test", "cluster": cluster}],
            "users": [{"name": user, "user": {"token": token}}],
            "contexts": [{"name": "plinth-test", "context": {"cluster": "plinth-test", "user": user}}],
            "current-context": "plinth-test",
        }
        path.write_text(json.dumps(content, indent=1))
        path.chmod(0o600)

    def _issue(self, file, common_name, usage, *extensions):
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        self._write(file, key, self._signed(name, key, [x509.ExtendedKeyUsage([usage]), *extensions]))

    def _signed(self, name, key, extensions):
        now = dt.datetime.now(dt.UTC)
        begin, end = now - dt.timedelta(hours=1), now + dt.timedelta(days=DAYS)
        number = x509.random_serial_number()
        builder = x509.CertificateBuilder(self._name, name, key.public_key(), number, begin, end)
        for extension in extensions:
            builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        return builder.sign(self._key, hashes.SHA256())

    def _write(self, file, key, certificate):
        (self.folder / f"{file}.key").write_bytes(_pem(key))
        (self.folder / f"{file}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def _pem(key):
    encoding = serialization.Encoding.PEM
    return key.private_bytes(encoding, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())
