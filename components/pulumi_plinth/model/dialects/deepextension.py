"""DeepExtension's registration of a base model: form fields, or the columns of its table. Pure."""

from __future__ import annotations

from typing import Any

from pulumi_plinth.model.dialects import values
from pulumi_plinth.model.dialects.table import Dialect, Reading, Row, Unwritable, refuse_external, write_rows
from pulumi_plinth.quantities import parse_technical

STORE = "models"
"""The store that stands for DeepExtension's model root."""

_NAMES = ("technic_name", "technical_name", "technicName", "technicalName", "Technical Name", "Technic Name")
_PATHS = ("path", "model_path", "modelPath", "Path", "Model Path")
_BOOKKEEPING = ("id", "created_at", "created_by", "updated_at", "updated_by", "create_time", "update_time")

_TEMPLATES = (
    "deployment_template", "deploymentTemplate", "Template", "Model Deployment Template",
    "Template for Model Deployment",
)  # fmt: skip


def _first(value: Any) -> str:
    found = values.texts(value)
    if len(found) != 1:
        values.refuse("lists several architectures; keep the one that config.json names first")
    return found[0]


def _list(name: str, ours: str) -> Row:
    return Row(name, ours, values.texts)


ROWS = (
    Row("model_name", "displayName", also=("modelName", "Model Name")),
    Row("model_version", "version", also=("modelVersion",)),
    Row("model_type", "modelType", also=("modelType",)),
    Row("architectures", "architecture", _first, lambda value: [value]),
    Row("license", "license", also=("License",)),
    Row("template", "modelfile.template", also=_TEMPLATES),
    Row("model_language", "about.language", values.texts),
    Row("description", "about.description", also=("Description",)),
    _list("pretraining_datasets", "about.pretrainingDatasets"),
    _list("training_objectives", "about.trainingObjectives"),
    _list("tasks", "about.tasks"),
    _list("tags", "about.tags"),
    _list("authors", "about.authors"),
    _list("model_references", "about.references"),
    Row("training_framework", "about.trainingFramework"),
    Row("limitations", "about.limitations"),
    Row("model_created_at", "about.createdAt"),
    Row("disk_size_gb", "about.diskSizeGb", values.number),
    Row("model_usage_type", "about.usage"),
    Row("inference_python_file", "about.inferenceFile"),
    Row("inference_support", "about.inferenceSupport", values.anything),
    Row("deployment_tools", "about.deploymentTools", values.anything),
    Row("deploy_config", "about.deploymentConfig", values.anything),
    Row("co_id", "about.company"),
)


def detect(document: Any) -> bool:
    """Recognise the technical name, which nobody else calls so, beside a path or model name."""
    if not isinstance(document, dict) or "kind" in document:
        return False
    others = (*_PATHS, "model_name", "modelName", "Model Name")
    return any(name in document for name in _NAMES) and any(name in document for name in others)


def read(reading: Reading) -> None:
    """Read a registration. Its path is relative to the model root, which is the store `models`."""
    for name in _BOOKKEEPING:
        reading.use(name)
    reading.rows(ROWS)
    _read_name(reading)
    place = next((name for name in _PATHS if reading.value.get(name) not in (None, "")), None)
    if place is None:
        reading.error("path", None, "is missing", "add the model's folder, relative to the model root")
        return
    for name in _PATHS:
        reading.use(name)
    reading.data["store"] = STORE
    reading.put("path", reading.value[place], place, _folder)


def _read_name(reading: Reading) -> None:
    place = next((name for name in _NAMES if reading.value.get(name) not in (None, "")), None)
    for name in _NAMES:
        reading.use(name)
    if place is None:
        reading.error(_NAMES[0], None, "is missing", "add a short name of a-z, 0-9 and '-', unique")
        return
    try:
        reading.name = parse_technical(reading.value[place])
    except ValueError as error:
        problem, _, remedy = str(error).partition("; ")
        reading.error(place, reading.value[place], problem, remedy)


def _folder(value: Any) -> str:
    return values.text(value).removeprefix("./").removesuffix("/")


def write(name: str, data: dict[str, Any]) -> Any:
    """Write a registration; only a model that lies in a store has the folder that it needs."""
    refuse_external(data, "DeepExtension")
    if "path" not in data:
        raise Unwritable(
            "lies in no folder of a store, and DeepExtension fetches nothing; copy it and set store and path"
        )
    technical = data.get("technicalName", name)
    try:
        parse_technical(technical)
    except ValueError as error:
        problem, _, remedy = str(error).partition("; ")
        raise Unwritable(f"has a technicalName that {problem}; set technicalName: {remedy}") from error
    return {"technic_name": technical, "path": data["path"]} | write_rows(ROWS, data)


DEEPEXTENSION = Dialect("deepextension", detect, read, write)
