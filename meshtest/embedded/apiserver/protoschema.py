# ruff: noqa: E501 - one line is one message
"""Field numbers of Kubernetes' protobuf messages, for the kinds that clients write in protobuf.

One line is one message: ``name=number`` and a type. Types: ``s`` string, ``i`` integer, ``b`` boolean, ``y`` bytes,
``t`` time, ``u`` time with microseconds, ``q`` quantity, ``x`` integer or string, or a message's name. Before the type:
``*`` repeated, ``#`` map from string; ``+`` before the name: its fields belong to the message around it. After it:
``!``: zero and empty mean something (the field is a pointer in Go).
"""

from __future__ import annotations

from dataclasses import dataclass

_MESSAGES = """
ObjectMeta name=1s generateName=2s namespace=3s uid=5s resourceVersion=6s generation=7i creationTimestamp=8t deletionTimestamp=9t deletionGracePeriodSeconds=10i! labels=11#s annotations=12#s ownerReferences=13*OwnerReference finalizers=14*s
OwnerReference kind=1s name=3s uid=4s apiVersion=5s controller=6b! blockOwnerDeletion=7b!
LabelSelector matchLabels=1#s matchExpressions=2*Requirement
Requirement key=1s operator=2s values=3*s
DeleteOptions gracePeriodSeconds=1i! preconditions=2Preconditions orphanDependents=3b! propagationPolicy=4s dryRun=5*s
Preconditions uid=1s resourceVersion=2s
Namespace metadata=1ObjectMeta spec=2NamespaceSpec status=3NamespaceStatus
NamespaceSpec finalizers=1*s
NamespaceStatus phase=1s
ConfigMap metadata=1ObjectMeta data=2#s binaryData=3#y immutable=4b!
Secret metadata=1ObjectMeta data=2#y type=3s stringData=4#s immutable=5b!
ServiceAccount metadata=1ObjectMeta secrets=2*ObjectReference imagePullSecrets=3*LocalObjectReference automountServiceAccountToken=4b!
ObjectReference kind=1s namespace=2s name=3s uid=4s apiVersion=5s resourceVersion=6s fieldPath=7s
LocalObjectReference name=1s
Binding metadata=1ObjectMeta target=2ObjectReference
Pod metadata=1ObjectMeta spec=2PodSpec
PodTemplateSpec metadata=1ObjectMeta spec=2PodSpec
PodSpec volumes=1*Volume containers=2*Container restartPolicy=3s terminationGracePeriodSeconds=4i! activeDeadlineSeconds=5i! dnsPolicy=6s nodeSelector=7#s serviceAccountName=8s serviceAccount=9s nodeName=10s hostNetwork=11b hostPID=12b hostIPC=13b securityContext=14PodSecurityContext imagePullSecrets=15*LocalObjectReference hostname=16s subdomain=17s affinity=18Affinity schedulerName=19s initContainers=20*Container automountServiceAccountToken=21b! tolerations=22*Toleration hostAliases=23*HostAlias priorityClassName=24s priority=25i! dnsConfig=26PodDNSConfig shareProcessNamespace=27b! readinessGates=28*ReadinessGate runtimeClassName=29s enableServiceLinks=30b! preemptionPolicy=31s topologySpreadConstraints=33*TopologySpreadConstraint setHostnameAsFQDN=35b!
Container name=1s image=2s command=3*s args=4*s workingDir=5s ports=6*ContainerPort env=7*EnvVar resources=8Resources volumeMounts=9*VolumeMount livenessProbe=10Probe readinessProbe=11Probe lifecycle=12Lifecycle terminationMessagePath=13s imagePullPolicy=14s securityContext=15SecurityContext stdin=16b stdinOnce=17b tty=18b envFrom=19*EnvFrom terminationMessagePolicy=20s startupProbe=22Probe restartPolicy=24s
ContainerPort name=1s hostPort=2i containerPort=3i protocol=4s hostIP=5s
EnvVar name=1s value=2s valueFrom=3EnvVarSource
EnvVarSource fieldRef=1FieldRef resourceFieldRef=2ResourceFieldRef configMapKeyRef=3KeyRef secretKeyRef=4KeyRef
FieldRef apiVersion=1s fieldPath=2s
ResourceFieldRef containerName=1s resource=2s divisor=3q
KeyRef +local=1LocalObjectReference key=2s optional=3b!
EnvFrom prefix=1s configMapRef=2EnvFromRef secretRef=3EnvFromRef
EnvFromRef +local=1LocalObjectReference optional=2b!
Resources limits=1#q requests=2#q
VolumeMount name=1s readOnly=2b mountPath=3s subPath=4s mountPropagation=5s subPathExpr=6s
Probe +handler=1ProbeHandler initialDelaySeconds=2i timeoutSeconds=3i periodSeconds=4i successThreshold=5i failureThreshold=6i terminationGracePeriodSeconds=7i!
ProbeHandler exec=1ExecAction httpGet=2HTTPGet tcpSocket=3TCPSocket grpc=4GRPCAction
ExecAction command=1*s
HTTPGet path=1s port=2x host=3s scheme=4s httpHeaders=5*HTTPHeader
HTTPHeader name=1s value=2s
TCPSocket port=1x host=2s
GRPCAction port=1i service=2s!
Lifecycle postStart=1LifecycleHandler preStop=2LifecycleHandler
LifecycleHandler exec=1ExecAction httpGet=2HTTPGet tcpSocket=3TCPSocket sleep=4SleepAction
SleepAction seconds=1i!
Capabilities add=1*s drop=2*s
SeccompProfile type=1s localhostProfile=2s
SecurityContext capabilities=1Capabilities privileged=2b! runAsUser=4i! runAsNonRoot=5b! readOnlyRootFilesystem=6b! allowPrivilegeEscalation=7b! runAsGroup=8i! procMount=9s seccompProfile=11SeccompProfile
PodSecurityContext runAsUser=2i! runAsNonRoot=3b! supplementalGroups=4*i fsGroup=5i! runAsGroup=6i! sysctls=7*HTTPHeader fsGroupChangePolicy=9s seccompProfile=10SeccompProfile
Volume name=1s +source=2VolumeSource
VolumeSource hostPath=1HostPath! emptyDir=2EmptyDir! secret=6SecretVolume! persistentVolumeClaim=10ClaimVolume! downwardAPI=16DownwardVolume! configMap=19ConfigMapVolume! projected=26Projected!
HostPath path=1s type=2s
EmptyDir medium=1s sizeLimit=2q
KeyToPath key=1s path=2s mode=3i!
SecretVolume secretName=1s items=2*KeyToPath defaultMode=3i! optional=4b!
ConfigMapVolume +local=1LocalObjectReference items=2*KeyToPath defaultMode=3i! optional=4b!
ClaimVolume claimName=1s readOnly=2b
DownwardVolume items=1*DownwardFile defaultMode=2i!
DownwardFile path=1s fieldRef=2FieldRef resourceFieldRef=3ResourceFieldRef mode=4i!
Projected sources=1*Projection defaultMode=2i!
Projection secret=1ProjectedKeys! downwardAPI=2DownwardVolume! configMap=3ProjectedKeys! serviceAccountToken=4TokenProjection!
ProjectedKeys +local=1LocalObjectReference items=2*KeyToPath optional=4b!
TokenProjection audience=1s expirationSeconds=2i! path=3s
Toleration key=1s operator=2s value=3s effect=4s tolerationSeconds=5i!
HostAlias ip=1s hostnames=2*s
PodDNSConfig nameservers=1*s searches=2*s options=3*HTTPHeader
ReadinessGate conditionType=1s
TopologySpreadConstraint maxSkew=1i topologyKey=2s whenUnsatisfiable=3s labelSelector=4LabelSelector!
Affinity nodeAffinity=1NodeAffinity podAffinity=2PodAffinity podAntiAffinity=3PodAffinity
NodeAffinity requiredDuringSchedulingIgnoredDuringExecution=1NodeSelector preferredDuringSchedulingIgnoredDuringExecution=2*PreferredNode
NodeSelector nodeSelectorTerms=1*NodeSelectorTerm
NodeSelectorTerm matchExpressions=1*Requirement matchFields=2*Requirement
PreferredNode weight=1i preference=2NodeSelectorTerm
PodAffinity requiredDuringSchedulingIgnoredDuringExecution=1*PodAffinityTerm preferredDuringSchedulingIgnoredDuringExecution=2*PreferredPod
PodAffinityTerm labelSelector=1LabelSelector! namespaces=2*s topologyKey=3s namespaceSelector=4LabelSelector!
PreferredPod weight=1i podAffinityTerm=2PodAffinityTerm
Service metadata=1ObjectMeta spec=2ServiceSpec
ServiceSpec ports=1*ServicePort selector=2#s clusterIP=3s type=4s externalIPs=5*s sessionAffinity=7s loadBalancerIP=8s loadBalancerSourceRanges=9*s externalName=10s externalTrafficPolicy=11s healthCheckNodePort=12i publishNotReadyAddresses=13b sessionAffinityConfig=14SessionAffinityConfig ipFamilyPolicy=17s clusterIPs=18*s ipFamilies=19*s allocateLoadBalancerNodePorts=20b! loadBalancerClass=21s internalTrafficPolicy=22s trafficDistribution=23s
SessionAffinityConfig clientIP=1ClientIPConfig
ClientIPConfig timeoutSeconds=1i!
ServicePort name=1s protocol=2s port=3i targetPort=4x nodePort=5i appProtocol=6s
Endpoints metadata=1ObjectMeta subsets=2*EndpointSubset
EndpointSubset addresses=1*EndpointAddress notReadyAddresses=2*EndpointAddress ports=3*EndpointPort
EndpointAddress ip=1s targetRef=2ObjectReference hostname=3s nodeName=4s
EndpointPort name=1s port=2i protocol=3s appProtocol=4s
Event metadata=1ObjectMeta involvedObject=2ObjectReference reason=3s message=4s source=5EventSource firstTimestamp=6t lastTimestamp=7t count=8i type=9s eventTime=10u action=12s related=13ObjectReference reportingComponent=14s reportingInstance=15s
EventSource component=1s host=2s
Node metadata=1ObjectMeta spec=2NodeSpec
NodeSpec podCIDR=1s providerID=3s unschedulable=4b taints=5*Taint podCIDRs=7*s
Taint key=1s value=2s effect=3s timeAdded=4t
ResourceQuota metadata=1ObjectMeta spec=2QuotaSpec
QuotaSpec hard=1#q scopes=2*s
Deployment metadata=1ObjectMeta spec=2DeploymentSpec
DeploymentSpec replicas=1i! selector=2LabelSelector! template=3PodTemplateSpec strategy=4DeploymentStrategy minReadySeconds=5i revisionHistoryLimit=6i! paused=7b progressDeadlineSeconds=9i!
DeploymentStrategy type=1s rollingUpdate=2RollingDeployment
RollingDeployment maxUnavailable=1x maxSurge=2x
ReplicaSet metadata=1ObjectMeta spec=2ReplicaSetSpec
ReplicaSetSpec replicas=1i! selector=2LabelSelector! template=3PodTemplateSpec minReadySeconds=4i
StatefulSet metadata=1ObjectMeta spec=2StatefulSetSpec
StatefulSetSpec replicas=1i! selector=2LabelSelector! template=3PodTemplateSpec serviceName=5s podManagementPolicy=6s revisionHistoryLimit=8i! minReadySeconds=9i
DaemonSet metadata=1ObjectMeta spec=2DaemonSetSpec
DaemonSetSpec selector=1LabelSelector! template=2PodTemplateSpec minReadySeconds=4i revisionHistoryLimit=6i!
Job metadata=1ObjectMeta spec=2JobSpec
JobSpec parallelism=1i! completions=2i! activeDeadlineSeconds=3i! selector=4LabelSelector! manualSelector=5b! template=6PodTemplateSpec backoffLimit=7i! ttlSecondsAfterFinished=8i! completionMode=9s suspend=10b!
CronJob metadata=1ObjectMeta spec=2CronJobSpec
CronJobSpec schedule=1s startingDeadlineSeconds=2i! concurrencyPolicy=3s suspend=4b! jobTemplate=5JobTemplate successfulJobsHistoryLimit=6i! failedJobsHistoryLimit=7i! timeZone=8s
JobTemplate metadata=1ObjectMeta spec=2JobSpec
Role metadata=1ObjectMeta rules=2*PolicyRule
ClusterRole metadata=1ObjectMeta rules=2*PolicyRule aggregationRule=3AggregationRule
AggregationRule clusterRoleSelectors=1*LabelSelector
PolicyRule verbs=1*s apiGroups=2*s resources=3*s resourceNames=4*s nonResourceURLs=5*s
RoleBinding metadata=1ObjectMeta subjects=2*Subject roleRef=3RoleRef
ClusterRoleBinding metadata=1ObjectMeta subjects=2*Subject roleRef=3RoleRef
Subject kind=1s apiGroup=2s name=3s namespace=4s
RoleRef apiGroup=1s kind=2s name=3s
SelfSubjectAccessReview metadata=1ObjectMeta spec=2AccessSpec
SubjectAccessReview metadata=1ObjectMeta spec=2AccessSpec
LocalSubjectAccessReview metadata=1ObjectMeta spec=2AccessSpec
AccessSpec resourceAttributes=1ResourceAttributes nonResourceAttributes=2NonResourceAttributes user=3s groups=4*s uid=6s
ResourceAttributes namespace=1s verb=2s group=3s version=4s resource=5s subresource=6s name=7s
NonResourceAttributes path=1s verb=2s
SelfSubjectRulesReview metadata=1ObjectMeta spec=2RulesSpec
RulesSpec namespace=1s
SelfSubjectReview metadata=1ObjectMeta
TokenReview metadata=1ObjectMeta spec=2TokenReviewSpec
TokenReviewSpec token=1s audiences=2*s
TokenRequest metadata=1ObjectMeta spec=2TokenRequestSpec
TokenRequestSpec audiences=1*s boundObjectRef=3BoundObject expirationSeconds=4i!
BoundObject kind=1s apiVersion=2s name=3s uid=4s
Scale metadata=1ObjectMeta spec=2ScaleSpec
ScaleSpec replicas=1i!
Eviction metadata=1ObjectMeta deleteOptions=2DeleteOptions
Lease metadata=1ObjectMeta spec=2LeaseSpec
LeaseSpec holderIdentity=1s leaseDurationSeconds=2i! acquireTime=3u renewTime=4u leaseTransitions=5i!
PodDisruptionBudget metadata=1ObjectMeta spec=2BudgetSpec
BudgetSpec minAvailable=1x selector=2LabelSelector! maxUnavailable=3x
PriorityClass metadata=1ObjectMeta value=2i globalDefault=3b description=4s preemptionPolicy=5s
Ingress metadata=1ObjectMeta spec=2IngressSpec
IngressSpec defaultBackend=1IngressBackend tls=2*IngressTLS rules=3*IngressRule ingressClassName=4s
IngressRule host=1s +value=2IngressRuleValue
IngressRuleValue http=1IngressHTTP
IngressHTTP paths=1*IngressPath
IngressPath path=1s backend=2IngressBackend pathType=3s
IngressBackend service=4IngressService
IngressService name=1s port=2IngressPort
IngressPort name=1s number=2i
IngressTLS hosts=1*s secretName=2s
"""


@dataclass(frozen=True, slots=True)
class Field:
    """``type`` as above; ``shape``: "" one value, ``*`` a list, ``#`` a map."""

    name: str
    type: str
    shape: str
    pointer: bool
    inline: bool


def _parse(text: str) -> dict[str, dict[int, Field]]:
    messages: dict[str, dict[int, Field]] = {}
    for line in text.strip().splitlines():
        name, *fields = line.split()
        messages[name] = dict(_field(each) for each in fields)
    return messages


def _field(text: str) -> tuple[int, Field]:
    name, _, rest = text.partition("=")
    number = rest[: len(rest) - len(rest.lstrip("0123456789"))]
    kind = rest[len(number) :]
    shape = kind[0] if kind[0] in "*#" else ""
    kind = kind[len(shape) :]
    pointer = kind.endswith("!")
    return int(number), Field(name.lstrip("+"), kind.rstrip("!"), shape, pointer, name.startswith("+"))


MESSAGES = _parse(_MESSAGES)
