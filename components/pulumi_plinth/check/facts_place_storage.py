"""Reads facts about weights, claims, buckets, downloads and the choice of a runtime. Pure."""

from __future__ import annotations

import re

from pulumi_plinth.check.facts_place_words import Facts, is_absent, number_of, version_of, words_of
from pulumi_plinth.check.place_storage import Access, Bucket, Claim, Download, RuntimeChoice, Runtimes, Weights

FORMATS = {
    "safetensors": r"safetensors", "bin": r"\.bin\b|pytorch|\bbin\b|pickle", "gguf": r"gguf", "pt": r"\.pth?\b",
}  # fmt: skip
SENDS_CHECKSUMS = {
    "boto": (1, 36), "aws-cli": (2, 23), "aws cli": (2, 23), "aws-sdk-js": (3, 729), "client-s3": (3, 729),
    "aws-sdk-java": (2, 30), "aws-sdk-go": (1, 73),
}  # fmt: skip
"""First releases of AWS's libraries that send checksums in chunks unless told otherwise (AWS: data integrity)."""

MODES = {"rwo": "ReadWriteOnce", "rox": "ReadOnlyMany", "rwx": "ReadWriteMany", "rwop": "ReadWriteOncePod"}
SIZES = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([MBT])?\s*(?:to|-|\.\.)\s*(\d+(?:\.\d+)?)\s*([MBT])\b.*", re.IGNORECASE)
SIZE_UNITS = {"M": 1e6, "B": 1e9, "T": 1e12}
DIFFERENCES = {
    "version": r"(another|other|different|older|newer)\b[^,;]*version",
    "architecture": r"(another|other|different)\b[^,;]*architecture",
    "quantization": r"(another|other|different|no)\b[^,;]*quanti[sz]ation",
    "format": r"(another|other|different)\b[^,;]*format",
}


def read_weights(facts: Facts) -> Weights:
    """Read what is said of the model's files."""
    files = [*(facts.words("(repo_|model_|remaining_)?files") or ()), *(facts.words("repo_weights") or ())]
    said = " ".join((*files, facts.text("(weights?_|checkpoint_|model_)?format") or ""))
    size = facts.size(
        "(model_|checkpoint_)?(weights?|checkpoint|model_size|weights?_size|model_bytes)(_g[bi]b?|_bytes|_tb)?"
        "|model_(g[bi]b?|tb)"
    )
    model = facts.text("model(_size)?") or ""
    return Weights(
        byte_count=size or None,
        formats=tuple(name for name, pattern in FORMATS.items() if re.search(pattern, said, re.IGNORECASE)),
        files=tuple(word for text in files for word in text.split() if re.search(r"\.\w+$", word)),
        download_seconds=_download_seconds(facts),
        large=True if re.fullmatch(r"(very )?(large|big|huge)\b.*", model.strip(), re.IGNORECASE) else None,
    )


def read_access(facts: Facts) -> Access:
    """Read what opens weights and images."""
    image = facts.text("image|registry|image_registry") or ""
    policy = facts.find("(bucket_|read_|object_storage_|iam_)?polic(y|ies)")
    return Access(
        gated=facts.flag("(model_)?gated"),
        token=facts.flag("hf_token|hugging_?face_(hub_)?token|(hf_|access_)token|model_access_secret|hf_secret"),
        secret_namespace=_secret_namespace(facts),
        pod_namespace=facts.text("(pod_|workload_|server_)namespace|namespace"),
        secret_key=facts.text("(token_|hf_)?secret_key|key_in_secret"),
        read_key=facts.text("(expected|read|env|wanted)_(secret_)?key|secret_key_(read|expected|wanted)"),
        private_image=True
        if re.search("private", image)
        else facts.flag("(private_registry|registry_private|image_private)"),
        pull_secret=facts.flag("image_pull_secrets?|pull_secrets?"),
        identity=facts.text("(bucket_|storage_|object_storage_)?(auth|identity|auth_type|authentication)"),
        created=facts.text("resource(_type)?|creates?"),
        in_home_region=_at_home(facts),
        dynamic_group=_dynamic_group(facts),
        policy=None if policy is None else not _missing(policy[1]),
    )


def read_claim(facts: Facts) -> Claim:
    """Read the persistent volume."""
    volume = facts.words("volume(_mode)?") or ()
    modes = (
        tuple(word for word in volume if word.lower() in MODES or word in MODES.values())
        or facts.words("(pvc?_|volume_|claim_)?access(_?modes?)?")
        or ()
    )
    users = facts.number("(mounted_by|pods|consumers|users|workloads|workers|pods_on_claim|mounting_pods)", max)
    affinity = facts.find("(pod_)?(co_?loc.*|affinity|same_node)")
    return Claim(
        modes=tuple(MODES.get(mode.strip().lower(), mode.strip()) for word in modes for mode in word.split(",")),
        users=users or facts.number("replicas|replica_count|max_replicas|autoscal(er|ing)_max(_replicas)?", max),
        same_node=None if affinity is None else not is_absent(affinity[1]),
        class_exists=facts.flag("storage_class_exists"),
        default_class=facts.flag("default_storage_class"),
        domain=facts.text("(volume|claim|pv|disk)_(ad|availability_domain|zone)"),
        storage_class=facts.text("storage_class(_name)?|(storage_)?provisioner|csi_driver"),
        size_bytes=facts.size(
            "(pvc|claim|volume|storage|persistent_volume)(_size|_request|_storage)?(_g[bi]b?|_bytes)?"
        ),
    )


def read_bucket(facts: Facts) -> Bucket:
    """Read the object storage."""
    region = facts.text("(region_(option|parsed|setting|flag)|(client|signing|aws|s3)_(default_)?region)")
    if region is None and facts.has("(s3_|bucket_|storage_)?endpoint(_url)?"):
        region = facts.text("region")
    home = facts.text("endpoint_region|bucket_region") or ""
    policy = facts.find("(service_|iam_)?polic(y|ies)")
    style = facts.text("(s3_)?addressing(_style)?|url_style|path_style(_access)?|force_path_style")
    return Bucket(
        tier=facts.text("(bucket_|object_)?(storage_)?tier"),
        endpoint=facts.text("(s3_|bucket_|storage_)?endpoint(_url)?"),
        endpoint_region=home if re.fullmatch(r"[a-z]+(-[a-z]+)+-\d", home) else None,
        home=None if not home else not re.search(r"\b(not|outside|other|another)\b", home),
        client_region=region,
        restored=facts.flag("restored"),
        checksums=_checksums(facts),
        operation=facts.text("operation|action") or _operation(facts),
        api=facts.text("(bucket_|storage_)?(api|protocol)"),
        service_policy=None if policy is None else not _missing(policy[1]),
        path_style=None
        if style is None
        else bool(re.search("path|true", style.lower())) and "false" not in style.lower(),
    )


def read_download(facts: Facts) -> Download:
    """Read how the weights come."""
    deadline = facts.find("(download(er)?|transfer|stall)_(timeout|deadline)(_seconds|_s)?")
    start = facts.find(
        "initial_delay(_seconds|_s)?|vllm_engine_ready_timeout(_s)?|(start|startup|ready|readiness)_(timeout|deadline|budget)(_seconds|_s)?"
    )
    return Download(
        uri=facts.text("(storage|model|weights)_ur[il]|source_uri"),
        revision=facts.text("(model_)?revision|looked_up(_revision)?"),
        cached_revision=facts.text("cached_revision|cache(d)?_(at|commit|ref|state|contents?)"),
        cached=False if facts.absent("(hf_|model_)?cache") else None,
        offline=facts.flag("(hf_hub_|transformers_|hf_)?offline(_mode)?"),
        ignore=facts.words("ignore(d)?_(patterns|files)|exclude(_patterns)?") or (),
        allow=facts.words("allow(ed)?_patterns|include(_patterns)?") or (),
        deadline_seconds=None if deadline is None else number_of(deadline[1], min),
        start_seconds=None if start is None else _granted(start[1]),
    )


def read_runtimes(facts: Facts) -> Runtimes:
    """Read which runtimes are on offer for the model."""
    choices = tuple(
        _choice(key, ", ".join(words_of(value)), facts)
        for key, value in facts.each(r"(serving_)?runtime(_[a-z]|_?\d+|_first|_second)?(_size(_range)?|_range)?")
    )
    model = facts.text("model(_size|_parameters?|_params)?") or ""
    low, high = _sizes(model) or _one_size(model)
    return Runtimes(choices, low, high, facts.text("model_(format|framework)(_version)?"))


def _download_seconds(facts: Facts) -> float | None:
    units = "(_(seconds|s|minutes|min|hours|h))?"
    return facts.seconds(
        f"(download|load|start|startup|ready)(_time|_takes){units}|(model|weights?)_(load|download)(_time)?{units}|(download|load)_(seconds|s|minutes|min|hours|h)|"
        f"(observed|actual|measured)_(start|load|startup|ready|download)(_time)?{units}|time_to_ready{units}|node_(start|boot|provision)(_time)?{units}",
        max,
    )


def _checksums(facts: Facts) -> bool | None:
    said = facts.raw("(aws_)?(request_)?checksums?(_calculation|_mode|_option)?").lower()
    if re.search(r"when.required|\boff\b|disabled|none|false", said):
        return False
    sdk = facts.raw("(aws_|s3_)?(sdk|client|library|cli)(_version)?").lower()
    release = version_of(sdk)
    known = next((first for name, first in SENDS_CHECKSUMS.items() if name in sdk), None)
    if known and release:
        return release >= known
    return True if re.search(r"when.supported|default|\bon\b|crc|true", said) else None


def _operation(facts: Facts) -> str | None:
    found = facts.find("(lifecycle|replication|copy).*")
    return found[0].split("_")[0] if found else None


def _secret_namespace(facts: Facts) -> str | None:
    inside = re.search(r"\bnamespace\s+([a-z0-9-]+)", facts.raw("(token_|hf_|model_)?secret|token_secret"))
    return inside[1] if inside else facts.text("(token_|hf_)?secret_namespace")


def _dynamic_group(facts: Facts) -> bool | None:
    said = facts.raw("dynamic_groups?")
    if re.search(r"\b(another|other|wrong|does not match|different)\b", said):
        return False
    return facts.flag("dynamic_groups?")


def _at_home(facts: Facts) -> bool | None:
    said = facts.raw("(provider_|resource_|iam_)?region")
    return None if "home" not in said else not re.search(r"\b(not|outside|other|another)\b", said)


def _missing(value: object) -> bool:
    return is_absent(value) or value is False


def _granted(value: object) -> float | None:
    return 0.0 if "default" in str(value).lower() else number_of(value, min)


def _choice(key: str, said: str, facts: Facts) -> RuntimeChoice:
    low, high = _sizes(said) or (None, None)
    framework = re.search(r"(transformers|tensorrt|vllm|sglang)\W*(\d[\w.]*)", said)
    return RuntimeChoice(
        name=key,
        low=low,
        high=high,
        priority=_priority(facts, key),
        framework=framework[0] if framework and version_of(framework[0]) else None,
        differs_in=tuple(name for name, pattern in DIFFERENCES.items() if re.search(pattern, said, re.IGNORECASE)),
    )


def _priority(facts: Facts, key: str) -> float | None:
    pattern = f"{key}_priority|priority|priority_{key.rpartition('_')[2]}"
    said = facts.number(pattern)
    return 1.0 if said is None and facts.flag(pattern) else said


def _sizes(text: str) -> tuple[float, float] | None:
    found = SIZES.fullmatch(text)
    if found is None:
        return None
    unit = SIZE_UNITS[found[4].upper()]
    return float(found[1]) * (SIZE_UNITS[found[2].upper()] if found[2] else unit), float(found[3]) * unit


def _one_size(text: str) -> tuple[float | None, float | None]:
    found = re.search(r"(?<![\w.])(\d+(?:\.\d+)?)([MBT])\b", text)
    size = float(found[1]) * SIZE_UNITS[found[2]] if found else None
    return size, size
