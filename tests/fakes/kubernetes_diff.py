"""What a change of an object's inputs means: which paths differ, and which of them make a new object necessary."""

import re

SELECTOR = ("spec.selector",)
IMMUTABLE = {
    ("v1", "ConfigMap"): ("data", "binaryData"),
    ("v1", "Secret"): ("data", "stringData", "type"),
    ("v1", "PersistentVolume"): ("spec.local", "spec.hostPath", "spec.csi", "spec.nfs"),
    ("v1", "PersistentVolumeClaim"): ("spec",),
    ("v1", "Pod"): ("spec",),
    ("v1", "Service"): ("spec.clusterIP",),
    ("apps/v1", "DaemonSet"): SELECTOR,
    ("apps/v1", "Deployment"): SELECTOR,
    ("apps/v1", "StatefulSet"): (
        *SELECTOR,
        "spec.podManagementPolicy",
        "spec.revisionHistoryLimit",
        "spec.serviceName",
        "spec.volumeClaimTemplates",
    ),
    ("batch/v1", "Job"): (*SELECTOR, "spec.completions", "spec.parallelism", "spec.template"),
    ("rbac.authorization.k8s.io/v1", "RoleBinding"): ("roleRef",),
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"): ("roleRef",),
    ("storage.k8s.io/v1", "StorageClass"): ("parameters", "provisioner"),
}
"""What the provider replaces instead of updating; ConfigMaps and Secrets too, so that pods notice."""
EVERYWHERE = ("apiVersion", "kind", "metadata.name", "metadata.namespace")


def changes(old, new, path=""):
    """Each path that differs, with what happens there: ADD, DELETE or UPDATE."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = sorted({*old, *new})
        return _merged(changes(old.get(key), new.get(key), _member(path, key)) for key in keys)
    if isinstance(old, list) and isinstance(new, list):
        pairs = [(_at(old, index), _at(new, index), index) for index in range(max(len(old), len(new)))]
        return _merged(changes(before, after, f"{path}[{index}]") for before, after, index in pairs)
    if old == new:
        return {}
    return {path: "ADD" if old is None else "DELETE" if new is None else "UPDATE"}


def replacing(paths, api_version, kind):
    """Those of the paths that make a new object necessary."""
    fixed = (*EVERYWHERE, *IMMUTABLE.get((api_version, kind), ()))
    return [path for path in paths if any(path == f or path.startswith((f"{f}.", f"{f}[")) for f in fixed)]


def _merged(parts):
    return {path: kind for part in parts for path, kind in part.items()}


def _member(path, key):
    if re.fullmatch(r"[A-Za-z_]\w*", key):
        return f"{path}.{key}" if path else key
    return f'{path}["{key}"]'


def _at(items, index):
    return items[index] if index < len(items) else None
