"""convert: documents in any dialect -> models, what was wrong or lost, and documents in another dialect. Pure."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from pulumi_plinth.errors import nearest
from pulumi_plinth.model.dialects import paths
from pulumi_plinth.model.dialects.deepextension import DEEPEXTENSION
from pulumi_plinth.model.dialects.kaito import KAITO
from pulumi_plinth.model.dialects.markdown import Block, blocks, here_documents, lost_indentation
from pulumi_plinth.model.dialects.modelfile import MODELFILE, TEXT_KEY
from pulumi_plinth.model.dialects.modelfile_text import looks_like
from pulumi_plinth.model.dialects.nstream import NSTREAM
from pulumi_plinth.model.dialects.ome import OME, is_piece
from pulumi_plinth.model.dialects.oumi import OUMI, job_hint
from pulumi_plinth.model.dialects.plinth import CONFIG_KEY, PLINTH, expand
from pulumi_plinth.model.dialects.source import Document, load
from pulumi_plinth.model.dialects.table import Dialect, Model, Unwritable, differences, dump, read_document
from pulumi_plinth.model.dialects.text import to_yaml
from pulumi_plinth.model.findings import Finding
from pulumi_plinth.model.names import name_faults

DIALECTS: Mapping[str, Dialect] = MappingProxyType(
    {dialect.name: dialect for dialect in (PLINTH, OME, NSTREAM, KAITO, DEEPEXTENSION, OUMI, MODELFILE)}
)
"""Dialects by name, in the order in which they are asked whether a document is theirs."""

_WANTED = (
    "an OME, Nstream AI or KAITO object, a DeepExtension registration, an Oumi recipe, a Modelfile or a stack file"
)


_CLAIM = re.compile(r"^[ \t]*apiVersion:[ \t]*[\"']?(ome\.io|kaito\.sh|llm\.nstream\.ai)/", re.MULTILINE)
"""What says that a block wants to be one of these documents, whether it can be read or not."""

_FAMILIES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "ome.io": ("BaseModel", "ClusterBaseModel"),
        "kaito.sh": ("Workspace", "InferenceSet"),
        "llm.nstream.ai": ("MegaModel", "BaseModel", "EmbeddingModel"),
    }
)


_REMEDIES: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        ("ome.io", "FineTunedWeight"): "write it under `adapters:` of its base model, with its storageUri as `uri:`",
        ("ome.io", "InferenceService"): "`plinth check` reads it",
        ("ome.io", "ServingRuntime"): "`plinth runtimes` reads it",
        ("ome.io", "ClusterServingRuntime"): "`plinth runtimes` reads it",
        ("kaito.sh", "RAGEngine"): "write its embedding model as `kind: embed` with `storage: {uri: hf://…}`",
        ("kaito.sh", "MultiRoleInference"): "write an InferenceSet for its model; one server plays both roles here",
    }
)
"""Kinds beside models -> what can be done with them here."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """What came of it. `outputs` maps a name (of the stack file or the model) to the text written."""

    models: tuple[Model, ...]
    warnings: tuple[Finding, ...]
    errors: tuple[Finding, ...]
    outputs: tuple[tuple[str, str], ...]

    def to_json(self) -> dict[str, Any]:
        """Render for `plinth convert --json`."""
        return {
            "models": [{"name": model.name, **dump(model.spec)} for model in self.models],
            "warnings": [finding.to_json() for finding in self.warnings],
            "errors": [finding.to_json() for finding in self.errors],
        }


def convert(texts: Iterable[tuple[str, str | bytes]], to: str = "plinth") -> Conversion:
    """Read all texts or bytes, given as (file name, content), and write their models in the dialect `to`."""
    if to not in DIALECTS:
        raise ValueError(f"'{to}' is no dialect; write one of {', '.join(DIALECTS)}")
    warnings: list[Finding] = []
    errors: list[Finding] = []
    models: list[Model] = []
    for file, content in texts:
        found, faults = _documents(file, content)
        errors.extend(faults)
        before = len(models), len(errors)
        for document in found:
            model = _read(document, warnings, errors)
            if model is not None:
                models.append(model)
        if (len(models), len(errors)) == before and not faults:
            errors.append(Finding(file, "", None, "holds no model", f"give {_WANTED}"))
    models = _unique(models, warnings, errors)
    outputs = _write(models, DIALECTS[to], warnings, errors)
    return Conversion(tuple(models), tuple(warnings), tuple(errors), tuple(outputs))


def _documents(file: str, content: str | bytes) -> tuple[list[Document], list[Finding]]:
    try:
        text = content if isinstance(content, str) else _decoded(content)
    except UnicodeDecodeError:
        return [], [Finding(file, "", None, "is not text in UTF-8 or UTF-16", "save it as UTF-8")]
    if file.rpartition("/")[2].lower().startswith("modelfile") or looks_like(text):
        return [Document(file, 1, {TEXT_KEY: text})], []
    documents, faults = load(file, text)
    parts = [part for document in documents for part in expand(document)]
    if any(_known(part) for part in parts):
        return parts, faults
    if inside := blocks(text) or here_documents(text):
        found, broken = _of_page(file, inside)
        if found or broken:
            return found, broken
    explained = any("lost its indentation" in fault.message for fault in faults)
    return parts, faults if explained else lost_indentation(file, text) or faults


def _of_page(file: str, inside: list[Block]) -> tuple[list[Document], list[Finding]]:
    """Return the documents of a page or script that some dialect knows, and known ones that cannot be read.

    A page shows other things as well. Pieces of a model count only where it shows no model.
    """
    found: list[Document] = []
    broken: list[Finding] = []
    for line, text in inside:
        if looks_like(text):
            found.append(Document(file, line, {TEXT_KEY: text}))
            continue
        documents, faults = load(file, text, line)
        broken.extend(faults if _CLAIM.search(text) else [])
        parts = [part for document in documents for part in expand(document)]
        found.extend(part for part in parts if _known(part))
    whole = [part for part in found if not is_piece(part.value)]
    return whole or found, broken


def _known(document: Document) -> bool:
    return any(dialect.detect(document.value) for dialect in DIALECTS.values())


def _decoded(content: bytes) -> str:
    """Decode as Ollama does: UTF-16 where a mark says so, else UTF-8."""
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return content.decode("utf-16" if wide else "utf-8-sig")


def _read(document: Document, warnings: list[Finding], errors: list[Finding]) -> Model | None:
    dialect = next((known for known in DIALECTS.values() if known.detect(document.value)), None)
    if dialect is None or _flattened(document.value):
        finding, other = _foreign(document)
        (warnings if other else errors).append(finding)
        return None
    model, reading = read_document(document, dialect)
    warnings.extend(reading.warnings)
    errors.extend(sorted(reading.errors, key=lambda finding: finding.line or 0))
    return model


def _foreign(document: Document) -> tuple[Finding, bool]:
    """Explain what no dialect knows: other Kubernetes objects are passed over, anything else is refused."""
    value = document.value
    path = paths.show(document.prefix)
    kind = value.get("kind") if isinstance(value, dict) else None
    if _flattened(value):
        message = "has lost its indentation: `metadata:` and `spec:` are empty, what belongs to them stands beside them"
        hint = "indent what belongs to a key by two spaces under it"
        return Finding(document.file, path, None, message, hint, document.line), False
    if isinstance(kind, str) and "apiVersion" in value:
        group = str(value["apiVersion"]).partition("/")[0]
        remedy = _REMEDIES.get((group, kind)) or nearest(kind, _FAMILIES.get(group, ())) or "keep it where it is"
        article = "an" if kind[0] in "AEIO" else "a"
        message = f"is {article} {kind[:80]}, not a model; it is passed over"
        return Finding(document.file, path, None, message, remedy, document.line), True
    job = job_hint(value)
    message = "is a job of `oumi launch`, not a recipe" if job else "is no document known here"
    return Finding(document.file, path, None, message, job or f"give {_WANTED}", document.line), False


def _flattened(value: Any) -> bool:
    return isinstance(value, dict) and value.get("metadata", 0) is None and value.get("spec", 0) is None


def _unique(models: list[Model], warnings: list[Finding], errors: list[Finding]) -> list[Model]:
    """Give derived names that are taken a number; refuse declared ones, naming both."""
    taken: dict[str, Model] = {}
    for model in (item for item in models if not item.derived):
        first = taken.setdefault(model.name, model)
        if first is not model:
            place = f"'{model.name}' in {model.file}:{model.line} and '{first.name}' in {first.file}:{first.line}"
            hint = "give one of them another name"
            errors.append(Finding(model.file, "name", model.name, f"is declared twice: {place}", hint, model.line))
    result = []
    for model in models:
        named = _numbered(model, taken, warnings) if model.derived else model
        if taken.setdefault(named.name, named) is named:
            result.append(named)
    for fault in name_faults({model.name: model.spec for model in result}, "models"):
        model = next(taken[name] for name in taken if fault.path.startswith(f"models.{name}."))
        errors.append(Finding(model.file, fault.path, fault.value, fault.problem, fault.remedy, model.line))
    return result


def _numbered(model: Model, taken: Mapping[str, Model], warnings: list[Finding]) -> Model:
    name, count = model.name, 2
    while name in taken:
        name, count = f"{model.name[:58]}-{count}", count + 1
    if name == model.name:
        return model
    message = f"would be the second '{model.name}'; it is called '{name}'"
    warnings.append(Finding(model.file, "name", None, message, "give it the name you want", model.line))
    return replace(model, name=name)


def _write(
    models: Sequence[Model], dialect: Dialect, warnings: list[Finding], errors: list[Finding]
) -> list[tuple[str, str]]:
    written: list[tuple[Model, Any]] = []
    for model in models:
        try:
            document = dialect.write(model.name, dump(model.spec))
        except ValueError as error:
            problem, _, remedy = str(error).partition("; ")
            kind = "" if isinstance(error, Unwritable) else f"cannot be written as {dialect.name}: "
            errors.append(Finding(model.file, f"models.{model.name}", None, kind + problem, remedy, model.line))
            continue
        lost = [] if dialect is PLINTH else _losses(model, document, dialect)
        warnings.extend(finding for finding, fatal in lost if not fatal)
        errors.extend(finding for finding, fatal in lost if fatal)
        if not any(fatal for _, fatal in lost):
            written.append((model, document))
    if not written:
        return []
    if dialect is MODELFILE:
        return [(model.name, text) for model, text in written]
    if dialect is PLINTH:
        return [("stack", to_yaml([_stack(written)]))]
    return [(dialect.name, to_yaml(document for _, document in written))]


def _losses(model: Model, document: Any, dialect: Dialect) -> list[tuple[Finding, bool]]:
    """Read back what was written; what differs is what the dialect cannot say. True: the document is useless."""
    value = {TEXT_KEY: document} if isinstance(document, str) else document
    back, reading = read_document(Document(f"{model.name} as {dialect.name}", 1, value), dialect)
    place = f"models.{model.name}"
    if back is None:
        return [
            (
                Finding(
                    model.file,
                    place,
                    fault.value,
                    f"cannot be written as {dialect.name}: {fault.path} {fault.message}",
                    fault.hint,
                    model.line,
                ),
                True,
            )
            for fault in reading.errors
        ]
    before, after = _comparable(model), _comparable(back)
    if model.derived:
        del before["name"]
    article = "an" if dialect.name[0] in "aeiou" else "a"
    message, hint = f"cannot be said in {article} {dialect.name} document", "it is left out; keep the original"
    lost = [paths.show((*paths.split(place), *keys)) for keys in differences(before, after)]
    return [(Finding(model.file, path, None, message, hint, model.line), False) for path in lost]


def _comparable(model: Model) -> dict[str, Any]:
    """Return a dump in which what is only implied is written out."""
    spec = model.spec
    scope = spec.scope or ("namespaced" if spec.namespace else "cluster")
    return {**dump(spec), "kind": spec.serves_as, "scope": scope, "name": model.name}


def _stack(written: Sequence[tuple[Model, Any]]) -> dict[str, Any]:
    """Put models into a stack file, with the stores that they name."""
    stores = {
        document["store"]: {"kind": "folder", "path": document["store"]}
        for _, document in written
        if "store" in document
    }
    part: dict[str, Any] = {"stores": stores} if stores else {}
    part["models"] = {model.name: document for model, document in written}
    return {"config": {CONFIG_KEY: part}}
