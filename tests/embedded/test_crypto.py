"""Secrets as Pulumi's passphrase provider keeps them."""

import json
import re

import pytest

from pulumi_plinth.embedded import PassphraseError
from pulumi_plinth.embedded.crypto import PassphraseCrypter


@pytest.fixture(scope="module")
def recorded():
    """The crypter of the recorded stack: a third of a second, so once."""
    return PassphraseCrypter("x", "v1:NcUfepZfmWg=:v1:ymcsKKRYG7kvPQB2:nBfwUziqxSo96sHGnWOnQeqkiNhkUw==")


def test_reads_what_the_pulumi_cli_wrote(recorded, traces):
    """The recorded stack file's value and every recorded ciphertext of the state decrypt to JSON."""
    stack_file = (traces / "Pulumi.dev.yaml").read_text()
    assert recorded.decrypt(re.search("secure: (.*)", stack_file)[1]) == "hello"
    ciphers = re.findall('"ciphertext": "([^"]*)"', (traces / "state-after-create.json").read_text())
    plain = [json.loads(recorded.decrypt(cipher)) for cipher in ciphers]
    assert plain.count("hello") == 6
    assert len(plain) == 12


def test_round_trip_and_fresh_nonces(recorded):
    """What is encrypted decrypts again, and never looks the same twice."""
    first, second = recorded.encrypt("ü"), recorded.encrypt("ü")
    assert first != second
    assert recorded.decrypt(first) == recorded.decrypt(second) == "ü"


@pytest.mark.slow
def test_a_wrong_passphrase_is_noticed_at_once(recorded):
    """The salt itself tells a wrong passphrase, with what to set."""
    with pytest.raises(PassphraseError, match="PULUMI_CONFIG_PASSPHRASE"):
        PassphraseCrypter("y", recorded.salt)


@pytest.mark.slow
def test_a_new_salt_verifies():
    """A salt made here is accepted with its own passphrase, which may be empty."""
    made = PassphraseCrypter("")
    again = PassphraseCrypter("", made.salt)
    assert again.decrypt(made.encrypt("text")) == "text"


@pytest.mark.parametrize("damaged", ["v1:x", "v2:AAAA:AAAA", "", "v1:!!:??"])
def test_damaged_text_is_an_error_of_ours(recorded, damaged):
    """Text that is no ciphertext is refused as such."""
    with pytest.raises(PassphraseError):
        recorded.decrypt(damaged)
