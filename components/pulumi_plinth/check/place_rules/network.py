"""Ports, host network, names that become environment variables. Sources stand with each rule."""

from __future__ import annotations

from collections.abc import Iterator

from pulumi_plinth.check.core import Verdict, refuse
from pulumi_plinth.check.subject import Subject

WEB_PORTS = (80, 443)
"""A Service or route may listen there and forward to any port."""


def one_port(subject: Subject) -> Iterator[Verdict]:
    """Compare probe, containerPort, Service and route with the engine's port (volcano-sh/kthena#1434)."""
    traffic = subject.place.traffic
    engine = traffic.engine_port
    for what, port in traffic.other_ports if engine is not None else ():
        if port != engine and port not in WEB_PORTS:
            yield refuse(
                "port-differs",
                f"{what}.port",
                f"the engine listens on {engine} and {what} goes to {port}",
                f"write {engine}",
            )


def host_ports(subject: Subject) -> Iterator[Verdict]:
    """Count ports of the host as the resource of a node that they are (ome-projects/ome#236)."""
    place = subject.place
    count = place.pod.per_node or 1
    if count <= 1 or not (place.pod.host_network or place.pod.host_ports):
        return
    ports = place.pod.host_ports or ((place.traffic.engine_port,) if place.traffic.engine_port else ())
    named = f"port {ports[0]}" if ports else "the same port"
    yield refuse(
        "host-port-clash",
        "pod.hostNetwork",
        f"{count:g} pods on one node want {named} of the host",
        f"give each of the {count:g} a port of its own, or leave the host network",
    )


def network_modes(subject: Subject) -> Iterator[Verdict]:
    """Refuse virtual functions on the host network, where a pod gets none (skypilot-org/skypilot#10554)."""
    pod = subject.place.pod
    if pod.host_network and pod.network_functions:
        yield refuse(
            "rdma-modes",
            "pod.hostNetwork",
            "a virtual function is asked for and the pod is on the host network; the two exclude each other",
            "leave out hostNetwork, or the virtual function (the host network sees the cards themselves)",
        )


def locked_memory(subject: Subject) -> Iterator[Verdict]:
    """Demand IPC_LOCK for RDMA, which registers locked memory (facts: pulumi-oci 5)."""
    pod = subject.place.pod
    wants = pod.rdma or pod.network_functions
    if wants and pod.container.locks_memory is False and not pod.container.privileged:
        yield refuse(
            "rdma-locked-memory",
            "pod.container.securityContext.capabilities",
            "RDMA registers locked memory, and the container may not lock any",
            "add the capability IPC_LOCK",
        )


def answer_times(subject: Subject) -> Iterator[Verdict]:
    """Compare what proxies wait with what answers take: they cut the connection (facts: serving 2.2)."""
    traffic = subject.place.traffic
    if traffic.timeout_seconds and traffic.answer_seconds and traffic.timeout_seconds < traffic.answer_seconds:
        yield refuse(
            "proxy-timeout",
            "gateway.timeout",
            f"an answer takes {traffic.answer_seconds:g} s and the connection ends after {traffic.timeout_seconds:g} s",
            f"write more than {traffic.answer_seconds:g} s, or stream with --sse-keep-alive-interval",
        )


def service_variables(subject: Subject) -> Iterator[Verdict]:
    """Refuse a Service `vllm`: it puts VLLM_PORT=tcp://… into pods, which vLLM reads as a number (envs.py)."""
    place = subject.place
    given = subject.serving.environment.get("VLLM_PORT") or place.traffic.port_variable or ""
    if "://" in given:
        yield refuse(
            "service-named-vllm",
            "environment.VLLM_PORT",
            f"VLLM_PORT is {given}, which Kubernetes sets from a Service named 'vllm', and vLLM wants a number there",
            "name the Service otherwise, or set enableServiceLinks: false",
        )
    elif place.traffic.service_name == "vllm" and place.pod.service_links is not False:
        if given:
            return
        yield refuse(
            "service-named-vllm",
            "service.metadata.name",
            "Kubernetes sets VLLM_PORT=tcp://… from a Service named 'vllm', and vLLM wants a number there",
            "name the Service otherwise, or set enableServiceLinks: false",
        )


RULES = (one_port, host_ports, network_modes, locked_memory, answer_times, service_variables)
