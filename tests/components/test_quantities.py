"""Sizes, durations and names as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulumi_plinth.quantities import human_bytes, parse_bytes, parse_label, parse_seconds


@pytest.mark.parametrize(
    ("text", "count"), [(5, 5), ("5", 5), ("1k", 1000), ("1Ki", 1024), ("1.5Gi", 3 << 29), ("2T", 2 * 10**12)]
)
def test_sizes(text, count):
    """Sizes read as in Kubernetes."""
    assert parse_bytes(text) == count


@pytest.mark.parametrize(("text", "seconds"), [(5, 5), ("5s", 5), ("1.5m", 90), ("2h", 7200)])
def test_durations(text, seconds):
    """Durations read as people write them."""
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize("value", ["1Gb", "Gi", "-1", "", None, True, [], "1 Gi", "1e3"])
def test_what_is_no_quantity_is_refused(value):
    """Nothing is guessed."""
    with pytest.raises(ValueError, match="is not a size; write"):
        parse_bytes(value)
    with pytest.raises(ValueError, match="is not a duration; write"):
        parse_seconds(value)


@given(st.text())
def test_a_suggested_name_is_a_good_name(text):
    """Whatever name is refused, the suggestion in the message is accepted."""
    message = ""
    try:
        parse_label(text)
    except ValueError as error:
        message = str(error)
    assert not message or parse_label(message.rsplit("'", 2)[1])


@given(st.integers(min_value=0, max_value=10**15))
def test_human_sizes_are_short(count):
    """A size for people is never longer than eight characters."""
    assert len(human_bytes(count)) <= 8
