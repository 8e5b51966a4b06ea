"""Objects of Kubernetes between the program's inputs and the API server: names, secrets, fields of others."""

import base64
import copy
import re

from fakes.kubernetes_values import is_unknown, marked
from pulumi.provider.experimental.property_value import PropertyValue

SERVER_FIELDS = ("creationTimestamp", "generation", "managedFields", "resourceVersion", "uid", "selfLink")


def inputs_of(news, metadata):
    """Checked inputs: with a name and a namespace, and a Secret's texts in the form in which they are kept."""
    made = dict(news.value)
    made["metadata"] = marked(metadata, made.get("metadata"))
    texts = made.pop("stringData", None)
    if texts is None or is_unknown(texts):
        return PropertyValue(made if texts is None else made | {"stringData": texts})
    known = dict(made["data"].value) if "data" in made else {}
    encoded = {
        key: PropertyValue(base64.b64encode(text.value.encode()).decode(), text.is_secret)
        for key, text in texts.value.items()
    }
    secret = texts.is_secret or bool("data" in made and made["data"].is_secret)
    made["data"] = PropertyValue(known | encoded).with_secret(secret)
    return PropertyValue(made)


def keep_ignored(content, live, manager, paths):
    """Inputs in which ignored fields are left to whoever owns them, else as they are now."""
    made = copy.deepcopy(content)
    rows = (live or {}).get("metadata", {}).get("managedFields", [])
    ours = [row["fieldsV1"] for row in rows if row["manager"] == manager]
    theirs = [row["fieldsV1"] for row in rows if row["manager"] != manager]
    for path in paths:
        parts = re.split(r"\.", path)
        fields = [f"f:{part}" for part in parts]
        value = _find(live or {}, parts)
        owned = [any(_find(row, fields) is not None for row in rows) for rows in (ours, theirs)]
        if owned == [False, True]:
            _put(made, parts, None)
        elif value is not None:
            _put(made, parts, value)
    return made


def live_inputs(inputs, live):
    """The same fields as the inputs have, as they are now."""
    if isinstance(inputs, dict) and isinstance(live, dict):
        return {key: live_inputs(value, live[key]) for key, value in inputs.items() if key in live}
    if isinstance(inputs, list) and isinstance(live, list):
        return [live_inputs(inputs[i], item) if i < len(inputs) else item for i, item in enumerate(live)]
    return live


def without_status(live):
    """An object as somebody would have written it, for import."""
    metadata = {key: value for key, value in live["metadata"].items() if key not in SERVER_FIELDS}
    return {key: value for key, value in live.items() if key != "status"} | {"metadata": metadata}


def _find(content, parts):
    for part in parts:
        content = content.get(part) if isinstance(content, dict) else None
    return content


def _put(content, parts, value):
    for part in parts[:-1]:
        content = content.setdefault(part, {})
    if value is None:
        content.pop(parts[-1], None)
    else:
        content[parts[-1]] = value
