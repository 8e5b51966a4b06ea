"""Kinds of other projects that our objects are of, as far as ours use them: strict schemas for tests, by hand.

Written after their documentation (LeaderWorkerSet v1, Prometheus' operator v1, KEDA v1alpha1); their own schemas know
more. A field that is not here is refused by an API server under strict validation, so a misspelt one is seen.
"""

TEXT, WHOLE, LABELS = (
    {"type": "string"},
    {"type": "integer"},
    {"type": "object", "additionalProperties": {"type": "string"}},
)
FREE = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def fields(**properties):
    """An object with these fields and no others."""
    return {"type": "object", "properties": properties}


def rows(item):
    """A list."""
    return {"type": "array", "items": item}


SELECTOR = fields(matchLabels=LABELS)
RULE = fields(stabilizationWindowSeconds=WHOLE, policies=rows(fields(periodSeconds=WHOLE, type=TEXT, value=WHOLE)))
ROLLING = fields(maxSurge=WHOLE, maxUnavailable=WHOLE)
KINDS = {
    ("leaderworkerset.x-k8s.io", "v1", "LeaderWorkerSet", "leaderworkersets"): fields(
        replicas=WHOLE,
        startupPolicy={"type": "string", "enum": ["LeaderCreated", "LeaderReady"]},
        networkConfig=fields(subdomainPolicy={"type": "string", "enum": ["Shared", "UniquePerReplica"]}),
        rolloutStrategy=fields(type=TEXT, rollingUpdateConfiguration=ROLLING),
        leaderWorkerTemplate=fields(
            size=WHOLE,
            restartPolicy={"type": "string", "enum": ["RecreateGroupOnPodRestart", "None", "Default"]},
            workerTemplate=FREE,
        ),
    ),
    ("monitoring.coreos.com", "v1", "PodMonitor", "podmonitors"): fields(
        podMetricsEndpoints=rows(
            fields(interval={"type": "string", "pattern": r"^\d+(ms|s|m)$"}, path=TEXT, port=TEXT)
        ),
        podTargetLabels=rows(TEXT),
        selector=SELECTOR,
    ),
    ("keda.sh", "v1alpha1", "ScaledObject", "scaledobjects"): fields(
        advanced=fields(horizontalPodAutoscalerConfig=fields(behavior=fields(scaleDown=RULE, scaleUp=RULE))),
        fallback=fields(failureThreshold=WHOLE, replicas=WHOLE),
        maxReplicaCount=WHOLE,
        minReplicaCount=WHOLE,
        pollingInterval=WHOLE,
        scaleTargetRef=fields(apiVersion=TEXT, kind=TEXT, name=TEXT),
        triggers=rows(fields(type=TEXT, metricType=TEXT, metadata=LABELS)),
    ),
}


def definitions():
    """CustomResourceDefinitions of all of them."""
    for (group, version, kind, plural), spec in KINDS.items():
        schema = {"openAPIV3Schema": fields(spec=spec)}
        yield {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            # Groups below k8s.io want to be told where their API was reviewed.
            "metadata": {
                "name": f"{plural}.{group}",
                "annotations": {"api-approved.kubernetes.io": "unapproved, a test"},
            },
            "spec": {
                "group": group,
                "names": {"kind": kind, "plural": plural},
                "scope": "Namespaced",
                "versions": [{"name": version, "served": True, "storage": True, "schema": schema}],
            },
        }
