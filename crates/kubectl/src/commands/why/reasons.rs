//! What the words of Kubernetes mean, and what to do next: one row each.

/// A reason in a status or an event.
pub(super) struct Row {
    pub(super) reason: &'static str,
    /// Behind "it" or a container's name.
    pub(super) meaning: &'static str,
    pub(super) step: &'static str,
}

const fn row(reason: &'static str, meaning: &'static str, step: &'static str) -> Row {
    Row { reason, meaning, step }
}

/// Why a container waits.
pub(super) const WAITING: &[Row] = &[
    row("ErrImagePull", "its image cannot be pulled", IMAGE),
    row("ImagePullBackOff", "its image cannot be pulled, and the node waits before it tries again", IMAGE),
    row("InvalidImageName", "its image's name is not one", "correct the image in the manifest: REGISTRY/NAME:TAG"),
    row(
        "ErrImageNeverPull",
        "its image is not on the node, and imagePullPolicy is Never",
        "import the image on the node (sampan image import), or let the policy be IfNotPresent",
    ),
    row(
        "ImageInspectError",
        "the node cannot read its image",
        "remove the image on the node and let it be pulled again",
    ),
    row("RegistryUnavailable", "the registry of its image does not answer", IMAGE),
    row(
        "CreateContainerConfigError",
        "something that its configuration refers to is missing",
        "look for a config map or secret that is named in env or envFrom and does not exist: kubectl get cm,secret",
    ),
    row(
        "CreateContainerError",
        "the runtime cannot make it",
        "read the message; often a command, a mount or a name that is taken",
    ),
    row(
        "RunContainerError",
        "the runtime cannot start it",
        "read the message; often a command that is not in the image",
    ),
    row(
        "CrashLoopBackOff",
        "it starts and ends again, and the node waits before it tries again",
        "read what it said before it ended: kubectl logs POD -c CONTAINER --previous",
    ),
    row("PostStartHookError", "its postStart hook fails", "correct the hook, or read its message below"),
    row("PreStartHookError", "a step before its start fails", "read the message"),
];

const IMAGE: &str = "check the image's name and tag, that the registry can be reached from the node, and imagePullSecrets if it asks for a login";

/// How a container ended.
pub(super) const ENDED: &[Row] = &[
    row(
        "OOMKilled",
        "it used more memory than its limit",
        "raise resources.limits.memory, or find out why it needs so much",
    ),
    row(
        "ContainerCannotRun",
        "the runtime could not run it",
        "check command and args: is the program in the image, and executable?",
    ),
    row(
        "StartError",
        "the runtime could not start it",
        "check command and args: is the program in the image, and executable?",
    ),
    row(
        "DeadlineExceeded",
        "it ran longer than activeDeadlineSeconds",
        "raise activeDeadlineSeconds, or make it quicker",
    ),
    row("ContainerStatusUnknown", "its node lost sight of it", "look at the node: kubectl describe node"),
];

/// Exit codes with a meaning that most programs share.
pub(super) const CODES: &[(i64, &str, &str)] = &[
    (126, "its command cannot be executed", "is the file executable, and for this machine's architecture?"),
    (127, "its command is not found", "is the program in the image, and is command spelled as it is there?"),
    (134, "it aborted", "read its log: kubectl logs POD -c CONTAINER --previous"),
    (
        137,
        "it was killed",
        "it did not end in its grace period, or the machine ran out of memory; look at limits and the node",
    ),
    (
        139,
        "it crashed in its own memory",
        "a bug of the program; read its log: kubectl logs POD -c CONTAINER --previous",
    ),
    (143, "it was asked to end", "a probe failed, the pod was replaced, or somebody deleted it; look at the warnings"),
];

/// Why a whole pod failed.
pub(super) const FAILED: &[Row] = &[
    row(
        "Evicted",
        "its node needed the room and put it out",
        "request what it uses (resources.requests), or give the node more",
    ),
    row("Preempting", "a pod of higher priority took its place", "raise its priority class, or add a node"),
    row("Preempted", "a pod of higher priority took its place", "raise its priority class, or add a node"),
    row(
        "NodeAffinity",
        "its node no longer matches its node selector",
        "label the node as the pod wants it, or change the pod's nodeSelector",
    ),
    row("OutOfcpu", "its node had less CPU left than it requests", "request less, or add a node"),
    row("OutOfmemory", "its node had less memory left than it requests", "request less, or add a node"),
    row("OutOfpods", "its node has as many pods as it may", "raise --max-pods of the node, or add a node"),
    row("NodeLost", "its node is gone", "bring the node back, or delete the pod"),
    row("Shutdown", "its node was shut down", "bring the node back; a workload makes another pod by itself"),
    row("Terminated", "its node was shut down", "bring the node back; a workload makes another pod by itself"),
    row(
        "UnexpectedAdmissionError",
        "the node could not give it a device",
        "look at the node's devices: kubectl describe node",
    ),
    row(
        "DeadlineExceeded",
        "it ran longer than activeDeadlineSeconds",
        "raise activeDeadlineSeconds, or make it quicker",
    ),
];

/// What events tell of a pod that hangs before its containers.
pub(super) const EVENTS: &[Row] = &[
    row(
        "FailedMount",
        "a volume cannot be mounted",
        "look for a config map, secret or claim that is missing, and read the message",
    ),
    row(
        "FailedAttachVolume",
        "a volume cannot be attached to its node",
        "is it still attached to another node? kubectl get volumeattachments",
    ),
    row("FailedMapVolume", "a volume cannot be mapped", "read the message; the storage driver has the details"),
    row(
        "FailedCreatePodSandBox",
        "its network cannot be set up",
        "look at the node's pod network; the message says which step failed",
    ),
    row("NetworkNotReady", "its node's network is not ready", "look at the node: kubectl describe node"),
    row(
        "FailedCreate",
        "its controller may not make pods",
        "read the message: a quota, a policy or a missing service account",
    ),
    row(
        "FailedBinding",
        "no volume fits its claim",
        "is there a storage class or a volume of that size? kubectl get sc,pv",
    ),
    row(
        "ProvisioningFailed",
        "no volume could be made for its claim",
        "look at the storage driver; the message says what it wants",
    ),
    row("FailedPreStopHook", "its preStop hook fails", "correct the hook, or read its message"),
    row("FailedToUpdateEndpoint", "the service does not learn of it", "look at the controller's log"),
    row(
        "Unhealthy",
        "a probe fails",
        "read the message; is the port right, and does it answer as fast as timeoutSeconds wants?",
    ),
    row("BackOff", "the node waits before it tries again", "read the other warnings: they say what was tried"),
];

/// Pieces of the scheduler's message.
pub(super) const SCHEDULER: &[Row] = &[
    row("Insufficient cpu", "no node has as much CPU left as it requests", "request less CPU, or add a node"),
    row("Insufficient memory", "no node has as much memory left as it requests", "request less memory, or add a node"),
    row("Too many pods", "the nodes have as many pods as they may", "raise --max-pods of a node, or add a node"),
    row(
        "Insufficient ",
        "no node has enough of what it requests left",
        "request less of it, or add a node that has it",
    ),
    row(
        "untolerated taint",
        "the nodes have taints that it does not tolerate",
        "kubectl taint nodes NODE KEY- takes one away; or add a toleration",
    ),
    row("node(s) were unschedulable", "the nodes are cordoned", "kubectl uncordon NODE"),
    row(
        "didn't match Pod's node affinity/selector",
        "no node has the labels that it wants",
        "label a node (kubectl label node NODE KEY=VALUE), or change nodeSelector",
    ),
    row(
        "didn't match pod affinity",
        "no node has the pods beside which it wants to be",
        "loosen its pod affinity, or start those pods",
    ),
    row(
        "didn't match pod anti-affinity",
        "every node has a pod that it refuses to be beside",
        "add a node, or loosen its anti-affinity",
    ),
    row(
        "didn't match pod topology spread",
        "every place would spread its kind too unevenly",
        "add a node where few are, or loosen topologySpreadConstraints",
    ),
    row(
        "didn't have free ports",
        "its host port is taken on every node",
        "drop hostPort, or run fewer of them than there are nodes",
    ),
    row(
        "unbound immediate PersistentVolumeClaims",
        "a claim that it names has no volume",
        "kubectl get pvc; is there a storage class or a volume that fits?",
    ),
    row("persistentvolumeclaim", "a claim that it names cannot be used", "kubectl get pvc; the message says which"),
    row(
        "volume node affinity conflict",
        "its volume is on a node where it does not fit",
        "make room on that node, or move the volume",
    ),
    row("no nodes available", "there are no nodes", "join one: sampan join --server URL --token TOKEN"),
];

/// Conditions of a node that stop its pods.
pub(super) const NODE: &[(&str, &str, &str, &str)] = &[
    ("Ready", "False", "its node is not ready", "look at the node: kubectl describe node; is the runtime up?"),
    (
        "Ready",
        "Unknown",
        "its node does not answer",
        "is the machine up, and does it reach the server? its log has more",
    ),
    ("MemoryPressure", "True", "its node is short of memory", "stop something on the node, or add another"),
    (
        "DiskPressure",
        "True",
        "its node's disk is nearly full",
        "remove images and logs on the node, or give it a larger disk",
    ),
    ("PIDPressure", "True", "its node has too many processes", "look for a pod that makes processes without end"),
    ("NetworkUnavailable", "True", "its node has no pod network", "look at the node's network; kubectl describe node"),
];

pub(super) fn find(table: &'static [Row], reason: &str) -> Option<&'static Row> {
    table.iter().find(|row| row.reason == reason)
}
