"""Rules about resources, as pure functions of plain properties. Nothing here imports pulumi_policy."""

from plinth_rules.approved import LICENCES, MODELS, REGIONS, SHAPES
from plinth_rules.budget import BUDGET
from plinth_rules.identities import IDENTITIES
from plinth_rules.pins import IMAGES, REVISIONS
from plinth_rules.pods import GPU_PODS
from plinth_rules.stores import BUCKETS

RULES = (BUCKETS, BUDGET, GPU_PODS, IDENTITIES, IMAGES, LICENCES, MODELS, REGIONS, REVISIONS, SHAPES)
"""All rules, by name."""
