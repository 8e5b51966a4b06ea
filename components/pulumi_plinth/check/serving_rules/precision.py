"""Rules about number formats: what a GPU's generation, a model and a release can compute together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pulumi_plinth.check.core import Verdict, refuse, warn
from pulumi_plinth.check.serving import Serving
from pulumi_plinth.check.serving_rules import values
from pulumi_plinth.check.serving_rules.releases import (
    AWQ_FLOAT16_ONLY,
    BFLOAT16_REFUSED,
    CONSUMER_FP4,
    FLASH_ATTENTION_4,
    FP8_BLOCKS_NATIVE,
    METHODS,
    NEWEST,
    release,
)
from pulumi_plinth.check.subject import Subject
from pulumi_plinth.fit.capability import (
    BFLOAT16,
    E4M3,
    FLOAT16_REFUSED,
    NATIVE_FP8,
    capability_misfits,
    oldest,
    reads_e4m3,
)

FLOAT16_KERNELS = ("awq", "gptq")
MADE_BEFORE = ("awq", "gptq", "compressed-tensors", "modelopt", "mxfp4", "quark")
"""Methods that a checkpoint is made with; others are applied while it is loaded."""

BACKENDS: Mapping[str, tuple[int, int]] = {
    "FLASH_ATTN": (8, 0), "FLASHINFER": (7, 5), "FLASHMLA": (9, 0), "FLASH_ATTN_MLA": (9, 0), "CUTLASS_MLA": (10, 0),
    "FLASHINFER_MLA": (10, 0),
}  # fmt: skip
"""Attention backend -> least capability."""

HOPPER = 9
CONSUMER_BLACKWELL = (12, 0)
CARRIED = ("fp8-cache", "quantization", "bfloat16")
"""Rules of the planner that hold for every release."""


def generation(subject: Subject) -> Iterator[Verdict]:
    """Hold that the release's builds must carry kernels for the GPU."""
    serving = subject.serving
    found, least = values.capability(serving), oldest(serving.version)
    if found and found < least:
        of = f"vLLM {release(serving.version)}" if serving.version else "vLLM of any release"
        problem = f"compute capability {_dotted(found)} is below {_dotted(least)}, the least that {of} has kernels for"
        yield refuse("gpu-generation", "gpu", problem, "take a newer GPU, or an older release where one knows this GPU")


def carried(subject: Subject) -> Iterator[Verdict]:
    """Hold what the planner holds for a generation: e4m3 caches, methods, models that need bfloat16."""
    serving = subject.serving
    found = values.capability(serving)
    if serving.card is None or found is None:
        return
    asked, version = serving.arguments.get("kv-cache-dtype"), serving.version
    if reads_e4m3(found, version, serving.card, _backend(serving)):
        asked = None
    for misfit in capability_misfits(serving.card, found, asked, version):
        if misfit.rule in CARRIED and not (misfit.rule == "bfloat16" and values.dtype(serving) == "float32"):
            yield refuse(misfit.rule, "gpu", misfit.problem, misfit.remedy)


def cache_format(subject: Subject) -> Iterator[Verdict]:
    """Hold that e4m3 caches need hardware for them, whatever the model."""
    serving = subject.serving
    found, asked = values.capability(serving), serving.arguments.get("kv-cache-dtype", "").lower()
    bare = serving.card is None and found is not None and found < NATIVE_FP8
    if bare and found and asked in E4M3 and not reads_e4m3(found, serving.version, None, _backend(serving)):
        problem = f"an e4m3 cache needs capability 8.9, this GPU has {_dotted(found)}"
        yield refuse("fp8-cache", "--kv-cache-dtype", problem, "write fp8_e5m2 or leave the cache in 16 bit")


def cache_of_fp8_weights(subject: Subject) -> Iterator[Verdict]:
    """Hold that e5m2 caches do not go with fp8 checkpoints."""
    asked = subject.serving.arguments.get("kv-cache-dtype", "").lower()
    if asked == "fp8_e5m2" and values.method(subject) in ("fp8", "modelopt"):
        problem = "an e5m2 cache does not go with an fp8 checkpoint"
        yield refuse("fp8-cache", "--kv-cache-dtype", problem, "write fp8 (capability 8.9) or leave it in 16 bit")


def asked_bfloat16(subject: Subject) -> Iterator[Verdict]:
    """Hold that bfloat16 that is asked for needs capability 8.0."""
    found = values.capability(subject.serving)
    if found and found < BFLOAT16 and values.dtype(subject.serving) == "bfloat16":
        problem = f"bfloat16 needs compute capability 8.0, this GPU has {_dotted(found)}"
        yield refuse("bfloat16", "--dtype", problem, "write float16, unless the model forbids it")


def bfloat16_of_the_model(subject: Subject) -> Iterator[Verdict]:
    """Hold that a bfloat16 model with --dtype auto stops older releases on old GPUs; newer ones compute in float16."""
    serving = subject.serving
    found = values.capability(serving)
    made_so = serving.card is not None and serving.card.dtype == "bfloat16"
    if not (found and found < BFLOAT16 and made_so and values.dtype(serving) is None):
        return
    problem = f"the model is bfloat16, capability {_dotted(found)} has none"
    if BFLOAT16_REFUSED.holds(serving.version):
        yield refuse("bfloat16", "--dtype", f"{problem}, and this release does not fall back", "write --dtype half")
    elif serving.version is None:
        yield warn("bfloat16", "--dtype", f"{problem}; releases before 0.9 refuse it", "write --dtype half")


def float16_denied(subject: Subject) -> Iterator[Verdict]:
    """Hold that some models overflow in float16 and are refused."""
    kind = values.model_type(subject.serving)
    if values.dtype(subject.serving) == "float16" and kind in FLOAT16_REFUSED:
        problem = f"the model type {kind} is numerically unstable in float16 and refused"
        yield refuse("float16", "--dtype", problem, "write bfloat16 or leave it out")


def method_generation(subject: Subject) -> Iterator[Verdict]:
    """Hold that a quantization method needs a generation, by release."""
    found, version = values.capability(subject.serving), subject.serving.version
    asked = values.method(subject)
    rows = [(span, least) for name, span, least in METHODS if name == asked]
    for span, least in rows:
        sure = len(rows) == 1 or span.last is None
        if found and found < least and span.holds(version, unknown=sure):
            problem = f"{asked} needs capability {_dotted(least)}, this GPU has {_dotted(found)}"
            yield refuse("quantization", "--quantization", problem, "take a newer GPU or another format")


def explicit_float16_kernels(subject: Subject) -> Iterator[Verdict]:
    """Hold that an explicit awq or gptq takes the kernel for float16 only."""
    serving = subject.serving
    asked = serving.arguments.get("quantization", "").lower()
    made = serving.card.dtype if serving.card else ""
    narrow = asked in FLOAT16_KERNELS and AWQ_FLOAT16_ONLY.holds(serving.version, unknown=True)
    if narrow and (values.dtype(serving) or made) == "bfloat16":
        problem = f"--quantization {asked} computes in float16 only, the model is bfloat16"
        yield refuse("quantization-dtype", "--quantization", problem, "leave the flag out, or write --dtype half")


def method_of_the_checkpoint(subject: Subject) -> Iterator[Verdict]:
    """Hold that a flag must name the method the checkpoint was made with, and that a plain one has none."""
    serving = subject.serving
    asked = serving.arguments.get("quantization", "").lower()
    made = serving.card.quantization.method if serving.card and serving.card.quantization else ""
    plain = serving.card is not None and bool(serving.card.layers) and not made
    if asked and made and _family(asked) != _family(made) and _family(made) in MADE_BEFORE:
        problem = f"the checkpoint was made with {made}, the flag says {asked}"
        yield refuse("quantization-checkpoint", "--quantization", problem, "leave the flag out")
    elif asked and plain and _family(asked) in MADE_BEFORE:
        problem = f"{asked} needs a checkpoint that was made so, {serving.model or 'the model'} is not quantised"
        yield refuse("quantization-checkpoint", "--quantization", problem, "name the quantised repository")


def attention_backend(subject: Subject) -> Iterator[Verdict]:
    """Hold that an attention backend needs a generation."""
    serving, found = subject.serving, values.capability(subject.serving)
    asked = _backend(serving)
    least = BACKENDS.get(asked.upper().removesuffix("_VLLM_V1"))
    if found and least and found < least:
        problem = f"{asked} needs capability {_dotted(least)}, this GPU has {_dotted(found)}"
        yield refuse("attention-backend", "--attention-backend", problem, "leave it out, or write TRITON_ATTN")


def flash_attention_of_fp8(subject: Subject) -> Iterator[Verdict]:
    """Hold that FlashAttention reads fp8 caches in its third version on Hopper, in its fourth on Blackwell."""
    serving, found = subject.serving, values.capability(subject.serving)
    asked = _backend(serving)
    if found is None or not asked.upper().startswith("FLASH_ATTN") or "MLA" in asked.upper():
        return
    reads = found[0] == HOPPER or (found[0] > HOPPER and FLASH_ATTENTION_4.holds(serving.version, unknown=True))
    if serving.arguments.get("kv-cache-dtype", "").startswith("fp8") and not reads:
        problem = f"FlashAttention reads no fp8 cache on capability {_dotted(found)}"
        yield refuse("attention-backend", "--attention-backend", problem, "leave it out, or write FLASHINFER")


def too_new(subject: Subject) -> Iterator[Verdict]:
    """Hold that a release older than the GPU has no kernels for it."""
    found, version = values.capability(subject.serving), subject.serving.version
    first = next((first for least, first in reversed(NEWEST) if found and found >= least), None)
    if found and version and first and version < first:
        problem = f"capability {_dotted(found)} has kernels since vLLM {release(first)}, this is {release(version)}"
        yield refuse("gpu-generation", "image", problem, f"take release {release(first)} or later")


def fp8_blocks(subject: Subject) -> Iterator[Verdict]:
    """Hold that older releases compute block-wise fp8 only where hardware does."""
    serving = subject.serving
    found, made = values.capability(serving), serving.card.quantization if serving.card else None
    blocks = made is not None and made.method == "fp8" and (made.format or "").startswith("e4m3")
    if found and found < NATIVE_FP8 and blocks and FP8_BLOCKS_NATIVE.holds(serving.version):
        problem = f"block-wise fp8 needs capability 8.9 in this release, the GPU has {_dotted(found)}"
        yield refuse("fp8-weights", "gpu", problem, "take release 0.9 or later, or a checkpoint in another format")


def kernels_of_the_image(subject: Subject) -> Iterator[Verdict]:
    """Hold that one of the generations an image was built for runs on the GPU: the same major one, not a later minor.

    An RTX 5090 finds nothing in a list that ends with 9.0 (vllm-project/production-stack#528).
    """
    found, built = values.capability(subject.serving), subject.serving.image_facts.kernels
    if found and built and not any(kernel[0] == found[0] and kernel <= found for kernel in built):
        shown = ", ".join(_dotted(kernel) for kernel in built)
        problem = f"the image has kernels for {shown}, this GPU has {_dotted(found)}"
        yield refuse("gpu-generation", "image", problem, "take an image that is built for this GPU")


def consumer_fp4(subject: Subject) -> Iterator[Verdict]:
    """Hold that 4-bit floats came later to GPUs of capability 12 than to data centres' Blackwell."""
    found, version, asked = values.capability(subject.serving), subject.serving.version, values.method(subject)
    small = "fp4" in asked and not asked.startswith("mxfp4")
    if small and found and found >= CONSUMER_BLACKWELL and version and (0,) < version < CONSUMER_FP4:
        problem = f"{asked} has kernels for capability {_dotted(found)} since {release(CONSUMER_FP4)}"
        yield refuse("quantization", "--quantization", problem, f"take release {release(CONSUMER_FP4)} or later")


def _backend(serving: Serving) -> str:
    return serving.arguments.get("attention-backend") or serving.environment.get("VLLM_ATTENTION_BACKEND", "")


def _dotted(capability: tuple[int, int]) -> str:
    return f"{capability[0]}.{capability[1]}"


def _family(method: str) -> str:
    plain = method.removeprefix("auto_").removesuffix("_marlin")
    return "modelopt" if plain.startswith("modelopt") else plain
