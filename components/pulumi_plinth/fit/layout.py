"""Values that the planner's modules share: a layout of one engine, its batch limits, lines of a bill, reasons."""

from __future__ import annotations

from dataclasses import dataclass

from pulumi_plinth.quantities import GIB

LARGE_GPU_BYTES = 70 * GIB
HUGE_GPU_BYTES = 160 * GIB


@dataclass(frozen=True, slots=True)
class Layout:
    """How one engine is spread: `tensor` x `pipeline` GPUs a copy, `data` copies, experts over `expert` GPUs."""

    tensor: int = 1
    pipeline: int = 1
    data: int = 1
    expert: int = 1

    @property
    def gpus_per_copy(self) -> int:
        """GPUs that hold one copy of the weights."""
        return self.tensor * self.pipeline

    @property
    def gpus(self) -> int:
        """All GPUs of the deployment."""
        return self.tensor * self.pipeline * self.data

    def __str__(self) -> str:
        """Write as people do: TP8 x PP2 x DP1."""
        expert = f", experts over {self.expert}" if self.expert > 1 else ""
        return f"TP{self.tensor} x PP{self.pipeline} x DP{self.data}{expert}"


@dataclass(frozen=True, slots=True)
class Batch:
    """What the engine computes at once: `tokens` in one step, of at most `sequences` requests."""

    tokens: int
    sequences: int


WHOLE_PROMPTS = ("bert", "roberta", "xlm-roberta", "modernbert", "nomic_bert", "new", "gte")
"""Types that read a text in both directions: the engine never cuts it, so that a step must hold the longest one (0.32,
`ModelConfig.is_chunked_prefill_supported`; torch-spyre/sendnn-inference#851)."""


def default_batch(gpu_bytes: int, gpu: str = "") -> Batch:
    """Return vLLM's own limits for its API server (0.32, `EngineArgs.get_batch_defaults`): by memory of the GPU."""
    if gpu_bytes >= HUGE_GPU_BYTES:
        return Batch(16_384, 1024)
    if gpu_bytes >= LARGE_GPU_BYTES and "a100" not in gpu.lower():
        return Batch(8192, 1024)
    return Batch(2048, 256)


@dataclass(frozen=True, slots=True)
class Reason:
    """One decision with its inputs and arithmetic."""

    subject: str
    text: str


@dataclass(frozen=True, slots=True)
class Misfit:
    """Why something does not fit or is not allowed: the rule's name, what is wrong, what to do instead."""

    rule: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        """Render as one sentence."""
        return f"{self.problem}; {self.remedy}"
