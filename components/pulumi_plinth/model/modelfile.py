"""ModelfileSpec: what Ollama's Modelfile says beyond weights, and the table of its parameters. Pure."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from pulumi_plinth.errors import nearest
from pulumi_plinth.quantities import Text
from pulumi_plinth.spec import Spec

PARAMETERS = MappingProxyType(
    {
        **dict.fromkeys(
            (
                "num_ctx", "num_batch", "num_gpu", "main_gpu", "num_thread", "draft_num_predict", "num_keep", "seed",
                "num_predict", "top_k", "repeat_last_n",
            ),
            int,
        ),
        **dict.fromkeys(
            (
                "top_p", "min_p", "typical_p", "temperature", "repeat_penalty", "presence_penalty",
                "frequency_penalty",
            ),
            float,
        ),
        "use_mmap": bool,
        "stop": list,
    }
)  # fmt: skip
"""Parameter -> type. `stop` may be repeated."""

RETIRED = frozenset(
    {"mirostat", "mirostat_eta", "mirostat_tau", "low_vram", "f16_kv", "logits_all", "vocab_only", "use_mlock",
     "penalize_newline", "tfs_z", "numa"}
)  # fmt: skip
"""Parameters that Ollama reads and ignores, with a warning."""

_ELSEWHERE = MappingProxyType(
    {
        "max_tokens": "num_predict", "max_new_tokens": "num_predict", "n_predict": "num_predict", "n_ctx": "num_ctx",
        "context_length": "num_ctx", "max_length": "num_ctx", "ctx_size": "num_ctx", "n_gpu_layers": "num_gpu",
        "gpu_layers": "num_gpu", "num_gpu_layers": "num_gpu", "n_threads": "num_thread", "threads": "num_thread",
        "repetition_penalty": "repeat_penalty", "n_batch": "num_batch", "temp": "temperature",
    }
)  # fmt: skip
"""What other programs call a parameter -> what Ollama calls it."""

_INT_LIMIT = 1 << 63
_WORDS = {int: "a whole number", float: "a number", bool: "true or false", list: "text"}


def read_parameter(name: str, value: Any) -> Any:
    """Read one parameter's value by the table. Raises ValueError as `problem; remedy`."""
    kind = PARAMETERS.get(name)
    if kind is None:
        known = f"write {_ELSEWHERE[name]}" if name in _ELSEWHERE else nearest(name, PARAMETERS)
        raise ValueError(f"is an unknown parameter '{name[:40]}'; {known or 'remove it'}")
    if kind is list:
        return [str(item) for item in (value if isinstance(value, (list, tuple)) else [value])]
    text = str(value).strip()
    if kind is bool and text.lower() in {"true", "false", "1", "0", "t", "f"}:
        return text.lower() in {"true", "1", "t"}
    if kind is int and re.fullmatch(r"[+-]?\d{1,19}", text) and abs(int(text)) < _INT_LIMIT:
        return int(text)
    if kind is float and re.fullmatch(r"[+-]?(\d{1,30}(\.\d{0,30})?|\.\d{1,30})([eE][+-]?\d{1,2})?", text):
        return float(text)
    raise ValueError(f"is not {_WORDS[kind]}, which {name} needs; write for example {_EXAMPLES[kind]}")


_EXAMPLES = {int: "4096", float: "0.7", bool: "true", list: '"<|im_end|>"'}


def read_version(value: str) -> str:
    """Read a semantic version."""
    if not re.fullmatch(r"v?\d{1,9}\.\d{1,9}(\.\d{1,9})?([-+][0-9A-Za-z.+-]{1,80})?", value):
        raise ValueError("is not a version; write for example 0.14.0")
    return value


def _parameters(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {str(name): read_parameter(str(name), item) for name, item in value.items()}


def _no_triple_quote(value: str) -> str:
    if '"""' in value:
        raise ValueError('holds """, which a Modelfile cannot quote; write it another way')
    return value


Quotable = Annotated[str, AfterValidator(_no_triple_quote)]


class Message(Spec):
    """One turn of an example conversation."""

    role: Literal["system", "user", "assistant"] = Field(description="Who speaks, in lower case. Required.")
    content: Quotable = Field(description="What is said. Required.")


class ModelfileSpec(Spec):
    """Deployment by Ollama: template, system prompt and run-time parameters."""

    base: Text | None = Field(
        default=None,
        description="FROM as written: a name of Ollama's library, a GGUF file or a folder. Default: the weights.",
    )
    template: Quotable | None = Field(
        default=None, description="Deployment template, Go text/template. Default: none; Ollama then guesses one."
    )
    system: Quotable | None = Field(default=None, description="System prompt. Default: the template's own.")
    parameters: Annotated[dict[str, Any], BeforeValidator(_parameters)] = Field(
        default_factory=dict, description="Run-time parameters by Ollama's names. Default: Ollama's."
    )
    messages: tuple[Message, ...] = Field(default=(), description="Example conversation. Default: none.")
    licenses: tuple[Quotable, ...] = Field(default=(), description="License texts. Default: none.")
    draft: Text | None = Field(default=None, description="Draft model for speculation. Default: none.")
    renderer: Text | None = Field(default=None, description="Built-in prompt renderer. Default: the template.")
    parser: Text | None = Field(default=None, description="Built-in output parser. Default: none.")
    requires: Annotated[str, AfterValidator(read_version)] | None = Field(
        default=None, description="Least version of Ollama, such as 0.14.0. Default: any."
    )
    quantize: Literal["q4_K_M", "q4_K_S", "q8_0"] | None = Field(
        default=None, description="Quantise on create. Default: none, the weights as they are."
    )
