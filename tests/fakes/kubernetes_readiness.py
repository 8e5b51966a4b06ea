"""When the provider calls an object ready, and the reasons it gives while it is not."""


class NeverReadyError(Exception):
    """The object failed; waiting longer is no use."""


def reasons(api, live):
    """Why an object is not ready; nothing means ready. Kinds that are not listed are ready as soon as they exist."""
    check = CHECKS.get(live["kind"])
    return check(api, live) if check else []


def _deployment(api, live):
    spec, status = live["spec"], live.get("status", {})
    for condition in status.get("conditions", []):
        if condition.get("reason") == "ProgressDeadlineExceeded":
            raise NeverReadyError(condition["message"])
    wanted = spec.get("replicas", 1)
    seen = status.get("observedGeneration", 0) >= live["metadata"]["generation"]
    counts = [status.get(name, 0) for name in ("updatedReplicas", "availableReplicas", "replicas")]
    if seen and counts == [wanted, wanted, wanted]:
        return []
    return [f"Minimum number of live Pods was not attained: {counts[1]} of {wanted}", *_pods(api, live)]


def _stateful_set(api, live):
    spec, status = live["spec"], live.get("status", {})
    wanted = spec.get("replicas", 1)
    seen = status.get("observedGeneration", 0) >= live["metadata"]["generation"]
    rolled = spec.get("updateStrategy", {}).get("type") == "OnDelete" or status.get("updatedReplicas", 0) == wanted
    if seen and status.get("readyReplicas", 0) == wanted and (rolled or not wanted):
        return []
    return [f"{status.get('readyReplicas', 0)} out of {wanted} replicas succeeded readiness checks", *_pods(api, live)]


def _daemon_set(api, live):
    status = live.get("status", {})
    wanted = status.get("desiredNumberScheduled", 0)
    seen = status.get("observedGeneration", 0) >= live["metadata"]["generation"]
    if seen and status.get("numberReady", 0) == status.get("updatedNumberScheduled", 0) == wanted:
        return []
    return [f"{status.get('numberReady', 0)} of {wanted} Pods are ready", *_pods(api, live)]


def _service(api, live):
    spec = live["spec"]
    if spec.get("type") == "LoadBalancer" and not live["status"].get("loadBalancer", {}).get("ingress"):
        return ["Service was not allocated an IP address; does your cloud provider support this?"]
    if not spec.get("selector") or spec.get("type") == "ExternalName" or spec.get("clusterIP") == "None":
        return []
    labels = {"kubernetes.io/service-name": live["metadata"]["name"]}
    slices = api.items("discovery.k8s.io/v1", "EndpointSlice", live["metadata"]["namespace"], labels)
    ready = [e for row in slices for e in row.get("endpoints") or [] if e.get("conditions", {}).get("ready")]
    return [] if ready else ["Service does not target any Pods. Selected Pods may not be ready, or the selector is off"]


def _claim(api, live):
    if live.get("status", {}).get("phase") == "Bound":
        return []
    name = live["spec"].get("storageClassName")
    wanted = {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": name}}
    storage = api.get(wanted) if name else None
    if storage and storage.get("volumeBindingMode") == "WaitForFirstConsumer":
        return []
    return ["PersistentVolumeClaim is not bound to a volume"]


def _job(_api, live):
    conditions = _true_conditions(live)
    if "Failed" in conditions:
        raise NeverReadyError(conditions["Failed"])
    return [] if "Complete" in conditions else ["Job is not complete"]


def _pod(_api, live):
    if "Ready" in _true_conditions(live) or live.get("status", {}).get("phase") == "Succeeded":
        return []
    return _of_pod(live)


def _kind(_api, live):
    return [] if "Established" in _true_conditions(live) else ["CustomResourceDefinition is not established"]


def _true_conditions(live):
    rows = live.get("status", {}).get("conditions") or []
    return {row["type"]: row.get("message", "") for row in rows if row["status"] == "True"}


def _pods(api, live):
    labels = live["spec"]["selector"].get("matchLabels", {})
    found = api.items("v1", "Pod", live["metadata"]["namespace"], labels)
    return [reason for pod in found if "Ready" not in _true_conditions(pod) for reason in _of_pod(pod)]


def _of_pod(pod):
    name = f"[Pod {pod['metadata']['namespace']}/{pod['metadata']['name']}]"
    status = pod.get("status", {})
    rows = [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
    states = [(row["name"], row.get("state", {})) for row in rows if not row.get("ready")]
    waiting = [(c, state.get("waiting") or state.get("terminated") or {}) for c, state in states]
    said = [f"{name}: container {c}: {w.get('reason')}: {w.get('message', '')}" for c, w in waiting if w]
    rows = status.get("conditions", [])
    unmet = [f"{name}: {c['reason']}: {c.get('message', '')}" for c in rows if c["status"] == "False" and "reason" in c]
    return said or unmet or [f"{name}: {status.get('phase', 'Pending')}"]


CHECKS = {
    "CustomResourceDefinition": _kind,
    "DaemonSet": _daemon_set,
    "Deployment": _deployment,
    "Job": _job,
    "PersistentVolumeClaim": _claim,
    "Pod": _pod,
    "Service": _service,
    "StatefulSet": _stateful_set,
}
