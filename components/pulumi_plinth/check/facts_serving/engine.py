"""The engine in loosely written facts: release, image, flags in any spelling, environment. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from pulumi_plinth.check.command import flags_of, serving_of_command, spelled
from pulumi_plinth.check.facts_place_words import Facts, is_absent, words_of
from pulumi_plinth.check.facts_serving.known import Known
from pulumi_plinth.check.facts_serving.words import capability_of, online_method, release_of
from pulumi_plinth.check.images import image_facts, release_of_image
from pulumi_plinth.check.serving import Double, Serving, Version

SPELLINGS: Mapping[str, str] = {
    "tensor-parallel-size": "tp(_size)?|tensor_parallel(ism|_degree|_size)?|(vllm_)?tensor_parallel_size",
    "pipeline-parallel-size": "pp(_size)?|pipeline_parallel(ism|_degree|_size)?|pipeline_stages",
    "data-parallel-size": "dp(_size)?|data_parallel(ism|_degree|_size)?",
    "enable-expert-parallel": "(enable_)?expert_parallel|ep",
    "max-model-len": "(max_)?(model_len(gth)?|context(_len(gth)?)?)|max_seq_len|ctx(_len)?",
    "speculative-draft-tensor-parallel-size": "(speculative_)?draft_(tensor_parallel_size|tp)",
    "max-num-seqs": "max_num_seqs|max_(concurrent_)?sequences|max_batch_size",
    "max-num-batched-tokens": "max_num_batched_tokens|max_batched_tokens|token_budget",
    "gpu-memory-utilization": "(gpu_)?(memory_)?utili[sz]ation|gpu_memory_utili[sz]ation|gpu_util",
    "dtype": "dtype(_arg|_flag|_asked)?|asked_dtype|compute_dtype",
    "quantization": "quanti[sz]ation(_arg|_flag|_asked)?|load_time_quanti[sz]ation|online_quanti[sz]ation",
    "kv-cache-dtype": "kv_(cache_)?(dtype|quanti[sz]ation)",
    "enable-chunked-prefill": "(enable_)?chunked_prefill",
    "num-speculative-tokens": "(num_)?(speculative|draft)(_tokens|_config|_decoding|_model)?|mtp(_tokens)?|speculator",
    "distributed-executor-backend": "(distributed_)?executor(_backend)?|distributed_backend",
    "trust-remote-code": "trust_remote_code",
    "max-lora-rank": "max_lora_rank|engine_max_rank",
    "load-format": "load_format",
    "revision": "revision|model_revision|git_ref",
    "disable-chunked-mm-input": "disable_chunked_mm_input",
    "block-size": "block_size",
    "swap-space": "swap_space(_gb|_gib)?",
    "lora-extra-vocab-size": "lora_extra_vocab_size",
}  # fmt: skip
"""Flag -> how people spell the key, as a pattern over keys in one spelling."""

NESTED = "(model_spec_)?vllm_(config_)?|inference_config_vllm_|engine_config_|serve_config_"
"""Sections that charts and operators put flags into, in front of a key."""

PLACES = "argv|args|cli|flag|command|config|config_?map|values|spec|yaml|field|helm|chart|template|rendered|pod|env"
REPEATED = (
    "tensor_parallel_size", "pipeline_parallel_size", "max_model_len", "max_num_seqs", "gpu_memory_utilization",
    "dtype",
)  # fmt: skip
"""Flags that people find at several places with different values."""

ONE_WORD = ("dtype", "kv-cache-dtype", "load-format", "distributed-executor-backend", "enable-chunked-prefill")
"""Flags whose value is the first word of what people write: `fp8 (e4m3)`, `off, as in V0`."""

ALONE = "(removed_|unknown_|extra_)?flags?|option|switch"
ELSEWHERE = {"model", "chat_template", "config", "host", "port", "name"}
"""Flags whose names are keys of something else, or are read elsewhere."""

ROUTER = "router_image(_version|_tag)?|router_version"
IMAGE_KEYS = "image_(cuda|arch\\w*|platforms?)|(nvidia_)?requires?_cuda|cuda_(required|of_image)"
COMMANDS = "command|argv|args|engine_args|vllm_args|extra_args|cmd|cli|arguments|container_args"
RELEASES = (
    "(vllm_|engine_|runtime_|resolved_|serving_|server_|new_|current_)(version|release)(_resolved)?|vllm|version|release"
    "|(fails|failed|breaks|broken)_(on|in|with)|upgraded_to|to_version|new_image"
)
EARLIER = (
    "(worked|works|ran|fitted|ok|fine)_(on|in|with)|upgraded_from|from_version"
    "|(previous|old|last_good)_(version|release|image)"
)
OTHER_ENGINES = ("sglang", "tgi", "lmdeploy", "trtllm", "tensorrt-llm", "llama.cpp", "ollama", "triton")


def read_engine(facts: Facts, known: Known) -> Serving:
    """Read everything about the engine itself."""
    image = facts.text("(vllm_|engine_|container_|serving_)?image(_tag|_name|_reference)?|(docker_|image_)?tag") or None
    commands = [serving_of_command(line) for line in _lines(facts)]
    arguments, doubles = _arguments(facts, known, commands)
    environment = dict(_environment(facts, known))
    for command in commands:
        environment |= command.environment
    base = facts.text("image_base|base_image") or ""
    return Serving(
        version=_version(facts, image),
        upgraded_from=release_of(facts.text(EARLIER) or ""),
        engine=_engine(facts, commands),
        image=image,
        image_facts=replace(
            image_facts(" ".join(filter(None, (image, base, facts.text(IMAGE_KEYS))))), kernels=_kernels(facts)
        ),
        arguments=arguments,
        environment=environment,
        model=next((command.model for command in commands if command.model), None),
        words=(*(word for command in commands for word in command.words), *_alone(facts, known)),
        commanded=any(command.commanded and command.model for command in commands),
        doubles=(*doubles, *_repeated(facts), *(double for command in commands for double in command.doubles)),
    )


def _kernels(facts: Facts) -> tuple[tuple[int, int], ...]:
    """Read the generations that an image is built for: `7.5 8.0 9.0`, `sm_80 sm_90`."""
    found = facts.find("(torch_)?(cuda_)?arch(itecture)?_?(s|list)|sm_list|image_kernels")
    said = " ".join(words_of(found[1])) if found else ""
    return tuple(number for word in re.split(r"[\s,;]+", said) if (number := capability_of(word.rstrip("a+"))))


def _engine(facts: Facts, commands: list[Serving]) -> str:
    """Tell whose flags are spoken of: a router's, another engine's, vLLM's."""
    if facts.has(ROUTER):
        return "router"
    said = (facts.text("(serving_)?(engine|backend|runtime)(_name)?") or "").lower()
    named = next((name for name in OTHER_ENGINES if said.startswith(name)), None)
    return named or next((command.engine for command in commands if command.engine != "vllm"), "vllm")


def _version(facts: Facts, image: str | None) -> Version | None:
    """Return the engine's release; numbers above every release of vLLM are those of something else."""
    stated = facts.text(RELEASES) or facts.text(f"engine|engine_note|{ROUTER}")
    found = release_of(stated or "") or (release_of_image(image) if image else None)
    return None if found and found[0] > 0 else found


def _arguments(facts: Facts, known: Known, commands: list[Serving]) -> tuple[dict[str, str], list[Double]]:
    """Collect flags from fields of their own and from command lines; a flag in both is a double."""
    fields: dict[str, str] = {}
    for flag, pattern in SPELLINGS.items():
        found = facts.find(f"({NESTED})?({pattern})")
        if found and not is_absent(found[1]):
            fields[flag] = _text(flag, found[1])
    fields |= {flag: value for flag, value in _named(facts, known) if flag not in fields}
    spoken: dict[str, str] = {}
    for command in commands:
        spoken |= command.arguments
    both = [flag for flag in fields if flag in spoken]
    doubles = [Double(f"--{flag}", ("its field", fields[flag]), ("the command", spoken[flag])) for flag in both]
    return {**fields, **spoken}, doubles


def _lines(facts: Facts) -> Iterator[str | list[Any] | tuple[Any, ...]]:
    for _, value in facts.each(f"({NESTED})?({COMMANDS})"):
        if isinstance(value, (str, list, tuple)) and not is_absent(value):
            yield value


def _alone(facts: Facts, known: Known) -> Iterator[str]:
    """Yield flags that are spoken of alone; one that wants a value and has none is only named, not used."""
    for _, value in facts.each(ALONE):
        for text in words_of(value):
            words = spelled(text)
            flag = known.table.spellings.get(words[0])
            if len(words) > 1 or flag is None or flag.values in ("none", "optional"):
                yield from words


def _repeated(facts: Facts) -> Iterator[Double]:
    """Yield flags that stand at several places: `argv_max_model_len` beside `config_max_model_len`."""
    for flag in REPEATED:
        found = list(facts.each(f"(({PLACES})_)?{flag}"))
        for key, value in found[1:]:
            yield Double(flag, (found[0][0], str(found[0][1])), (key, str(value)))


def _named(facts: Facts, known: Known) -> Iterator[tuple[str, str]]:
    """Yield flags that are the value of `flag`, and keys that are spelled like a flag of the release."""
    for _, value in facts.each(ALONE):
        for word in words_of(value):
            yield from flags_of(word).items()
    for key, value in facts.each(f"({NESTED})?({'|'.join(sorted(set(known.flags) - ELSEWHERE))})"):
        flag = known.flags.get(key) or known.flags[re.sub(f"^({NESTED})", "", key)]
        if not is_absent(value) and not isinstance(value, (list, tuple)):
            yield flag, _text(flag, value)


def _text(flag: str, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (Mapping, list, tuple)):
        return json.dumps(value)
    text = str(value).strip()
    if flag == "quantization":
        return online_method(text)
    if flag == "kv-cache-dtype" and "e5m2" in text.lower():
        return "fp8_e5m2"
    if flag in ONE_WORD:
        return text.split()[0].strip(",;") if text else text
    number = re.match(r"(\d+)\b(?![.\w-])", text)
    return number[1] if number and " " in text else text


def _environment(facts: Facts, known: Known) -> Iterator[tuple[str, str]]:
    for _, value in facts.each("env(ironment)?(_variables?)?"):
        if isinstance(value, Mapping):
            yield from ((str(name), str(item)) for name, item in value.items())
        else:
            for word in words_of(value):
                name, _, item = word.partition("=")
                yield name.strip(), item.strip()
    for key, value in facts.each("(vllm|cuda_visible|nvidia_visible|hf|nccl|ray|torch|pytorch)_[a-z0-9_]+"):
        plain = not isinstance(value, (Mapping, list))
        if plain and (not key.startswith("vllm_") or known.variable(key.upper())):
            yield key.upper(), {"True": "1", "False": "0"}.get(str(value), str(value))
