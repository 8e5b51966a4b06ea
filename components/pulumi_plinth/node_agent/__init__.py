"""The node agent's objects in a cluster: DaemonSet, rights, and the guard that holds agents to their nodes. Pure."""

from pulumi_plinth.node_agent.access import SecretName
from pulumi_plinth.node_agent.manifests import node_agent_objects, secrets_of
from pulumi_plinth.node_agent.spec import NodeAgentSpec

__all__ = ["NodeAgentSpec", "SecretName", "node_agent_objects", "secrets_of"]
