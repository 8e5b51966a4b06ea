"""What a vLLM release knows, asked from the release itself -> FOLDER/vllm-VERSION.json. Runs in an engine environment.

python describe_engine.py FOLDER

Flags come from the API server's own argument parser, parsers, quantization methods, load formats and attention backends
from their registries. What kind of value a flag takes is asked from its converter with words of each kind. Models are
inspected as vLLM does it, by their classes, but all in this one process (4 s instead of one process each): that is safe
where no GPU can be touched, so GPUs are hidden. A class that this environment cannot import is listed with its reason.
Metrics and environment variables that are read beside the registry are found in the source; names that are put together
at run time are not. The same release gives the same bytes.
"""

from __future__ import annotations

import ast
import json
import logging
import os
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

METRIC = re.compile(r"vllm:[a-z][a-z0-9_]*[a-z0-9]")
METRIC_KINDS = ("counter", "gauge", "histogram")
VARIABLE = re.compile(r"(?:environ\.get\(|environ\[|getenv\()\s*[\"'](VLLM_\w+)")
ABILITIES = {
    "is_text_generation_model": "generate",
    "is_pooling_model": "pooling",
    "supports_multimodal": "multimodal",
    "supports_transcription": "transcription",
    "supports_pp": "pipeline",
    "is_hybrid": "hybrid",
    "is_attention_free": "attention-free",
}
"""What vLLM's own inspection says, and what it is called in the table."""

GENERATING = ("ForCausalLM", "ForConditionalGeneration", "LMHeadModel")
"""How classes of models that generate are called."""

BOUNDS = {"ge": "least", "gt": "above", "le": "most", "lt": "below"}


def main() -> None:
    """Write the table; the folder must exist."""
    if len(sys.argv) != 2:  # noqa: PLR2004 the script and its argument
        sys.exit("usage: python describe_engine.py FOLDER")
    folder = Path(sys.argv.pop())  # vLLM looks at sys.argv when it makes its parser
    hide_surroundings()
    table = describe()
    (folder / f"vllm-{table['version']}.json").write_text(render(table), encoding="utf-8")


def hide_surroundings() -> None:
    """Forget what would change defaults or chat on stdout; must happen before vLLM is imported."""
    for name in [name for name in os.environ if name.startswith("VLLM_")]:
        del os.environ[name]
    os.environ.update(CUDA_VISIBLE_DEVICES="", HF_HUB_OFFLINE="1", VLLM_NO_USAGE_STATS="1")
    logging.disable()


def describe() -> dict[str, Any]:
    """Ask for everything."""
    import vllm
    from vllm.config import iter_architecture_defaults
    from vllm.config.model import _FLOAT16_NOT_SUPPORTED_MODELS
    from vllm.model_executor import model_loader
    from vllm.model_executor.models import registry
    from vllm.platforms import current_platform
    from vllm.reasoning import ReasoningParserManager
    from vllm.tool_parsers import ToolParserManager
    from vllm.v1.attention.backends.registry import AttentionBackendEnum

    source = Path(vllm.__file__).parent
    flags = describe_flags()
    return {
        "engine": "vllm",
        "version": vllm.__version__.partition("+")[0],
        "described_on": current_platform.device_type,
        "flags": flags,
        "tool_parsers": sorted(ToolParserManager.list_registered()),
        "reasoning_parsers": sorted(ReasoningParserManager.list_registered()),
        "quantizations": describe_quantizations(),
        "load_formats": sorted(model_loader._LOAD_FORMAT_TO_MODEL_LOADER),  # noqa: SLF001 the registry itself
        "kv_cache_dtypes": flags["--kv-cache-dtype"]["choices"],
        "attention_backends": sorted(AttentionBackendEnum.__members__),
        "float16_refused": sorted(_FLOAT16_NOT_SUPPORTED_MODELS),
        "metrics": dict(sorted(describe_metrics(source))),
        "architectures": describe_architectures(),
        "architectures_removed": dict(sorted(registry._PREVIOUSLY_SUPPORTED_MODELS.items())),  # noqa: SLF001 as above
        "architectures_general": describe_general(),
        "architecture_suffixes": [suffix for suffix, _ in iter_architecture_defaults()],
        "environment": describe_environment(source),
    }


def describe_flags() -> dict[str, dict[str, Any]]:
    """Describe every flag of the API server under its first long name."""
    from vllm.entrypoints.launchers.cli_args import make_arg_parser
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    parser, bounds = make_arg_parser(FlexibleArgumentParser()), dict(describe_bounds())
    deprecated = getattr(parser, "_deprecated", set())
    flags = {}
    for action in parser._actions:  # noqa: SLF001 there is no other list
        names = sorted(action.option_strings, key=lambda name: (name.startswith("--no-"), not name.startswith("--")))
        if names:
            old = action in deprecated or "Deprecated" in type(action).__name__ or getattr(action, "deprecated", False)
            more = bounds.get(action.dest, {}) | ({"deprecated": True} if old else {})
            flags[names[0]] = describe_flag(action, names[1:]) | more
    return dict(sorted(flags.items()))


def describe_flag(action: Any, other_names: list[str]) -> dict[str, Any]:
    """Describe one flag; what is empty or usual (one value, text) is left out."""
    values = {0: "none", "?": "optional", "+": "many", "*": "many"}.get(action.nargs, "one")
    kind = "" if values == "none" else kind_of(action.type)
    numbers = kind in ("integer", "number")
    described = {
        "also": other_names,
        "values": values,
        "kind": kind,
        "scaled": numbers and accepts(action.type, "1k"),
        "words": [*(["auto"] if numbers and accepts(action.type, "auto") else []), *nothing(action.type)],
        "choices": sorted(set(map(str, action.choices or ())), key=lambda word: (len(word) * numbers, word)),
        "folds": bool(action.choices) and kind == "text" and folds(action.type),
        "keys": sorted(keys_of(action.type)),
        "mapping": values == "one" and is_mapping(action.type),
        "repeats": "Append" in type(action).__name__,
    }
    usual = ([], False, "", "one", "text")
    kept = {name: value for name, value in described.items() if value not in usual}
    plain = isinstance(action.default, (bool, int, float, str)) and action.default != "==SUPPRESS=="
    return kept | ({"default": action.default} if plain and action.default != "" else {})


def describe_bounds() -> Iterator[tuple[str, dict[str, float]]]:
    """Yield the least and most that the configuration classes let a field be, where those that have it agree."""
    from pydantic.fields import FieldInfo
    from vllm import config

    found: dict[str, list[dict[str, float]]] = {}
    for kind in vars(config).values():
        for field in fields(kind) if isinstance(kind, type) and is_dataclass(kind) else ():
            limits = field.default.metadata if isinstance(field.default, FieldInfo) else ()
            said = {BOUNDS[word]: getattr(limit, word) for limit in limits for word in BOUNDS if hasattr(limit, word)}
            if said and said not in found.setdefault(field.name, []):
                found[field.name].append(said)
    yield from ((name, said[0]) for name, said in found.items() if len(said) == 1)


def kind_of(convert: Callable[[str], Any] | None) -> str:
    """Tell what a converter reads: text, integer, number, json or name (one of its own words only)."""
    if convert is None or accepts(convert, "word"):
        return "text"
    if accepts(convert, "7"):
        plain = accepts(convert, "[]") or accepts(convert, "{}")
        return "json" if plain else "number" if accepts(convert, "7.5") else "integer"
    return "json" if any(accepts(convert, text) for text in ("{}", "[]")) or list(keys_of(convert)) else "name"


def accepts(convert: Callable[[str], Any] | None, word: str) -> bool:
    """Tell whether a converter takes a word."""
    try:
        (convert or str)(word)
    except Exception:  # noqa: BLE001 whatever it raises, it refuses
        return False
    return True


def nothing(convert: Callable[[str], Any] | None) -> list[str]:
    """Return the word that a converter reads as no value at all."""
    return ["None"] if convert is not None and accepts(convert, "None") and convert("None") is None else []


def folds(convert: Callable[[str], Any] | None) -> bool:
    """Tell whether a converter reads `A-b` as `a_b`."""
    return convert is not None and convert("A-b") == "a_b"


def is_mapping(convert: Callable[[str], Any] | None) -> bool:
    """Tell whether keys may be given one by one, as `--flag.key value`."""
    if list(keys_of(convert)):
        return True
    return accepts(convert, '{"a": 1}') and isinstance((convert or str)('{"a": 1}'), dict)


def keys_of(convert: Any) -> Iterator[str]:
    """Yield the fields of the configuration class that a converter fills; it is kept in its defaults or closure."""
    held = [*(getattr(convert, "__defaults__", None) or ())]
    held += [cell.cell_contents for cell in getattr(convert, "__closure__", None) or ()]
    for item in held:
        if isinstance(item, type) and is_dataclass(item):
            yield from (field.name for field in fields(item) if field.init)
        elif callable(item) and not isinstance(item, type):
            yield from keys_of(item)


def describe_quantizations() -> dict[str, dict[str, Any]]:
    """Give each method its least compute capability, and say which are on their way out."""
    from vllm.model_executor.layers.quantization import (
        DEPRECATED_QUANTIZATION_METHODS,
        QUANTIZATION_METHODS,
        get_quantization_config,
    )

    found = {}
    for name in sorted(QUANTIZATION_METHODS):
        least = get_quantization_config(name).get_min_capability()
        found[name] = {"capability": [least // 10, least % 10]}
        if name in DEPRECATED_QUANTIZATION_METHODS:
            found[name]["deprecated"] = True
    return found


def describe_architectures() -> dict[str, list[str]]:
    """Give each architecture what its class can do; `unread: …` where this environment cannot import it."""
    from vllm.model_executor.models.interfaces import supports_lora
    from vllm.model_executor.models.registry import _SPECULATIVE_DECODING_MODELS, ModelRegistry, _ModelInfo

    found = {}
    for name, registered in sorted(ModelRegistry.models.items()):
        try:
            model = registered.load_model_cls()
        except ImportError as error:
            missing = getattr(error, "name", None)
            found[name] = [f"unread: needs {missing}" if missing else "unread: needs another device"]
            continue
        info = _ModelInfo.from_model_cls(model)
        found[name] = ["draft"] if name in _SPECULATIVE_DECODING_MODELS else []
        found[name] += [word for field, word in ABILITIES.items() if getattr(info, field)]
        found[name] += ["lora"] if supports_lora(model) else []
        found[name] += [info.score_type] if info.score_type != "bi-encoder" else []
    return found


def describe_general() -> list[str]:
    """List what runs by classes of Transformers because the engine has none: models that generate, or once had one."""
    import transformers
    from transformers.models.auto import modeling_auto
    from vllm.model_executor.models.registry import _PREVIOUSLY_SUPPORTED_MODELS, ModelRegistry

    mappings = [item for name, item in vars(modeling_auto).items() if name.endswith("_MAPPING_NAMES")]
    classes = [item for mapping in mappings for item in mapping.values()]
    names = {name for item in classes for name in ([item] if isinstance(item, str) else item)}
    wanted = {name for name in names if name.endswith(GENERATING)} | set(_PREVIOUSLY_SUPPORTED_MODELS)
    return sorted(
        name for name in wanted - set(ModelRegistry.models) if runs_generally(getattr(transformers, name, None))
    )


def runs_generally(model: Any) -> bool:
    """Ask a class of Transformers what the engine asks it."""
    try:
        return bool(model.is_backend_compatible() or model._can_set_attn_implementation())  # noqa: SLF001 as vLLM does
    except (AttributeError, ImportError):
        return False


def describe_metrics(source: Path) -> Iterator[tuple[str, str]]:
    """Yield metric names as the source writes them, with their kind where they are written in the constructor's call.

    A counter's name is published with `_total`, a histogram's with `_bucket`, `_sum` and `_count`.
    """
    kinds: dict[str, str] = {}
    for path in sorted(source.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if "vllm:" in text:
            for name, kind in metrics_in(ast.parse(text)):
                kinds[name] = kind or kinds.get(name, "")
    yield from ((name, kind) for name, kind in kinds.items() if kind != "prefix")


def metrics_in(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield the metric names of one module; what is compared with `startswith` is a prefix."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and METRIC.fullmatch(node.value):
            yield node.value, ""
        if isinstance(node, ast.Call):
            called = getattr(node.func, "attr", getattr(node.func, "id", "")).lower()
            kind = "prefix" if called == "startswith" else next((kind for kind in METRIC_KINDS if kind in called), "")
            for given in [*node.args, *(keyword.value for keyword in node.keywords)]:
                if isinstance(given, ast.Constant) and METRIC.fullmatch(str(given.value)):
                    yield given.value, kind


def describe_environment(source: Path) -> list[str]:
    """List the variables of the registry, and those that other modules read by themselves."""
    from vllm import envs

    read = {name for path in source.rglob("*.py") for name in VARIABLE.findall(path.read_text(encoding="utf-8"))}
    return sorted(read | {name for name in envs.environment_variables if name.startswith("VLLM_")})


def render(table: dict[str, Any]) -> str:
    """Write one entry a line, so that two releases can be compared line by line."""
    return "{\n" + ",\n".join(f"{json.dumps(key)}: {_block(value)}" for key, value in table.items()) + "\n}\n"


def _block(value: Any) -> str:
    if isinstance(value, dict):
        return "{\n" + ",\n".join(f" {json.dumps(key)}: {json.dumps(item)}" for key, item in value.items()) + "\n}"
    if isinstance(value, list):
        return "[\n" + ",\n".join(f" {json.dumps(item)}" for item in value) + "\n]"
    return json.dumps(value)


if __name__ == "__main__":
    main()
