"""A vLLM command line, as words or as text, to a Serving. Pure: what its flags mean is decided by rules."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from typing import Any

from pulumi_plinth.check.images import image_facts, release_of_image
from pulumi_plinth.check.serving import Double, Serving

SHORT: Mapping[str, str] = {
    "-tp": "tensor-parallel-size", "-pp": "pipeline-parallel-size", "-dp": "data-parallel-size",
    "-q": "quantization", "-sc": "speculative-config", "-n": "nnodes", "-r": "node-rank", "-cc": "compilation-config",
    "-O": "optimization-level", "-ep": "enable-expert-parallel", "-asc": "api-server-count",
}  # fmt: skip
WHOLE = (
    "tensor-parallel-size", "pipeline-parallel-size", "gpu-memory-utilization", "max-model-len", "max-num-seqs",
    "max-num-batched-tokens", "kv-cache-dtype", "quantization", "distributed-executor-backend", "served-model-name",
)  # fmt: skip
"""Flags that sizes and formats hang on: people cut them short, and the engine reads `--tensor-parallel 2` as well."""

SHORTEST = 5
"""Letters from which a beginning is taken for one of these."""

MODELS = ("model", "model-id", "model-path", "model-dir")
KSERVE_FLAGS = frozenset({"model-name", "model-id", "model-dir"})
OTHER_ENGINES = ("sglang", "trtllm", "tritonserver", "text-generation", "lmdeploy", "llama-server")
SHOWN = 60
OPERATORS = frozenset({"&&", "||", "|", ";", "&"})
ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=.*", re.DOTALL)
NUMBER = re.compile(r"-?\d+(\.\d+)?")


class CommandError(ValueError):
    """A text whose quotes do not close: no shell would run it."""


def serving_of_command(
    argv: str | Sequence[Any], environment: Mapping[str, str] | None = None, image: str | None = None
) -> Serving:
    """Read `vllm serve MODEL …`, `python -m vllm.entrypoints.openai.api_server …`, or arguments alone.

    Assignments in front of the program (`CUDA_VISIBLE_DEVICES=0 vllm serve …`) join the environment. Raises
    CommandError.
    """
    words = _split(argv.replace("\\\n", " ")) if isinstance(argv, str) else [str(word) for word in argv]
    if len(words) > 2 and words[0] in ("sh", "bash", "/bin/sh", "/bin/bash") and words[1].startswith("-"):  # noqa: PLR2004
        return serving_of_command(words[2], environment, image)
    assigned = dict(environment or {})
    while words and ASSIGNMENT.fullmatch(words[0]):
        name, _, value = words.pop(0).partition("=")
        assigned[name] = value
    rest = _until_operator(_after_program(words))
    arguments, loose = _read(rest)
    commanded = bool(rest)
    if loose:
        rest.remove(loose[0])
    return Serving(
        engine=_engine(words, arguments),
        model=next((arguments.pop(flag) for flag in MODELS if flag in arguments), loose[0] if loose else None),
        version=release_of_image(image) if image else None,
        image=image,
        image_facts=image_facts(image or ""),
        arguments=arguments,
        environment=assigned,
        words=tuple(rest),
        doubles=tuple(_twice(rest)),
        commanded=commanded,
    )


def flags_of(text: str) -> dict[str, str]:
    """Read flags out of a text such as `--enable-metrics` or `--max-model-len 4096`."""
    return _read(spelled(text))[0]


def spelled(text: str) -> list[str]:
    """Return the words of a text that speaks of a flag, with dashes in front."""
    text = text.strip()
    return _split(text if text.startswith("-") else f"--{text}")


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise CommandError(f"'{text[:SHOWN]}' cannot be split into words: {error}") from None


def config_overrides(arguments: Mapping[str, str]) -> Mapping[str, Any]:
    """Return what the command changes in config.json (--hf-overrides, --rope-scaling)."""
    changed = dict(_json(arguments.get("hf-overrides", "")))
    if ropes := _json(arguments.get("rope-scaling", "")):
        changed["rope_scaling"] = ropes
    if "rope_parameters" in changed:
        changed.setdefault("rope_scaling", changed["rope_parameters"])
    return changed


def _json(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text) if text else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _engine(words: Sequence[str], arguments: Mapping[str, str]) -> str:
    """Tell whose command line it is; KServe's server takes vLLM's flags and some of its own."""
    other = next((name for name in OTHER_ENGINES if any(name in word for word in words)), None)
    return other or ("kserve" if KSERVE_FLAGS & set(arguments) else "vllm")


def _after_program(words: list[str]) -> list[str]:
    """Drop the program and its subcommand, up to `serve` or a module; a program of somebody's own is none of ours."""
    for place, word in enumerate(words):
        if word == "serve" or word.endswith(("api_server", "api_server.py", "launch_server")):
            return words[place + 1 :]
        if word.startswith("--"):
            break
        if word.endswith((".py", ".sh")):
            return []
    return words


def _until_operator(words: Sequence[str]) -> list[str]:
    """Return the words up to what a shell does next: `| tee log`, `&& sleep`."""
    return list(takewhile(lambda word: word not in OPERATORS and not word.startswith(("2>", ">")), words))


def _whole(name: str) -> str:
    """Write out a flag that was cut short, where only one of the usual ones begins so."""
    found = [flag for flag in WHOLE if flag.startswith(name)] if len(name) >= SHORTEST else []
    return found[0] if len(found) == 1 else name


def _twice(words: Sequence[str]) -> Iterator[Double]:
    """Yield flags that stand twice with different numbers; the engine takes the last without a word."""
    first: dict[str, str] = {}
    for place, word in enumerate(words):
        flags, _ = _read(words[place : place + 2]) if word.startswith("-") else ({}, [])
        for flag, value in flags.items():
            if NUMBER.fullmatch(value) and first.setdefault(flag, value) != value:
                yield Double(f"--{flag}", ("the command", first[flag]), ("the same command", value))


def _read(words: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Return flags with their values, and words that belong to none."""
    flags: dict[str, str] = {}
    loose: list[str] = []
    last: str | None = None
    for word in words:
        name = SHORT.get(word) or (word[2:] if word.startswith("--") and len(word) > len("--") else None)
        if name is not None:
            head, equals, value = name.partition("=")
            flag = _whole(head.replace("_", "-"))
            last = None if equals else flag
            flags[flag] = value
        elif last is not None and (not word.startswith("-") or NUMBER.fullmatch(word)):
            flags[last] = f"{flags[last]} {word}".strip()
        elif last is None:
            loose.append(word)
    return flags, loose
