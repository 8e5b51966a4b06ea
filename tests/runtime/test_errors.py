"""The fault tree and the contract's causes are the same list."""

import re

from plinth_runtime import errors
from plinth_runtime.contract.status import Cause
from plinth_runtime.errors import FAULT_OF, RuntimeFault


def test_every_cause_has_its_own_class_and_code():
    """Each contract cause has exactly one class, a distinct exit code that is not 0, 1 or 2, and a hint."""
    assert set(FAULT_OF) == set(Cause)
    codes = [family.exit_code for family in FAULT_OF.values()]
    assert len(set(codes)) == len(codes)
    assert not {0, 1, 2} & set(codes)
    assert all(family.hint.endswith(".") for family in FAULT_OF.values())


def test_the_drawing_is_true():
    """The tree in the module's docstring names every class with its code and whether to retry."""
    drawn = re.findall(r"[├└]── (\w+) +(\d+)  (never retry|retry)", errors.__doc__)
    real = [
        (family.__name__, str(family.exit_code), "retry" if family.retryable else "never retry")
        for family in FAULT_OF.values()
    ]
    assert drawn == real


def test_the_documentation_lists_the_codes(project_root):
    """The table of exit codes is complete, in the classes' own words."""
    text = (project_root / "docs" / "runtime.md").read_text()
    for family in FAULT_OF.values():
        assert re.search(rf"\| {family.exit_code} \| `{family.cause}` \|", text), family
        assert (family.__doc__ or "").strip() in text


def test_a_fault_may_bring_its_own_hint():
    """A hint given replaces the class's."""
    assert RuntimeFault("x", hint="y").hint == "y"
    assert errors.PortTakenError("x").hint == errors.PortTakenError.hint


def test_the_documented_faults_exist(project_root):
    """Each command of the fault table names a file and, in it, a test; each fault test stands in the table."""
    text = (project_root / "docs" / "runtime.md").read_text()
    rows = re.findall(r"`P (tests/engine/\w+\.py) -k '?([\w ]+?)'?`", text)
    for file, words in rows:
        source = (project_root / file).read_text()
        assert all(re.search(rf"def test_\w*{word}", source) for word in words.split(" or ")), (file, words)
    assert {file.rpartition("/")[2] for file, _ in rows} >= {
        path.name for path in (project_root / "tests/engine").glob("test_faults_*.py")
    }
