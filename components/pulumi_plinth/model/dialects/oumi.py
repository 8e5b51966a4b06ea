"""Oumi's recipes: the sections `model:` and `peft:` of training, inference and evaluation configs. Pure."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from plinth_runtime.contract.uri import StorageUri
from pulumi_plinth.model.dialects import paths, values
from pulumi_plinth.model.dialects.addresses import adapter_name, from_address, to_address
from pulumi_plinth.model.dialects.oumi_engines import (
    ADDRESS_HINTS,
    ENGINES,
    LOADING,
    OURS,
    read_engine,
    read_init,
    read_member,
    write_init,
)
from pulumi_plinth.model.dialects.table import Dialect, Reading, Row, Unwritable, write_rows
from pulumi_plinth.model.parameters import read_dtype
from pulumi_plinth.quantities import to_label

_MODEL = (
    ("tokenizer_name", "tokenizerName", values.text),
    ("tokenizer_pad_token", "tokenizerPadToken", values.token),
    ("tokenizer_kwargs", "tokenizerKwargs", values.tree),
    ("processor_kwargs", "processorKwargs", values.tree),
    ("model_max_length", "modelMaxLength", values.integer),
    ("load_pretrained_weights", "loadPretrainedWeights", values.boolean),
    ("trust_remote_code", "trustRemoteCode", values.boolean),
    ("torch_dtype_str", "torchDtype", read_dtype),
    ("compile", "compile", values.boolean),
    ("chat_template_kwargs", "chatTemplateKwargs", values.tree),
    ("attn_implementation", "attnImplementation", values.text),
    ("device_map", "deviceMap", values.text),
    ("model_kwargs", "modelKwargs", values.tree),
    ("enable_liger_kernel", "enableLigerKernel", values.boolean),
    ("shard_for_eval", "shardForEval", values.boolean),
    ("freeze_layers", "freezeLayers", values.texts),
    ("tool_call_parser", "toolCallParser", values.text),
)
_PEFT = (
    ("lora_r", "loraR", values.integer),
    ("lora_alpha", "loraAlpha", values.integer),
    ("lora_dropout", "loraDropout", values.number),
    ("lora_target_modules", "loraTargetModules", values.texts),
    ("lora_exclude_modules", "loraExcludeModules", values.texts),
    ("lora_target_parameters", "loraTargetParameters", values.texts),
    ("lora_modules_to_save", "loraModulesToSave", values.texts),
    ("lora_bias", "loraBias", values.text),
    ("lora_task_type", "loraTaskType", lambda value: read_member(value).upper()),
    ("q_lora", "qLora", values.boolean),
    ("q_lora_bits", "qLoraBits", values.integer),
    ("bnb_4bit_quant_type", "bnb4BitQuantType", values.text),
    ("bnb_4bit_quant_storage", "bnb4BitQuantStorage", values.text),
    ("bnb_4bit_compute_dtype", "bnb4BitComputeDtype", read_dtype),
    ("llm_int8_skip_modules", "llmInt8SkipModules", values.texts),
    ("use_bnb_nested_quant", "useBnbNestedQuant", values.boolean),
)
_ENUMERATIONS = (
    ("lora_init_weights", "loraInitWeights", read_init, write_init),
    ("peft_save_mode", "peftSaveMode", read_member, str.upper),
)

ROOTS = ("", "inference_config.", "evaluation.")
"""Where a recipe lies: in the document itself; in a judge's or synthesis' config; in an asynchronous evaluation's."""


@lru_cache(maxsize=len(ROOTS))
def model_rows(root: str) -> tuple[Row, ...]:
    """Return the rows of a model section whose recipe lies under `root`."""
    return (
        *(Row(f"{root}model.{theirs}", f"parameters.{ours}", read) for theirs, ours, read in _MODEL),
        Row(f"{root}model.torch_dtype", "parameters.torchDtype", read_dtype),
        Row(f"{root}model.chat_template", "chatTemplate"),
    )


PEFT = (
    *(Row(f"peft.{theirs}", f"peft.{ours}", read) for theirs, ours, read in _PEFT),
    *(Row(f"peft.{theirs}", f"peft.{ours}", read, write) for theirs, ours, read, write in _ENUMERATIONS),
)
_CHAT = "/chat/completions"


def detect(document: Any) -> bool:
    """Recognise a `model:` section with a model_name, ModelParams on their own, and `oumi deploy`'s config."""
    if not isinstance(document, dict) or "kind" in document:
        return False
    return _root(document) is not None or any(
        isinstance(document.get(name), str) for name in ("model_name", "model_source")
    )


def _root(document: Any) -> str | None:
    """Return where the recipe lies."""
    return next((root for root in ROOTS if paths.get(document, f"{root}model.model_name") is not paths.MISSING), None)


def job_hint(value: Any) -> str | None:
    """Say which recipes a job of `oumi launch` runs; None where a document is no such job."""
    run = value.get("run") if isinstance(value, dict) else None
    if not isinstance(run, str) or not {"resources", "setup", "envs", "working_dir"} & set(value):
        return None
    recipes = dict.fromkeys(re.findall(r"(?:-c|--config)[ =]+[\"']?([\w./:-]+\.ya?ml)", run))
    return f"give the recipe that it runs: {', '.join(recipes)}" if recipes else "give the recipe that its `run:` names"


def read(reading: Reading) -> None:
    """Read a recipe. Data, training and generation belong to who trains or asks."""
    if "model_source" in reading.value:
        _read_deployment(reading)
        return
    root = _root(reading.value)
    if root is None:
        root, reading.value = "", {"model": reading.value}
        reading.warn((), "is a model section on its own", "write it under `model:`")
    place = f"{root}model.model_name"
    name = reading.get(place)
    if not isinstance(name, str) or not name:
        reading.error(place, name, "is missing", "add a hub id such as org/model, or a folder")
        return
    _read_traps(reading, root)
    reading.rows(model_rows(root))
    if isinstance(reading.value.get("peft"), dict):
        reading.data.setdefault("peft", {})
        reading.rows(PEFT)
    if paths.get(reading.value, f"{root}model.device_map") is None:
        paths.put(reading.data, "parameters.deviceMap", None)
    if not _read_external(reading, name, root):
        _read_weights(reading, name, root)
    adapter = reading.get(f"{root}model.adapter_model")
    if adapter not in (None, ""):
        reading.put("adapters", adapter, f"{root}model.adapter_model", _read_adapter)


def _read_deployment(reading: Reading) -> None:
    """Read `oumi deploy`'s config: where a model or adapter lies, and what to call it."""
    adapter = str(reading.get("model_type")).lower() == "adapter"
    source = "base_model" if adapter else "model_source"
    reading.rows((Row(source, "storage.uri", _address),))
    if adapter:
        reading.rows((Row("model_source", "adapters", _read_adapter),))
    name = reading.get("model_name") or reading.get("model_source")
    reading.name, reading.derived = to_label(str(name).rstrip("/").rpartition("/")[2]), True
    if not reading.has("storage.uri") and not reading.errors:
        reading.error(source, None, "is missing", "add the model's id or address")


def _address(value: Any) -> str:
    return from_address(values.text(value))


def _read_traps(reading: Reading, root: str) -> None:
    """Put right what Oumi's own documents get wrong, and refuse what Oumi refuses."""
    model = paths.get(reading.value, f"{root}model")
    if "peft_params" in model and not root:
        reading.warn("model.peft_params", "is no parameter of a model; it is read as `peft:`", "write `peft:` beside")
        peft = model["peft_params"] if isinstance(model["peft_params"], dict) else {}
        rest = {key: item for key, item in model.items() if key != "peft_params"}
        reading.value = {**reading.value, "model": rest, "peft": {**peft, **(reading.value.get("peft") or {})}}
    if "torch_dtype" in model:
        problem = "is what Oumi derives; it is read as torch_dtype_str"
        reading.warn(f"{root}model.torch_dtype", problem, "write torch_dtype_str")
    if "training" in reading.value and model.get("compile") in (True, "true", "True"):
        reading.error(
            "model.compile", model["compile"], "is refused by Oumi's training", "write `compile:` under `training:`"
        )


def _read_weights(reading: Reading, name: str, root: str) -> None:
    place = f"{root}model.model_revision"
    revision = reading.get(place)
    kwargs = paths.get(reading.data, "parameters.modelKwargs")
    if kwargs is not paths.MISSING and "revision" in kwargs:
        reading.data["parameters"]["modelKwargs"] = {key: item for key, item in kwargs.items() if key != "revision"}
        place = f"{root}model.model_kwargs.revision"
        reading.warn(place, "is deprecated; it is read as model_revision", "write `model_revision:`")
        revision = revision or kwargs["revision"]
    reading.put("storage.uri", name, f"{root}model.model_name", _address)
    uri = paths.get(reading.data, "storage.uri")
    if revision is None or uri is paths.MISSING:
        return
    if uri.startswith("hf://"):
        reading.put("storage.uri", revision, place, lambda value: f"{uri}@{values.text(value)}")
    else:
        reading.warn(place, "is not carried over: only models on the hub have revisions", "remove it", revision)


def _read_adapter(value: Any) -> list[dict[str, str]]:
    address = values.text(value)
    return [{"name": adapter_name(address), "uri": from_address(address)}]


def _read_external(reading: Reading, name: str, root: str) -> bool:
    """Read a model that a provider serves. False when the recipe loads weights."""
    reading.name, reading.derived = to_label(name.rstrip("/").rpartition("/")[2]), True
    evaluated = paths.get(reading.value, f"{root}inference_engine") is not paths.MISSING
    place, remote = (f"{root}{'inference_' if evaluated else ''}{key}" for key in ("engine", "remote_params"))
    found = paths.get(reading.value, place)
    engine = "" if found is paths.MISSING else read_engine(found)
    if engine in {"", OURS}:
        reading.use(place)
    if engine in LOADING:
        return False
    provider, endpoint = ENGINES.get(engine, ("compatible", None))
    if provider == "compatible" and endpoint is None and paths.get(reading.value, f"{remote}.api_url") is paths.MISSING:
        before, address, behind = ADDRESS_HINTS.get(engine, ("", "https://…", ""))
        hint = f"{before}add `{remote}: {{api_url: {address}}}`{behind}"
        reading.error(place, engine, "is a provider whose address is not known here", hint)
    reading.use(place)
    reading.data["kind"] = "external"
    reading.data["external"] = {"provider": provider, "model": name} | ({"endpoint": endpoint} if endpoint else {})
    reading.rows(
        (
            Row(f"{remote}.api_url", "external.endpoint", lambda value: values.text(value).removesuffix(_CHAT)),
            Row(f"{remote}.api_key", "external.apiKey", values.secret),
        )
    )
    variable = reading.get(f"{remote}.api_key_env_varname")
    if variable is not None:
        hint = "put the key into a secret and write its name as `external: {apiKey: …}`"
        reading.warn(f"{remote}.api_key_env_varname", "is not carried over: nothing here reads it", hint, variable)
    return True


def write(name: str, data: dict[str, Any]) -> Any:
    """Write a config that training, inference and evaluation all read."""
    document: dict[str, Any] = {"model": {"model_name": name}}
    if "external" in data:
        document |= _write_external(document["model"], data["external"])
    else:
        _write_weights(document["model"], data)
    if data.get("adapters"):
        first = data["adapters"][0]
        document["model"] |= {"adapter_model": to_address(first["uri"])} if "uri" in first else {}
    rows = write_rows([row for row in (*model_rows(""), *PEFT) if row.theirs != "model.torch_dtype"], data)
    document["model"] |= rows.pop("model", {})
    if "peft" in data:
        document["peft"] = rows.get("peft", {})
    return document


def _write_weights(model: dict[str, Any], data: dict[str, Any]) -> None:
    uri = paths.get(data, "storage.uri")
    if uri is paths.MISSING:
        raise Unwritable("has no address that Oumi can name; give it a storage.uri such as hf://org/model")
    source = StorageUri.parse(uri)
    model["model_name"] = to_address(uri)
    if source.scheme == "hf" and "@" in uri:
        model["model_name"], model["model_revision"] = source.get("model"), source.get("revision")


def _write_external(model: dict[str, Any], external: dict[str, Any]) -> dict[str, Any]:
    provider, endpoint = external["provider"], external.get("endpoint")
    engine = next((key for key, known in ENGINES.items() if known == (provider, endpoint)), None)
    model["model_name"] = external.get("model", model["model_name"])
    remote: dict[str, Any] = {}
    if engine is None:
        engine = next((key for key, known in ENGINES.items() if known[0] == provider != "compatible"), "REMOTE")
        remote["api_url"] = f"{endpoint}{_CHAT}"
    if provider == "azure":
        raise Unwritable("is served by azure, which Oumi has no engine for; convert it to nstream")
    if "apiKey" in external:
        remote["api_key"] = values.reference(external["apiKey"])
    return {"engine": engine} | ({"remote_params": remote} if remote else {})


OUMI = Dialect("oumi", detect, read, write)
