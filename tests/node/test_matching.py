"""Which nodes a declaration is for, compared with the rules of Kubernetes, written down a second time and otherwise."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plinth_runtime.node.matching import matches

LABELS = {"gpu": "h100", "memory": "500", "zone": "a", "empty": "", "text": "500Gi", "example.com/pool": "big"}


def required(*terms):
    """A storage with these node selector terms."""
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": list(terms)}}}


def expression(key, operator, *values):
    """A term of one expression."""
    return {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}


def both(first, second):
    """A term of two expressions."""
    return {"matchExpressions": first["matchExpressions"] + second["matchExpressions"]}


def field(operator, *names):
    """A term that selects by the node's name."""
    return {"matchFields": [{"key": "metadata.name", "operator": operator, "values": list(names)}]}


@pytest.mark.parametrize(
    ("storage", "wanted"),
    [
        ({}, True),
        ({"nodeSelector": {}}, True),
        ({"nodeSelector": {"gpu": "h100"}}, True),
        ({"nodeSelector": {"gpu": "h100", "zone": "b"}}, False),
        ({"nodeSelector": {"empty": ""}}, True),
        ({"nodeSelector": {"absent": ""}}, False),
        ({"nodeAffinity": {}}, True),
        ({"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1}]}}, True),
        (required(), False),
        (required({}), False),
        (required({}, expression("gpu", "Exists")), True),
        (required(expression("gpu", "In", "a100", "h100")), True),
        (required(expression("gpu", "In", "a100")), False),
        (required(expression("absent", "In", "a100")), False),
        (required(expression("gpu", "In")), False),
        (required(expression("gpu", "NotIn", "a100")), True),
        (required(expression("gpu", "NotIn", "h100")), False),
        (required(expression("absent", "NotIn", "h100")), True),
        (required(expression("absent", "NotIn")), False),
        (required(expression("absent", "NotIn", "not a value")), False),
        (required(expression("gpu", "Exists")), True),
        (required(expression("absent", "Exists")), False),
        (required(expression("gpu", "Exists", "h100")), False),
        (required(expression("absent", "DoesNotExist")), True),
        (required(expression("gpu", "DoesNotExist")), False),
        (required(expression("memory", "Gt", "499")), True),
        (required(expression("memory", "Gt", "500")), False),
        (required(expression("memory", "Gt", "1000")), False),
        (required(expression("memory", "Lt", "1000")), True),
        (required(expression("memory", "Lt", "+501")), False),
        (required(expression("text", "Gt", "100")), False),
        (required(expression("memory", "Gt", "100Gi")), False),
        (required(expression("memory", "Gt", "1", "2")), False),
        (required(expression("absent", "Lt", "5")), False),
        (required(expression("memory", "Like", "5")), False),
        (required(expression("-bad", "DoesNotExist")), False),
        (required(expression("example.com/pool", "In", "big")), True),
        (required(expression("a/b/c", "DoesNotExist")), False),
        (required(expression("gpu", "In", "a100"), expression("zone", "In", "a")), True),
        (required(both(expression("gpu", "Exists"), expression("zone", "In", "b"))), False),
        (required(both(expression("gpu", "Exists"), expression("zone", "In", "a"))), True),
        (required({"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["node-1"]}]}), True),
        (required({"matchFields": [{"key": "metadata.name", "operator": "NotIn", "values": ["node-1"]}]}), False),
        (required(field("In", "node-1", "node-2")), False),
        (required({"matchFields": [{"key": "metadata.uid", "operator": "In", "values": ["node-1"]}]}), False),
        (required({"matchFields": [{"key": "metadata.name", "operator": "Exists"}]}), False),
        (required({**expression("gpu", "Exists"), **field("In", "x")}), False),
        ({"nodeSelector": {"zone": "b"}, **required(expression("gpu", "Exists"))}, False),
    ],
)  # fmt: skip
def test_rules(storage, wanted):
    """Each rule of the scheduler, one by one."""
    assert matches("node-1", LABELS, storage) is wanted


KEYS = st.sampled_from(["a", "b", "c", "x/y", "-", "x/y/z"])
VALUES = st.sampled_from(["", "1", "2", "-3", "+2", "007", "ab", "1Gi", "_", "9223372036854775808", "a b"])
ROWS = st.fixed_dictionaries(
    {"key": KEYS, "operator": st.sampled_from(["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt", "Near"])},
    optional={"values": st.lists(VALUES, max_size=3)},
)
FIELDS = st.fixed_dictionaries(
    {
        "key": st.sampled_from(["metadata.name", "metadata.uid"]),
        "operator": st.sampled_from(["In", "NotIn", "Exists"]),
        "values": st.lists(st.sampled_from(["n", "m", ""]), max_size=2),
    }
)
TERMS = st.fixed_dictionaries(
    {}, optional={"matchExpressions": st.lists(ROWS, max_size=3), "matchFields": st.lists(FIELDS, max_size=2)}
)
STORAGES = st.fixed_dictionaries(
    {},
    optional={
        "nodeSelector": st.dictionaries(KEYS, VALUES, max_size=2),
        "nodeAffinity": st.lists(TERMS, max_size=3).map(lambda terms: required(*terms)["nodeAffinity"]),
    },
)
NODE_LABELS = st.dictionaries(st.sampled_from(["a", "b", "c", "x/y"]), VALUES.filter(lambda v: v != "a b"), max_size=4)


@given(NODE_LABELS, STORAGES)
def test_any_selection_is_read_as_a_second_reader_reads_it(labels, storage):
    """An oracle that works with sets of truths instead of conditions gives the same answer for any selection."""
    assert matches("n", labels, storage) is oracle("n", labels, storage)


def oracle(name, labels, storage):
    """Evaluate a selection: each requirement as the set of label values that satisfy it, None for an absent label."""
    pairs = storage.get("nodeSelector", {})
    if not pairs.items() <= labels.items():
        return False
    if "nodeAffinity" not in storage:
        return True
    (block,) = storage["nodeAffinity"].values()
    return any(_term(name, labels, term) for term in block["nodeSelectorTerms"])


def _term(name, labels, term):
    rows = [(_allowed(row), labels.get(row["key"])) for row in term.get("matchExpressions", [])]
    rows += [
        (_allowed_field(row), name if row["key"] == "metadata.name" else "") for row in term.get("matchFields", [])
    ]
    return bool(rows) and all(allowed is not None and allowed(value) for allowed, value in rows)


def _allowed(row):
    values = row.get("values", [])
    name = r"([A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?)"
    if not re.fullmatch(rf"(([a-z0-9]([a-z0-9-]*[a-z0-9])?)(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*/)?{name}", row["key"]):
        return None
    if not all(re.fullmatch(f"{name}?", value) for value in values):
        return None
    sizes = {"In": range(1, 9), "NotIn": range(1, 9), "Exists": (0,), "DoesNotExist": (0,), "Gt": (1,), "Lt": (1,)}
    if len(values) not in sizes.get(row["operator"], ()):
        return None
    if row["operator"] in ("Gt", "Lt") and _number(values[0]) is None:
        return None
    return {
        "In": lambda found: found in values,
        "NotIn": lambda found: found not in values,
        "Exists": lambda found: found is not None,
        "DoesNotExist": lambda found: found is None,
        "Gt": lambda found: _number(found) is not None and _number(found) > _number(values[0]),
        "Lt": lambda found: _number(found) is not None and _number(found) < _number(values[0]),
    }[row["operator"]]


def _allowed_field(row):
    if len(row["values"]) != 1 or row["operator"] == "Exists":
        return None
    return lambda found: (found in row["values"]) is (row["operator"] == "In")


def _number(text):
    try:
        number = int(text or "")
    except ValueError:
        return None
    return number if re.fullmatch("[+-]?[0-9]+", text) and number.bit_length() < 64 else None
