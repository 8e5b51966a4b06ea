"""Keys and certificates for stand-ins, made anew for each run."""

import datetime as dt
import functools
import ipaddress
import os
import ssl

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

DAY = dt.timedelta(days=1)


@functools.cache
def private_key():
    """One RSA key; making it is slow."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def key_pem():
    """The key as a file has it."""
    encoding = serialization.Encoding.PEM
    return private_key().private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def certificate_pem(common_name="stand-in", unit=None, host="127.0.0.1"):
    """A certificate of an address of the loopback, signed by itself. `unit` is an organizational unit."""
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    parts += [x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit)] if unit else []
    name, key, now = x509.Name(parts), private_key(), dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - DAY, now + DAY)
    loopback = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))])
    builder = builder.add_extension(loopback, critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def own_address():
    """An address of the loopback that no other process takes: some services have a fixed port."""
    pid = os.getpid()
    return f"127.{pid >> 14 & 127}.{pid >> 7 & 127}.{(pid & 127) + 1}"


def server_tls(folder, host):
    """A server's TLS, and the path of the certificate that clients must trust."""
    certificate, key = folder / "server.pem", folder / "server.key"
    certificate.write_bytes(certificate_pem(host=host))
    key.write_bytes(key_pem())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context, certificate
