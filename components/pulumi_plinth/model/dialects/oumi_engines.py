"""Oumi's inference engines: which load weights, which ask a provider, and where. Also its enumerations. Pure.

Oumi's configs name the members of its enumerations (`MERGED`, `GOOGLE_GEMINI`); its Python API knows their values too.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

from pulumi_plinth.model.dialects import values

ENGINES = MappingProxyType(
    {
        "OPENAI": ("openai", None),
        "ANTHROPIC": ("anthropic", None),
        "GOOGLE_GEMINI": ("gemini", None),
        "TOGETHER": ("compatible", "https://api.together.xyz/v1"),
        "DEEPSEEK": ("compatible", "https://api.deepseek.com/v1"),
        "FIREWORKS": ("compatible", "https://api.fireworks.ai/inference/v1"),
        "PARASAIL": ("compatible", "https://api.parasail.io/v1"),
        "SAMBANOVA": ("compatible", "https://api.sambanova.ai/v1"),
        "OPENROUTER": ("compatible", "https://openrouter.ai/api/v1"),
        "CEREBRAS": ("compatible", "https://api.cerebras.ai/v1"),
        "HUGGING_FACE_ROUTER": ("compatible", "https://router.huggingface.co/v1"),
    }
)
"""Engines that ask a provider -> provider and address."""

OURS = "VLLM"
LOADING = frozenset({"", "NATIVE", OURS, "SGLANG", "LLAMACPP", "REMOTE_VLLM"})
"""Engines that load weights, or ask a server of one's own that did."""

_VERTEX = "https://REGION-aiplatform.googleapis.com/v1beta1/projects/PROJECT/locations/REGION/endpoints/openapi"
ADDRESS_HINTS = MappingProxyType(
    {
        "GOOGLE_VERTEX": ("", _VERTEX, " with your project and region"),
        "BEDROCK": ("Bedrock does not speak OpenAI's API; put a gateway before it and ", "https://…", ""),
    }
)
"""Engines whose address depends on whose account it is -> what to write before, as and behind it."""

_INITS = MappingProxyType(
    {
        **{name: name.lower() for name in ("DEFAULT", "RANDOM", "GAUSSIAN", "EVA", "LOFTQ", "OLORA")},
        "PISA": "pissa",
        "PISSA_NITER": "pissa_niter_<int>",
    }
)


def read_engine(value: Any) -> str:
    """Read an engine by its member or value; "" for none."""
    name = str(value or "").rpartition(".")[2].upper()
    return "GOOGLE_GEMINI" if name == "GEMINI" else name


def read_init(value: Any) -> str:
    """Read how an adapter is initialised, by member or value."""
    name = values.text(value).rpartition(".")[2]
    return _INITS.get(name.upper(), name.lower())


def write_init(value: str) -> str:
    """Write it as Oumi's configs do."""
    return next((name for name, known in _INITS.items() if known == value), value)


def read_member(value: Any) -> str:
    """Read another enumeration whose values are its members in lower case."""
    return values.text(value).rpartition(".")[2].lower()
