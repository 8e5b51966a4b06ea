"""A cluster that is asked by `plinth status`: objects by kind, and what it refuses."""

from pulumi_plinth.status.objects import metadata


class FakeCluster:
    """Answers as an API server does: by namespace, labels and the type of events. It notes what it was asked."""

    def __init__(self, objects=None, refusals=None, startups=None):
        self.objects = objects or {}
        self.refusals = refusals or {}
        self.startups = startups or {}
        self.asked = []

    def list(self, kind, selection):
        """Give objects of a kind without naming it, as lists do; or raise what is said of its plural."""
        self.asked.append((kind.plural, selection.namespace))
        refusal = self.refusals.get((kind.plural, selection.namespace)) or self.refusals.get(kind.plural)
        if refusal is not None:
            raise refusal
        return tuple(item for item in self.objects.get(kind.plural, ()) if _selected(item, selection))

    def startup(self, port):
        """Give what the server of a pod says, if anybody hears it."""
        return self.startups.get(port.pod)


def _selected(item, selection):
    meta = metadata(item)
    here = selection.namespace in (None, meta.get("namespace"))
    labels = meta.get("labels") or {}
    fields = selection.fields or {}
    return (
        here
        and all(labels.get(key) == value for key, value in (selection.labels or {}).items())
        and all(item.get(key) == value for key, value in fields.items())
    )
