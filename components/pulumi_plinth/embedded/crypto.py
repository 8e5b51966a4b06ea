"""Secrets as Pulumi's passphrase provider keeps them. Pure but for random nonces: no files, no environment.

A salt string is `v1:<salt>:v1:<nonce>:<"pulumi" encrypted>`, so that a wrong passphrase is noticed at once;
a secret is `v1:<nonce>:<ciphertext>`: AES-256-GCM under a key that PBKDF2 makes from passphrase and salt.
"""

from __future__ import annotations

import base64
import hashlib
import os
from typing import Protocol

from pulumi_plinth.embedded.errors import PassphraseError

ITERATIONS = 1_000_000
_CHECK = "pulumi"


class Crypter(Protocol):
    """Turns text into ciphertext and back."""

    salt: str

    def encrypt(self, plain: str) -> str:
        """Encrypt text."""

    def decrypt(self, cipher: str) -> str:
        """Decrypt text; raises PassphraseError."""


class PassphraseCrypter:
    """The passphrase provider: one key per salt."""

    def __init__(self, passphrase: str, salt: str = "") -> None:
        raw = base64.b64decode(salt.split(":")[1]) if salt else os.urandom(8)
        self._key = hashlib.pbkdf2_hmac("sha256", passphrase.encode(), raw, ITERATIONS, 32)
        if salt:
            self.salt = salt
            self._verify(salt.split(":", 2)[2])
        else:
            self.salt = f"v1:{base64.b64encode(raw).decode()}:{self.encrypt(_CHECK)}"

    def _verify(self, check: str) -> None:
        if self.decrypt(check) != _CHECK:
            raise PassphraseError("incorrect passphrase")

    def encrypt(self, plain: str) -> str:
        """Encrypt text under a fresh nonce."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce = os.urandom(12)
        cipher = AESGCM(self._key).encrypt(nonce, plain.encode(), None)
        return f"v1:{base64.b64encode(nonce).decode()}:{base64.b64encode(cipher).decode()}"

    def decrypt(self, cipher: str) -> str:
        """Decrypt `v1:<nonce>:<ciphertext>`; raises PassphraseError for another passphrase or damaged text."""
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        try:
            _, nonce, body = cipher.split(":")
            return AESGCM(self._key).decrypt(base64.b64decode(nonce), base64.b64decode(body), None).decode()
        except (InvalidTag, ValueError) as error:
            raise PassphraseError(
                "a secret cannot be decrypted: wrong passphrase (or damaged text); set PULUMI_CONFIG_PASSPHRASE "
                "or PULUMI_CONFIG_PASSPHRASE_FILE to the passphrase this stack was written with"
            ) from error
