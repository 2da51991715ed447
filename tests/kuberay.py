"""What KubeRay's operator takes as the `spec` of a RayJob, as a JSON schema.

No package has KubeRay's own custom resource definition (1.3 MB, nearly all of it Kubernetes' pods), so its fields stand
here as KubeRay 1.6 declares them (ray-operator/apis/ray/v1, rayjob_types.go and raycluster_types.go). An unknown field
is an error, as to `kubectl apply`. Templates of pods are left to the schemas of Kubernetes.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}
NUMBER: Schema = {"type": "number"}
WHOLE: Schema = {"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1}
TEXTS: Schema = {"type": "object", "additionalProperties": TEXT}  # a map: YAML's bare 0 or true are no texts
KUBERNETES: Schema = {"type": "object"}  # an object of Kubernetes' own


def fields(required: tuple[str, ...] = (), **known: Schema) -> Schema:
    """An object that has these fields and no other."""
    return {"type": "object", "properties": known, "required": list(required), "additionalProperties": False}


def one_of(*words: str) -> Schema:
    return {"enum": list(words)}


HEAD_GROUP = fields(
    ("template",),
    template=KUBERNETES,
    headService=KUBERNETES,
    enableIngress=FLAG,
    resources=TEXTS,
    labels=TEXTS,
    rayStartParams=TEXTS,
    serviceType=TEXT,
)
WORKER_GROUP = fields(
    ("groupName", "template"),
    groupName=TEXT,
    replicas=WHOLE,
    minReplicas=WHOLE,
    maxReplicas=WHOLE,
    numOfHosts=WHOLE,
    idleTimeoutSeconds=WHOLE,
    suspend=FLAG,
    resources=TEXTS,
    labels=TEXTS,
    rayStartParams=TEXTS,
    template=KUBERNETES,
    scaleStrategy=fields(workersToDelete={"type": "array", "items": TEXT}),
)
CLUSTER = fields(
    ("headGroupSpec",),
    upgradeStrategy=fields(type=one_of("Recreate", "None")),
    authOptions=fields(mode=one_of("disabled", "token"), secretName=TEXT, enableK8sTokenAuth=FLAG),
    suspend=FLAG,
    managedBy=TEXT,
    autoscalerOptions=KUBERNETES,
    headServiceAnnotations=TEXTS,
    enableInTreeAutoscaling=FLAG,
    gcsFaultToleranceOptions=KUBERNETES,
    headGroupSpec=HEAD_GROUP,
    rayVersion=TEXT,
    workerGroupSpecs={"type": "array", "items": WORKER_GROUP},
)
RAY_JOB = fields(
    activeDeadlineSeconds=WHOLE,
    preRunningDeadlineSeconds=WHOLE,
    backoffLimit=WHOLE,
    rayClusterSpec=CLUSTER,
    submitterPodTemplate=KUBERNETES,
    metadata=TEXTS,
    clusterSelector=TEXTS,
    submitterConfig=fields(backoffLimit=WHOLE),
    managedBy=TEXT,
    deletionStrategy=KUBERNETES,
    entrypoint=TEXT,
    runtimeEnvYAML=TEXT,
    jobId=TEXT,
    submissionMode=one_of("K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode"),  # others fail when it runs
    entrypointResources=TEXT,
    entrypointNumCpus=NUMBER,
    entrypointNumGpus=NUMBER,
    ttlSecondsAfterFinished=WHOLE,
    shutdownAfterJobFinishes=FLAG,
    suspend=FLAG,
)
