"""Engine environments -> the release they pin, and what a stack file says to it. Pure.

An environment is a folder under `runtime/engines`; its release is the pin in its `requirements.in`; a test compares.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pulumi_plinth.engines.arguments import Checked, check_arguments, environment_cautions, environment_faults
from pulumi_plinth.engines.table import EngineTable, load_table
from pulumi_plinth.errors import Fault

RELEASES: Mapping[str, tuple[str, str]] = {"vllm-cpu": ("vllm", "0.32.0"), "vllm-cuda": ("vllm", "0.32.0")}
"""Environment -> engine and release."""

DEVICES: Mapping[str, str] = {"vllm-cpu": "cpu", "vllm-cuda": "cuda"}


def table_of(environment: str) -> EngineTable:
    """Return the table of the release that an environment pins. Raises KeyError for an environment nobody knows."""
    return load_table(*RELEASES[environment])


def check_stack(
    engine: str, words: Sequence[str], variables: Sequence[str], path: str, owned: frozenset[str] = frozenset()
) -> Checked:
    """Check `engineArgs` and the names in `environment` of the deployment at `path`.

    `owned` are flags that follow from other fields. Stricter than the engine in two points: a flag must be written out,
    because a later release may have two that begin so, and an owned one is refused in every spelling.
    """
    table = table_of(engine)
    checked = check_arguments(words, table, f"{path}.engineArgs")
    faults = (
        *checked.faults,
        *_spellings(checked, owned, f"{path}.engineArgs"),
        *environment_faults(variables, table, f"{path}.environment"),
    )
    cautions = (*checked.cautions, *environment_cautions(variables, table))
    return Checked(checked.arguments, faults, cautions)


def _spellings(checked: Checked, owned: frozenset[str], path: str) -> Iterator[Fault]:
    for argument in checked.arguments:
        name = argument.flag.name
        if name in owned:
            problem = f"contradicts the plan ({name})"
            yield Fault(path, argument.word, problem, "use the field of the same meaning instead")
        elif argument.shortened:
            yield Fault(path, argument.word, f"is short for {name}", f"write {name}, another release may have two such")
