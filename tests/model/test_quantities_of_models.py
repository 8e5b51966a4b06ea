"""Small values of model declarations: amounts, sizes, names of secrets."""

import pytest
from pydantic_core import PydanticCustomError

from pulumi_plinth import quantities


@pytest.mark.parametrize(
    ("text", "worth"),
    [("8", 8), ("500m", 0.5), ("0.5", 0.5), ("24Gi", 24 << 30), ("500M", 500e6), ("1Ki", 1024), ("1E", 1e18)],
)
def test_amounts_are_worth_what_kubernetes_says(text, worth):
    """Units are decimal, binary or thousandths."""
    assert quantities.quantity(text) == pytest.approx(worth)


@pytest.mark.parametrize(
    ("read", "value", "message"),
    [
        (quantities.parse_cpu, "CPU", "is not an amount of CPU"),
        (quantities.parse_cpu, "-1", "is not an amount of CPU"),
        (quantities.parse_cpu, True, "is not an amount of CPU"),
        (quantities.parse_memory, "24GB", "is not an amount of memory"),
        (quantities.parse_memory, None, "is not an amount of memory"),
        (quantities.parse_parameter_size, "7X", "is not a number of parameters"),
        (quantities.parse_technical, "Foo_1", "such as 'foo-1'"),
        (quantities.parse_technical, "-a", "such as 'a'"),
        (quantities.parse_label, "A.B", "write for example 'a-b'"),
    ],
)
def test_a_bad_value_is_answered_with_a_good_one(read, value, message):
    """Every refusal shows what to write."""
    with pytest.raises(ValueError, match="; ") as caught:
        read(value)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "count"), [("7B", 7_000_000_000), ("1.24B", 1_240_000_000), ("400M", 400_000_000), ("12", 12)]
)
def test_parameter_sizes_stand_for_counts(text, count):
    """Suffixes are powers of a thousand."""
    assert quantities.parameter_count(quantities.parse_parameter_size(text.lower())) == count


def test_a_secret_is_not_its_name():
    """What looks like a token is refused, and the message does not repeat it."""
    token = "hf_" + "a" * 20
    with pytest.raises(PydanticCustomError) as caught:
        quantities.parse_reference(token)
    assert token not in str(caught.value)
    assert quantities.parse_reference("hf-token") == "hf-token"


def test_any_text_has_a_label():
    """Suggestions are always valid names."""
    for text in ("", "---", "Ünïcode", "a" * 200, "A_b.C", "😀"):
        assert quantities.parse_label(quantities.to_label(text))
        assert len(quantities.to_label(text, 20)) <= 20
