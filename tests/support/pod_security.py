"""Pod Security `restricted`, as the standard's page lists it, over a pod's spec: what is broken, in words.

https://kubernetes.io/docs/concepts/security/pod-security-standards/. An oracle of the tests: the real admission
controller is asked in tests/cluster.
"""

VOLUMES = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret", "image",
}  # fmt: skip
CAPABILITIES = {"NET_BIND_SERVICE"}


def broken_rules(spec):
    """Yield every control that a pod's spec breaks."""
    for name in ("hostNetwork", "hostPID", "hostIPC", "hostUsers"):
        if spec.get(name):
            yield f"{name} is set"
    pod = spec.get("securityContext", {})
    for volume in spec.get("volumes", ()):
        (kind,) = set(volume) - {"name"}
        if kind not in VOLUMES:
            yield f"volume {volume['name']} is a {kind}"
    for container in (*spec.get("initContainers", ()), *spec["containers"]):
        yield from _of_container(container, pod)


def _of_container(container, pod):
    own, name = container.get("securityContext", {}), container["name"]
    effective = {**pod, **own}
    if own.get("privileged"):
        yield f"{name} is privileged"
    if own.get("allowPrivilegeEscalation") is not False:
        yield f"{name} may gain privileges"
    if effective.get("runAsNonRoot") is not True or effective.get("runAsUser") == 0:
        yield f"{name} may be root"
    if effective.get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"):
        yield f"{name} has no seccomp profile"
    capabilities = own.get("capabilities", {})
    if "ALL" not in capabilities.get("drop", ()) or set(capabilities.get("add", ())) - CAPABILITIES:
        yield f"{name} keeps capabilities"
    if any("hostPort" in port for port in container.get("ports", ())):
        yield f"{name} takes a port of the node"
    if effective.get("procMount", "Default") != "Default":
        yield f"{name} changes /proc"
