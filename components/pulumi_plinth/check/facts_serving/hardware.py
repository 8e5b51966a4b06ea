"""GPUs and machines in loosely written facts: names to capability and memory, counts, drivers. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from pulumi_plinth.check.facts_place_words import Facts
from pulumi_plinth.check.facts_serving.known import Known
from pulumi_plinth.check.facts_serving.words import below, capability_of
from pulumi_plinth.check.images import processor_of
from pulumi_plinth.check.serving import Gpu, Host, Version
from pulumi_plinth.fit.shapes import GDDR_VISIBLE_SHARE, HBM_VISIBLE_SHARE, Shape
from pulumi_plinth.quantities import GIB

GPUS: Mapping[str, tuple[tuple[int, ...], tuple[int, int] | None]] = {
    "mi355x": ((288,), None), "mi325x": ((256,), None), "mi300x": ((192,), None), "mi250": ((128,), None),
    "mi210": ((64,), None), "gaudi3": ((128,), None), "gaudi2": ((96,), None),
    "gb300": ((278,), (10, 3)), "gb200": ((192,), (10, 0)), "gh200": ((96, 144), (9, 0)), "b300": ((262,), (10, 3)),
    "b200": ((180,), (10, 0)), "h200": ((141,), (9, 0)), "h100": ((80, 94), (9, 0)), "h800": ((80,), (9, 0)),
    "h20": ((96, 141), (9, 0)), "a100": ((40, 80), (8, 0)), "a800": ((40, 80), (8, 0)), "a30": ((24,), (8, 0)),
    "a40": ((48,), (8, 6)), "a10g": ((24,), (8, 6)), "a10": ((24,), (8, 6)), "a16": ((16,), (8, 6)),
    "a2": ((16,), (8, 6)), "l40s": ((48,), (8, 9)), "l40": ((48,), (8, 9)), "l20": ((48,), (8, 9)),
    "l4": ((24,), (8, 9)), "t4": ((16,), (7, 5)), "v100": ((16, 32), (7, 0)), "p100": ((12, 16), (6, 0)),
    "p40": ((24,), (6, 1)), "p4": ((8,), (6, 1)), "k80": ((12,), (3, 7)), "m60": ((8,), (5, 2)),
    "m40": ((12, 24), (5, 2)), "rtx 6000 ada": ((48,), (8, 9)), "rtx pro 6000": ((96,), (12, 0)),
    "a6000": ((48,), (8, 6)), "a5000": ((24,), (8, 6)), "a4000": ((16,), (8, 6)), "rtx 8000": ((48,), (7, 5)),
    "rtx 6000": ((24,), (7, 5)), "5090": ((32,), (12, 0)), "5080": ((16,), (12, 0)), "4090": ((24,), (8, 9)),
    "4080": ((16,), (8, 9)), "4070": ((12,), (8, 9)), "4060": ((8, 16), (8, 9)), "3090": ((24,), (8, 6)),
    "3080": ((10, 12), (8, 6)), "3070": ((8,), (8, 6)), "3060": ((8, 12), (8, 6)), "2080 ti": ((11,), (7, 5)),
    "2080": ((8,), (7, 5)), "2070": ((8,), (7, 5)), "2060": ((6, 12), (7, 5)), "1080 ti": ((11,), (6, 1)),
    "1080": ((8,), (6, 1)), "1070": ((8,), (6, 1)), "1060": ((6,), (6, 1)), "titan rtx": ((24,), (7, 5)),
    "titan v": ((12,), (7, 0)), "titan xp": ((12,), (6, 1)),
}  # fmt: skip
"""GPU -> sizes it is sold in, GiB, and NVIDIA's compute capability. Longer names before those they hold."""

WITHOUT_ECC = re.compile(r"^(titan|rtx|\d{4}|a[456]000)")
WITHOUT_ECC_SHARE = 0.98
"""Cards that are sold without error correction, or with it switched off, show nearly all of their memory: 23.58 GiB of
an RTX 3090 (vllm-project/vllm#10517)."""

HBM = re.compile(r"^(gb|gh|b|h|mi|gaudi)\d|^a100|^a800|^a30$|^v100|^p100")
COUNT_KEYS = (
    "(num_|number_of_|total_)?gpus(_per_node|_on_node|_per_pod|_total)?|gpu_(count|num|limit)"
    "|((resources_)?limits_)?(nvidia|amd)_com_gpu"
)
GIGABYTE = 10**9
SAME_CARD = 0.12
"""Difference up to which a stated size means the card that is named anyway: GDDR hides 8 % of itself."""

GPU_KEYS = "hardware|(node_|gpu_)?(gpus?|gpu_(name|type|model|kind|product)|accelerators?|card|devices?)"
LABEL_KEYS = "(node_|gpu_)label(_product)?|(actual|real|found|node)_(gpu|accelerator|product)|gpu_product|product"
INSTANCE_KEYS = "instance(_type)?|shape|vm_size|machine_type|node_shape|instance_types?|flavor"
FAMILIES = (
    (r"g4dn\.|standard_nc\d+as_t4|n1-.*t4", "T4"), (r"g5g?\.", "A10G"), (r"g6\.", "L4"), (r"g6e\.", "L40S"),
    (r"p3dn\.", "V100 32GB"), (r"p3\.|standard_nc\d+s_v3", "V100 16GB"), (r"p4d\.|a2-highgpu", "A100 40GB"),
    (r"p4de\.|a2-ultragpu|standard_nc\d+ads_a100", "A100 80GB"),
    (r"p5\.|a3-highgpu|standard_nd96isr_h100", "H100 80GB"),
    (r"p5en?\.|a3-ultragpu", "H200"), (r"g2-standard", "L4"), (r"standard_nv\d+ads_a10", "A10 24GB"),
)  # fmt: skip
"""Families of instances and their GPU; sizes with a row in shapes.csv are found there."""

MANAGED_CUDA_BELOW: tuple[tuple[str, Version], ...] = (("oci data science", (11, 8)),)
"""Managed services with a driver of their own, and a CUDA release that it is below
(oracle-samples/oci-data-science-ai-samples#363).
"""


def read_gpu(facts: Facts, known: Known) -> Gpu:
    """Read the GPU: what the shape has, then what is stated."""
    shape = _shape(facts, known)
    gpu = _of_shape(shape) if shape else Gpu()
    texts = (facts.text(pattern) for pattern in (GPU_KEYS, LABEL_KEYS, "partition|mig(_profile)?"))
    said = " ".join(text for text in texts if text) or ("" if shape else _family(facts))
    resource = facts.text("(gpu_)?resource(_name)?") or ""
    sliced = "/mig-" in resource or facts.has("(.+_)?nvidia_com_mig_.+")
    named = gpu_of(said)
    count = _count(facts, said)
    gpu = replace(
        gpu,
        name=named.name or gpu.name,
        capability=named.capability or gpu.capability,
        memory_bytes=named.memory_bytes or gpu.memory_bytes,
        count=gpu.count if count is None else count,
        mig=named.mig or sliced,
    )
    return _stated(facts, gpu)


def gpu_of(text: str) -> Gpu:
    """Read a GPU's name: `NVIDIA-A100-SXM4-40GB`, `2x RTX 3090`, `H100 80GB MIG 2g.20gb`, `16GB`."""
    lower = re.sub(r"[-_/]+", " ", text.lower())
    family = next((name for name in GPUS if re.search(rf"(?<![a-z0-9.]){_loose(name)}(?![0-9])", lower)), None)
    slice_ = re.search(r"\d+g[. ](\d+)gb", lower)
    mig = bool(slice_) or re.search(r"\bmig\b", lower) is not None
    size = re.search(r"(?<![\w.])(\d{1,3}(?:\.\d+)?)\s*g(?:i?b)?\b", lower)
    if family is None and not size and not slice_:
        return Gpu(mig=mig)
    sold = GPUS[family][0] if family else ()
    gib = float(slice_[1]) if slice_ else float(size[1]) if size else float(max(sold))
    share = _share(family)
    name = f"{family.upper()} {gib:g}GB" if family else None
    return Gpu(name, GPUS[family][1] if family else None, None, round(gib * share * GIB), None, mig)


def _share(family: str | None) -> float:
    if family and HBM.match(family):
        return HBM_VISIBLE_SHARE
    return WITHOUT_ECC_SHARE if family and WITHOUT_ECC.match(family) else GDDR_VISIBLE_SHARE


def read_host(facts: Facts) -> Host:
    """Read processor and driver."""
    driver = facts.text("(nvidia_|gpu_|node_)?driver(_version|_branch)?|nvidia_driver_version") or ""
    branch = re.search(r"(?<![\d.])(\d{3})(?![\d])", driver)
    cuda = re.search(r"cuda\D{0,3}(\d+)\.(\d+)", driver.lower()) or re.search(
        r"(\d+)\.(\d+)", facts.text("(driver|node|host|max)_cuda(_version)?|cuda_(driver|host|node)") or ""
    )
    service = (facts.text("service|platform|managed_by") or "").lower()
    return Host(
        architecture=processor_of(facts.text("(host|node|cpu|machine)(_arch\\w*)?|arch(itecture)?|processor") or ""),
        driver=int(branch[1]) if branch else None,
        cuda=(int(cuda[1]), int(cuda[2])) if cuda else None,
        cuda_below=next((cuda for name, cuda in MANAGED_CUDA_BELOW if name in service), None),
    )


def read_nodes(facts: Facts) -> int | None:
    """Read how many nodes one engine has."""
    number = facts.number(
        "(num_|node_)?nodes|(node_)?count(_asked)?|nnodes|node_count_per_replica|lws_size|group_size_pods"
    )
    if number is None and "leaderworker" in facts.raw("kind|workload|controller").lower():
        number = facts.number("size|group_size")
    return int(number) if number else None


def _shape(facts: Facts, known: Known) -> Shape | None:
    named = (facts.text(INSTANCE_KEYS) or "").strip().lower()
    return next((shape for name, shape in known.shapes.items() if name.lower() == named), None)


def _family(facts: Facts) -> str:
    """Return the GPU of an instance's family, where the very instance is in no table."""
    named = (facts.text(INSTANCE_KEYS) or "").strip().lower()
    return next((gpu for pattern, gpu in FAMILIES if re.match(pattern, named)), "")


def _of_shape(shape: Shape) -> Gpu:
    gib = f"{shape.gpu.upper().removesuffix('-80GB').removesuffix('-32GB')} {shape.gpu_memory_gib:g}GB"
    return Gpu(gib, shape.capability, None, shape.usable_bytes, shape.gpus)


def _count(facts: Facts, said: str) -> int | None:
    number = facts.number(COUNT_KEYS)
    if number:
        return int(number)
    found = re.search(r"(?<![\w.])(\d{1,2})\s*(?:x|×|\*)\s*[a-z]", said.lower())  # noqa: RUF001 people write that sign
    return int(found[1]) if found else None


def _stated(facts: Facts, gpu: Gpu) -> Gpu:
    """Put stated capability and memory over what names say."""
    capability = facts.text("(gpu_)?(compute_)?capability|cc|sm|cuda_arch|compute_cap")
    memory = facts.size(
        "(gpu(_memory|_mem|_vram|_ram)?|vram|memory_per_gpu|total)(_per_gpu|_each)?_(gb|gib|bytes)|gpu_memory|vram|total(_gpu)?_memory"
    )
    if capability and (number := capability_of(capability)):
        gpu = replace(gpu, below=number, capability=None) if below(capability) else replace(gpu, capability=number)
    if memory:
        shown = int(memory) if facts.has("total_gib|total_memory") else _shown(int(memory), gpu)
        gpu = replace(gpu, memory_bytes=shown)
    free = facts.size(
        "(gpu_)?(free|available)(_gpu)?(_memory)?(_at_start)?_(gb|gib|bytes)|free(_gpu)?_(memory|vram)", min
    )
    taken = facts.size("(already_)?used(_gpu)?(_memory)?_(gb|gib)|other_process(es)?(_memory)?_(gb|gib)", max)
    if free is None and taken and gpu.memory_bytes:
        free = max(gpu.memory_bytes - taken, 0)
    return replace(gpu, free_bytes=int(free) if free is not None else None)


def _shown(stated: int, gpu: Gpu) -> int:
    """Return what a process sees of stated memory: a round number is the vendor's and not all of it is seen."""
    if gpu.memory_bytes and abs(stated / gpu.memory_bytes - 1) < SAME_CARD:
        return gpu.memory_bytes
    return stated if stated % GIGABYTE else round(stated / GIGABYTE * HBM_VISIBLE_SHARE * GIB)


def _loose(name: str) -> str:
    return re.escape(name).replace(r"\ ", r"\s*")
