"""Whether pods find a node: taints, selectors, templates of empty pools, runtimes. Sources stand with each rule."""

from __future__ import annotations

from collections.abc import Iterator

from pulumi_plinth.check.core import Verdict, refuse, warn
from pulumi_plinth.check.place_node import Pool
from pulumi_plinth.check.place_pod import Taint
from pulumi_plinth.check.place_rules.common import gpus_asked
from pulumi_plinth.check.subject import Subject

PREEMPTIBLE_TAINT = Taint("oci.oraclecloud.com/oke-is-preemptible", "present", "NoSchedule")
PRODUCT_LABEL = "nvidia.com/gpu.product"
"""Slices and shared GPUs have their own products, with -MIG-<profile> or -SHARED at the end (k8s-device-plugin)."""

LATE_LABELS = ("models.ome.io/", "nvidia.com/gpu.", "nvidia.com/mig.", "nvidia.com/cuda", "feature.node.kubernetes.io/")
"""Labels that software sets on a node after it joined: OME's agent, GPU and Node Feature Discovery."""


def implied_taints(pool: Pool) -> tuple[Taint, ...]:
    """Return the taints that OKE adds itself to preemptible nodes.

    It taints nodes with GPUs too, and its admission gives pods that ask for GPUs the toleration.
    """
    return (PREEMPTIBLE_TAINT,) if pool.provider == "oci" and pool.preemptible else ()


def untolerated(subject: Subject) -> Iterator[Verdict]:
    """Refuse taints, declared or implied, that no toleration covers (kubeai-project/kubeai#204)."""
    place = subject.place
    tolerations = place.pod.tolerations
    if tolerations is None:
        return
    for taint in dict.fromkeys((*place.node.taints, *place.pool.taints, *implied_taints(place.pool))):
        if taint.effect != "PreferNoSchedule" and not any(each.tolerates(taint) for each in tolerations):
            yield refuse(
                "untolerated-taint",
                "pod.tolerations",
                f"nodes carry {taint} and no toleration of the pod covers it",
                f"add {{key: {taint.key}, operator: Exists, effect: {taint.effect or 'NoSchedule'}}}",
            )


def late_labels(subject: Subject) -> Iterator[Verdict]:
    """Refuse labels set on running nodes as selectors of a pool that may be empty: it never grows
    (ome-projects/ome#555).
    """
    pool = subject.place.pool
    for key, value in (subject.place.pod.node_selector or {}).items():
        if pool.min_nodes == 0 and (key.startswith(LATE_LABELS) or value == "Ready"):
            yield refuse(
                "selector-set-after-start",
                f"pod.nodeSelector.{key}",
                f"{key}={value} appears only on running nodes, and the pool may have 0: no template matches",
                "select by a static label of the pool, or keep at least 1 node",
            )


def unmatched_selector(subject: Subject) -> Iterator[Verdict]:
    """Demand every selected pair among the nodes' labels, byte for byte, where these are known."""
    node = subject.place.node
    labels = {PRODUCT_LABEL: node.gpu_label} if node.labels is None and node.gpu_label else node.labels
    for key, value in (subject.place.pod.node_selector or {}).items() if labels is not None else ():
        if node.labels is None and key != PRODUCT_LABEL:
            continue
        if labels is not None and labels.get(key) != value:
            near = next((f"'{name}: {text}'" for name, text in labels.items() if name.lower() == key.lower()), "")
            yield refuse(
                "selector-matches-no-node",
                f"pod.nodeSelector.{key}",
                f"'{key}: {value}' is on no node{f', {near} is' if near else ''}",
                f"write {near}" if near else "select by a label that the nodes carry",
            )


def empty_template(subject: Subject) -> Iterator[Verdict]:
    """Demand GPUs in the template, which the autoscaler simulates with 0 nodes
    (autoscaler#929; karpenter-provider-oci#31).
    """
    pool = subject.place.pool
    if pool.template_gpus == 0 and not pool.min_nodes:
        shape = f" of {pool.shape}" if pool.shape else ""
        yield refuse(
            "template-without-gpu",
            "pool.template",
            f"the node template{shape} shows no GPU, so no empty pool is grown for a pod that asks for one",
            "declare GPU count, labels and taints in the template, or keep at least 1 node",
        )


def template_labels(subject: Subject) -> Iterator[Verdict]:
    """Demand the selected labels in the template of a pool that may be empty (kubernetes/autoscaler#929)."""
    pool, selector = subject.place.pool, subject.place.pod.node_selector or {}
    if pool.template_labels == () and selector and not pool.min_nodes:
        selected = ", ".join(f"{key}={value}" for key, value in selector.items())
        yield refuse(
            "template-without-label",
            "pool.template",
            f"the template shows no label and the pod selects {selected}",
            "declare the labels in the template, or keep at least 1 node",
        )


def silent_catalogue(subject: Subject) -> Iterator[Verdict]:
    """Warn of a catalogue's zero, which may mean fractional or not yet described (aws/karpenter-provider-aws#8368)."""
    pool = subject.place.pool
    if pool.catalogue_gpus == 0:
        yield warn(
            "catalogue-without-gpu",
            "pool.shape",
            f"the catalogue says that {pool.shape or 'the shape'} has 0 GPUs; GPU pods will not start it",
            "state the GPU count of the shape, or take another one",
        )


def late_gpu(subject: Subject) -> Iterator[Verdict]:
    """Warn of GPUs that appear late: the node looks unfit, and more are started for one pod
    (kubernetes/autoscaler#1949).
    """
    if subject.place.node.driver_after_join:
        yield warn(
            "gpu-appears-late",
            "pool",
            "the driver is installed after the node joined; until then the autoscaler counts the node as unfit",
            "label nodes with the GPU label that the autoscaler waits for, cap the pool, or use an image with driver",
        )


def two_drivers(subject: Subject) -> Iterator[Verdict]:
    """Warn of an image with driver under an operator that installs one (NVIDIA/gpu-operator#327)."""
    node = subject.place.node
    if node.driver_in_image and node.driver_by_operator:
        yield warn(
            "two-drivers",
            "operator.driver.enabled",
            "the node image brings the driver and the operator installs another",
            "set driver.enabled to false, or take an image without driver",
        )


def two_plugins(subject: Subject) -> Iterator[Verdict]:
    """Warn of two device plugins on one node: both offer the same GPUs (facts: pulumi-oci 5)."""
    count = subject.place.node.device_plugins
    if count and count > 1:
        yield warn(
            "two-device-plugins",
            "cluster.addons",
            f"{count:g} device plugins offer the same GPUs",
            "keep one: set disableNvidiaGpuPlugin, or the operator's devicePlugin.enabled to false",
        )


def no_driver(subject: Subject) -> Iterator[Verdict]:
    """Demand a driver from somewhere: the image or the operator (NVIDIA/gpu-operator: driver containers)."""
    node = subject.place.node
    if node.driver_in_image is False and node.driver_by_operator is False:
        yield refuse(
            "no-driver",
            "operator.driver.enabled",
            "the node image brings no driver and the operator installs none",
            "set driver.enabled to true, or take an image with driver",
        )


def no_plugin(subject: Subject) -> Iterator[Verdict]:
    """Demand a device plugin: without it nodes offer no GPUs and the pod stays Pending (Kubernetes: schedule GPUs)."""
    if subject.place.node.device_plugins == 0 and gpus_asked(subject):
        yield refuse(
            "no-device-plugin",
            "cluster.addons",
            "GPUs are asked for and no device plugin offers them",
            "install the vendor's device plugin or operator",
        )


def runtime_class(subject: Subject) -> Iterator[Verdict]:
    """Demand the nvidia runtime, without which a container does not see its GPU (llm-d/llm-d-deployer#273)."""
    default, pod = subject.place.node.default_runtime, subject.place.pod
    if pod.runtime_class and pod.runtime_class_exists is False:
        yield refuse(
            "runtime-class",
            "pod.runtimeClassName",
            f"the cluster has no RuntimeClass {pod.runtime_class}: the pod is not created",
            "make the RuntimeClass, or leave the name out",
        )
    if default and "nvidia" not in default.lower() and pod.runtime_class == "":
        yield refuse(
            "runtime-class",
            "pod.runtimeClassName",
            f"the nodes' default runtime is {default} and the pod names no RuntimeClass: the GPU stays invisible",
            "write runtimeClassName: nvidia, or make nvidia the nodes' default runtime",
        )


RULES = (
    untolerated, late_labels, unmatched_selector, empty_template, silent_catalogue, late_gpu, two_drivers,
    runtime_class,
    two_plugins,
    no_driver,
    no_plugin,
    template_labels,
)  # fmt: skip
