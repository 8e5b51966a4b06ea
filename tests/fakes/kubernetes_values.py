"""Property values of Pulumi's protocol as plain objects of Kubernetes and back, with what is secret kept secret."""

from pulumi.provider.experimental.property_value import Computed, PropertyValue
from pulumi.runtime import rpc


def read(struct):
    """A struct as it came: a map of property values, secrets marked."""
    return PropertyValue(PropertyValue.unmarshal_map(struct))


def write(value):
    """The struct of a map of property values."""
    return PropertyValue.marshal_map(dict(value.value))


def plain(value):
    """The object itself: marks dropped, whole numbers whole, nulls of maps left out as Kubernetes leaves them out."""
    inner = value.value
    if isinstance(inner, float):
        return int(inner) if inner.is_integer() else inner
    if isinstance(inner, str) or not hasattr(inner, "__len__"):
        return inner
    if hasattr(inner, "items"):
        return {key: plain(item) for key, item in inner.items() if item.value is not None}
    return [plain(item) for item in inner]


def is_unknown(value):
    """Whether some part is known only after other resources are made."""
    inner = value.value
    if isinstance(inner, str) or not hasattr(inner, "__len__"):
        return inner == rpc.UNKNOWN or isinstance(inner, Computed)
    return any(map(is_unknown, inner.values() if hasattr(inner, "values") else inner))


def marked(content, like=None):
    """An object as property values, secret where `like` is secret at the same place."""
    below = getattr(like, "value", None)
    if isinstance(content, dict):
        known = below if hasattr(below, "items") else {}
        made = PropertyValue({key: marked(item, known.get(key)) for key, item in content.items()})
    elif isinstance(content, list):
        known = below if isinstance(below, tuple) else ()
        padded = [*known, *[None] * len(content)]
        made = PropertyValue([marked(item, padded[index]) for index, item in enumerate(content)])
    else:
        number = isinstance(content, int) and not isinstance(content, bool)
        made = PropertyValue(float(content) if number else content)
    return made.with_secret(bool(like and like.is_secret))
