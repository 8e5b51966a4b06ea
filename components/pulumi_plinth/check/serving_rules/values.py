"""Reading a subject: flags as numbers and switches, sizes of the layout, the GPU's budget. No rule is made here."""

from __future__ import annotations

import re

from pulumi_plinth.check.serving import Serving
from pulumi_plinth.check.subject import Subject
from pulumi_plinth.quantities import GIB

UTILIZATION = 0.90
"""What an engine takes of a GPU where nobody says (0.90 until 0.1x, 0.92 in 0.32; the smaller one judges milder)."""

ON = frozenset({"", "true", "1", "yes", "on", "enabled"})
OFF = frozenset({"false", "0", "no", "off", "disabled", "none", "absent"})
DTYPES = {"half": "float16", "fp16": "float16", "bf16": "bfloat16", "float": "float32", "fp32": "float32"}
UNITS = {"": 1, "k": 10**3, "K": 1 << 10, "m": 10**6, "M": 1 << 20}


def whole(serving: Serving, flag: str) -> int | None:
    """Return a flag's number; `32k` and `32K` as the engine reads them."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([kKmM]?)", serving.arguments.get(flag, "").strip())
    return int(float(match[1]) * UNITS[match[2]]) if match else None


def fraction(serving: Serving, flag: str) -> float | None:
    """Return a flag's number with a fraction."""
    text = serving.arguments.get(flag, "").strip()
    return float(text) if re.fullmatch(r"\d*\.?\d+", text) else None


def switched(serving: Serving, flag: str) -> bool | None:
    """Tell whether a switch is on, also through its `no-` form; None where nobody says."""
    if f"no-{flag}" in serving.arguments:
        return False
    text = serving.arguments.get(flag)
    if text is None:
        return None
    word = text.lower().split()[0].strip(",;") if text.strip() else ""
    return True if word in ON else False if word in OFF else None


def tensor(serving: Serving) -> int:
    """GPUs that share every layer."""
    return whole(serving, "tensor-parallel-size") or 1


def pipeline(serving: Serving) -> int:
    """Stages."""
    return whole(serving, "pipeline-parallel-size") or 1


def length(serving: Serving, own: int) -> int:
    """Tokens that a request may have: as asked, else the model's `own`; 0 where the engine finds what fits."""
    if serving.arguments.get("max-model-len", "").strip().lower() in ("auto", "-1"):
        return 0
    return whole(serving, "max-model-len") or own


def offloaded(serving: Serving) -> float:
    """Bytes of weights of each GPU that lie in host memory."""
    return (fraction(serving, "cpu-offload-gb") or 0.0) * GIB


def gpus_there(serving: Serving) -> int | None:
    """GPUs on all nodes; None where nobody counts them."""
    return serving.gpu.count * (serving.nodes or 1) if serving.gpu.count is not None else None


def sizes_known(serving: Serving) -> bool:
    """Whether it is known how a copy is spread: somebody says it, or a whole command line does not."""
    return serving.commanded or bool({"tensor-parallel-size", "pipeline-parallel-size"} & set(serving.arguments))


def gpus_used(serving: Serving) -> int:
    """GPUs that hold one copy of the weights: as asked, else all there are."""
    if sizes_known(serving):
        return tensor(serving) * pipeline(serving)
    return gpus_there(serving) or 1


def utilization(serving: Serving) -> float:
    """Share of each GPU that the engine may take."""
    return fraction(serving, "gpu-memory-utilization") or UTILIZATION


def dtype(serving: Serving) -> str | None:
    """Return the number format asked for; None for auto."""
    text = serving.arguments.get("dtype", "").lower().removeprefix("torch.")
    return DTYPES.get(text, text) if text and text != "auto" else None


def method(subject: Subject) -> str:
    """Return the quantization method: what the flag asks, else what the checkpoint is; '' for none."""
    serving = subject.serving
    asked = serving.arguments.get("quantization", "").lower()
    made = serving.card.quantization.method if serving.card and serving.card.quantization else ""
    return asked if asked and asked not in OFF else made


def capability(serving: Serving) -> tuple[int, int] | None:
    """Return the GPU's generation; where it is only known to be below one, the one before."""
    below = serving.gpu.below
    if serving.gpu.capability or below is None:
        return serving.gpu.capability
    return (below[0], below[1] - 1) if below[1] else (below[0] - 1, 9)


def model_type(serving: Serving) -> str:
    """Return the model's type, '' where it is not known."""
    return serving.card.model_type if serving.card and serving.card.model_type != "unknown" else ""


def speculative(serving: Serving) -> bool:
    """Whether draft tokens are asked for."""
    flags = ("speculative-config", "speculative-model", "num-speculative-tokens")
    return any(serving.arguments.get(flag, "0").lower() not in OFF for flag in flags)
