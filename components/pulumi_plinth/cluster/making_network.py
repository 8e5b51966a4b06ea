"""Effects: the network of a cluster that is made."""

from typing import Any

import pulumi
import pulumi_oci as oci

from pulumi_plinth.cluster.build import Build, Subnets
from pulumi_plinth.cluster.network import ALL, ICMP, ORACLE, WORLD, NetworkPlan, Rule, SubnetPlan

DNS_LABEL = "plinth"
PATH_DISCOVERY = {"type": 3, "code": 4}
"""ICMP's "fragmentation needed"."""

ALL_SERVICES = "All .* Services In Oracle Services Network"


def make_network(build: Build, plan: NetworkPlan) -> Subnets:
    """Make network, gateways, routes, rules and subnets."""
    vcn = oci.core.Vcn(
        build.child("vcn"), cidr_blocks=[plan.cidr], dns_label=DNS_LABEL, **build.common("vcn"), opts=build.inside()
    )
    offered = oci.core.get_services_output(
        filters=[{"name": "name", "values": [ALL_SERVICES], "regex": True}], opts=build.ask()
    )
    services = offered.services[0]
    routes = {False: _private_routes(build, vcn, services)}
    if plan.has_public:
        routes[True] = _public_routes(build, vcn)
    made = {subnet.part: _subnet(build, vcn, subnet, (routes[subnet.public], services)) for subnet in plan.subnets}
    return Subnets(vcn.id, made["api"], made["nodes"], made["pods"], made["balancers"])


def _private_routes(build: Build, vcn: oci.core.Vcn, services: Any) -> pulumi.Output[str]:
    nat = oci.core.NatGateway(build.child("nat"), vcn_id=vcn.id, **build.common("nat"), opts=build.inside())
    gateway = oci.core.ServiceGateway(
        build.child("services"),
        vcn_id=vcn.id,
        services=[{"service_id": services.id}],
        **build.common("services"),
        opts=build.inside(),
    )
    table = oci.core.RouteTable(
        build.child("private-routes"),
        vcn_id=vcn.id,
        route_rules=[
            {"destination": WORLD, "destination_type": "CIDR_BLOCK", "network_entity_id": nat.id},
            {
                "destination": services.cidr_block,
                "destination_type": "SERVICE_CIDR_BLOCK",
                "network_entity_id": gateway.id,
            },
        ],
        **build.common("private-routes"),
        opts=build.inside(),
    )
    return table.id


def _public_routes(build: Build, vcn: oci.core.Vcn) -> pulumi.Output[str]:
    gateway = oci.core.InternetGateway(
        build.child("internet"), vcn_id=vcn.id, **build.common("internet"), opts=build.inside()
    )
    table = oci.core.RouteTable(
        build.child("public-routes"),
        vcn_id=vcn.id,
        route_rules=[{"destination": WORLD, "destination_type": "CIDR_BLOCK", "network_entity_id": gateway.id}],
        **build.common("public-routes"),
        opts=build.inside(),
    )
    return table.id


def _subnet(build: Build, vcn: oci.core.Vcn, plan: SubnetPlan, around: tuple[pulumi.Output[str], Any]) -> Any:
    routes, services = around
    rules = oci.core.SecurityList(
        build.child(f"{plan.part}-rules"),
        vcn_id=vcn.id,
        ingress_security_rules=[_rule(rule, services) for rule in plan.rules if rule.ingress],
        egress_security_rules=[_rule(rule, services) for rule in plan.rules if not rule.ingress],
        **build.common(f"{plan.part}-rules"),
        opts=build.inside(),
    )
    subnet = oci.core.Subnet(
        build.child(f"{plan.part}-subnet"),
        vcn_id=vcn.id,
        cidr_block=plan.cidr,
        dns_label=plan.part,
        route_table_id=routes,
        security_list_ids=[rules.id],
        prohibit_public_ip_on_vnic=not plan.public,
        **build.common(f"{plan.part}-subnet"),
        opts=build.inside(),
    )
    return subnet.id


def _rule(rule: Rule, services: Any) -> Any:
    side = "source" if rule.ingress else "destination"
    peer = services.cidr_block if rule.peer == ORACLE else rule.peer
    kind = "SERVICE_CIDR_BLOCK" if rule.peer == ORACLE else "CIDR_BLOCK"
    found: dict[str, Any] = {"description": rule.why, "protocol": rule.protocol, side: peer, f"{side}_type": kind}
    if rule.protocol == ICMP:
        found["icmp_options"] = PATH_DISCOVERY
    if rule.ports and rule.protocol != ALL:
        found["tcp_options"] = {"min": rule.ports[0], "max": rule.ports[1]}
    return found
