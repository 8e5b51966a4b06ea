"""The cluster's definitions of BaseModel and ClusterBaseModel, from the same specs and tables as everything else."""

from pulumi_plinth.model.crds.definition import crd_objects
from pulumi_plinth.model.crds.ownership import CrdPolicy, crd_faults

__all__ = ["CrdPolicy", "crd_faults", "crd_objects"]
