"""The journal: whatever a crash leaves of it, what can be read is true and a beginning of what was written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from weights.making import UNHURRIED

from plinth_runtime.weights.journal import FileRecord, Journal, Known, PartRecord

RECORDS = [
    PartRecord("a", 0, 1),
    PartRecord("a", 1, 0xFFFFFFFF),
    PartRecord("b", 0, 7),
    FileRecord("a", "1-2-3", 99, None, vouched=True),
    FileRecord("ü", "4-5-6", None, "0" * 64, vouched=False),
]


@pytest.fixture
def journal(tmp_path):
    """A journal of five records."""
    made = Journal(tmp_path / "journal")
    made.append(RECORDS[:2])
    made.append(RECORDS[2:])
    made.close()
    return made


def known_after(count):
    """What the first records say."""
    known = Known()
    for record in RECORDS[:count]:
        known.add(record)
    return known


def test_what_is_written_is_read(journal):
    """Records come back; a finished file takes the place of its parts."""
    known = journal.read()
    assert known == known_after(5)
    assert known.parts == {"b": {0: 7}}
    assert known.files["ü"].sha256 == "0" * 64


def test_a_journal_that_is_not_there(tmp_path):
    """No journal is an empty one."""
    assert Journal(tmp_path / "none").read() == Known()


@UNHURRIED
@given(place=st.integers(0, 400), flipped=st.booleans())
def test_damage_cuts_it_off(journal, tmp_path, place, flipped):
    """A journal cut or altered at any byte is true up to there, and says nothing after it."""
    text = (tmp_path / "journal").read_bytes()
    place = min(place, len(text) - 1)
    damaged = text[:place] + bytes([text[place] ^ 0x20]) + text[place + 1 :] if flipped else text[:place]
    (tmp_path / "damaged").write_bytes(damaged)
    whole = text[:place].count(b"\n")
    assert Journal(tmp_path / "damaged").read() == known_after(whole)


def test_it_is_rewritten_whole(journal, tmp_path):
    """What is of no more use is left out; records can be added afterwards."""
    known = journal.read()
    del known.files["a"]
    journal.rewrite(known)
    journal.append([PartRecord("b", 1, 8)])
    journal.close()
    again = Journal(tmp_path / "journal").read()
    assert (set(again.files), again.parts) == ({"ü"}, {"b": {0: 7, 1: 8}})
    assert [path.name for path in tmp_path.iterdir()] == ["journal"]
