//! A pod's volumes, each with where its files come from.

use super::page::{Page, items, sorted};
use crate::calls::text;
use crate::print::display;
use serde_json::Value;

/// A line of a source: label, member, what stands for nothing, and how its value reads.
type Line = (&'static str, &'static str, &'static str, Form);
/// A source's member in the volume, what it is in words, and its lines.
type Source = (&'static str, &'static str, &'static [Line]);

/// How a member reads.
#[derive(Clone, Copy, PartialEq)]
enum Form {
    Plain,
    /// `[a b]`.
    Bracketed,
    /// `a, b`.
    Joined,
    /// `map[a:b c:d]`.
    Pairs,
    /// A reference to a secret, with its namespace where the volume is persistent.
    Secret,
    /// Its label without a colon, as upstream writes one of them.
    Bare,
}
use Form::{Bare, Bracketed, Joined, Pairs, Plain, Secret};

const READ_ONLY: Line = ("ReadOnly", "/readOnly", "false", Plain);
const FS_TYPE: Line = ("FSType", "/fsType", "", Plain);
const SECRET: Line = ("SecretRef", "/secretRef", "nil", Secret);
const VOLUME_ID: Line = ("VolumeID", "/volumeID", "", Plain);
const PARTITION: Line = ("Partition", "/partition", "0", Plain);

const SHARED: &[Source] = &[
    (
        "hostPath",
        "HostPath (bare host directory volume)",
        &[("Path", "/path", "", Plain), ("HostPathType", "/type", "", Plain)],
    ),
    (
        "gcePersistentDisk",
        "GCEPersistentDisk (a Persistent Disk resource in Google Compute Engine)",
        &[("PDName", "/pdName", "", Plain), FS_TYPE, PARTITION, READ_ONLY],
    ),
    (
        "awsElasticBlockStore",
        "AWSElasticBlockStore (a Persistent Disk resource in AWS)",
        &[VOLUME_ID, FS_TYPE, PARTITION, READ_ONLY],
    ),
    (
        "nfs",
        "NFS (an NFS mount that lasts the lifetime of a pod)",
        &[("Server", "/server", "", Plain), ("Path", "/path", "", Plain), READ_ONLY],
    ),
    (
        "iscsi",
        "ISCSI (an ISCSI Disk resource that is attached to a kubelet's host machine and then exposed to the pod)",
        &[
            ("TargetPortal", "/targetPortal", "", Plain),
            ("IQN", "/iqn", "", Plain),
            ("Lun", "/lun", "0", Plain),
            ("ISCSIInterface", "/iscsiInterface", "", Bare),
            FS_TYPE,
            READ_ONLY,
            ("Portals", "/portals", "", Bracketed),
            ("DiscoveryCHAPAuth", "/chapAuthDiscovery", "false", Plain),
            ("SessionCHAPAuth", "/chapAuthSession", "false", Plain),
            SECRET,
            ("InitiatorName", "/initiatorName", "<none>", Plain),
        ],
    ),
    (
        "rbd",
        "RBD (a Rados Block Device mount on the host that shares a pod's lifetime)",
        &[
            ("CephMonitors", "/monitors", "", Bracketed),
            ("RBDImage", "/image", "", Plain),
            FS_TYPE,
            ("RBDPool", "/pool", "", Plain),
            ("RadosUser", "/user", "", Plain),
            ("Keyring", "/keyring", "", Plain),
            SECRET,
            READ_ONLY,
        ],
    ),
    (
        "quobyte",
        "Quobyte (a Quobyte mount on the host that shares a pod's lifetime)",
        &[("Registry", "/registry", "", Plain), ("Volume", "/volume", "", Plain), READ_ONLY],
    ),
    (
        "vsphereVolume",
        "vSphereVolume (a Persistent Disk resource in vSphere)",
        &[("VolumePath", "/volumePath", "", Plain), FS_TYPE, ("StoragePolicyName", "/storagePolicyName", "", Plain)],
    ),
    ("cinder", "Cinder (a Persistent Disk resource in OpenStack)", &[VOLUME_ID, FS_TYPE, READ_ONLY, SECRET]),
    (
        "azureDisk",
        "AzureDisk (an Azure Data Disk mount on the host and bind mount to the pod)",
        &[
            ("DiskName", "/diskName", "", Plain),
            ("DiskURI", "/diskURI", "", Plain),
            ("Kind", "/kind", "", Plain),
            FS_TYPE,
            ("CachingMode", "/cachingMode", "", Plain),
            READ_ONLY,
        ],
    ),
    (
        "photonPersistentDisk",
        "PhotonPersistentDisk (a Persistent Disk resource in photon platform)",
        &[("PdID", "/pdID", "", Plain), FS_TYPE],
    ),
    ("portworxVolume", "PortworxVolume (a Portworx Volume resource)", &[VOLUME_ID]),
    (
        "cephfs",
        "CephFS (a CephFS mount on the host that shares a pod's lifetime)",
        &[
            ("Monitors", "/monitors", "", Bracketed),
            ("Path", "/path", "", Plain),
            ("User", "/user", "", Plain),
            ("SecretFile", "/secretFile", "", Plain),
            SECRET,
            READ_ONLY,
        ],
    ),
    (
        "storageos",
        "StorageOS (a StorageOS Persistent Disk resource)",
        &[
            ("VolumeName", "/volumeName", "", Plain),
            ("VolumeNamespace", "/volumeNamespace", "", Plain),
            FS_TYPE,
            READ_ONLY,
        ],
    ),
    (
        "fc",
        "FC (a Fibre Channel disk)",
        &[("TargetWWNs", "/targetWWNs", "", Joined), ("LUN", "/lun", "<none>", Plain), FS_TYPE, READ_ONLY],
    ),
    (
        "flexVolume",
        "FlexVolume (a generic volume resource that is provisioned/attached using an exec based plugin)",
        &[("Driver", "/driver", "", Plain), FS_TYPE, SECRET, READ_ONLY, ("Options", "/options", "", Pairs)],
    ),
    (
        "flocker",
        "Flocker (a Flocker volume mounted by the Flocker agent)",
        &[("DatasetName", "/datasetName", "", Plain), ("DatasetUUID", "/datasetUUID", "", Plain)],
    ),
];

/// Those that only pods have, or that read otherwise there.
const OF_PODS: &[Source] = &[
    (
        "emptyDir",
        "EmptyDir (a temporary directory that shares a pod's lifetime)",
        &[("Medium", "/medium", "", Plain), ("SizeLimit", "/sizeLimit", "<unset>", Plain)],
    ),
    (
        "secret",
        "Secret (a volume populated by a Secret)",
        &[("SecretName", "/secretName", "", Plain), ("Optional", "/optional", "false", Plain)],
    ),
    (
        "configMap",
        "ConfigMap (a volume populated by a ConfigMap)",
        &[("Name", "/name", "", Plain), ("Optional", "/optional", "false", Plain)],
    ),
    (
        "persistentVolumeClaim",
        "PersistentVolumeClaim (a reference to a PersistentVolumeClaim in the same namespace)",
        &[("ClaimName", "/claimName", "", Plain), READ_ONLY],
    ),
    (
        "csi",
        "CSI (a Container Storage Interface (CSI) volume source)",
        &[("Driver", "/driver", "", Plain), FS_TYPE, READ_ONLY],
    ),
    (
        "image",
        "Image (a container image or OCI artifact)",
        &[("Reference", "/reference", "", Plain), ("PullPolicy", "/pullPolicy", "", Plain)],
    ),
    (
        "gitRepo",
        "GitRepo (a volume that is pulled from git when the pod is created)",
        &[("Repository", "/repository", "", Plain), ("Revision", "/revision", "", Plain)],
    ),
    ("projected", "Projected (a volume that contains injected data from multiple sources)", &[]),
    ("downwardAPI", "DownwardAPI (a volume populated by information about the pod)", &[]),
    (
        "ephemeral",
        "EphemeralVolume (an inline specification for a volume that gets created and deleted with the pod)",
        &[],
    ),
    (
        "glusterfs",
        "Glusterfs (a Glusterfs mount on the host that shares a pod's lifetime)",
        &[("EndpointsName", "/endpoints", "", Plain), ("Path", "/path", "", Plain), READ_ONLY],
    ),
    (
        "azureFile",
        "AzureFile (an Azure File Service mount on the host and bind mount to the pod)",
        &[("SecretName", "/secretName", "", Plain), ("ShareName", "/shareName", "", Plain), READ_ONLY],
    ),
    (
        "scaleIO",
        "ScaleIO (a persistent volume backed by a block device in ScaleIO)",
        &[GATEWAY, SYSTEM, DOMAIN, POOL, MODE, VOLUME_NAME, FS_TYPE, READ_ONLY],
    ),
];

const GATEWAY: Line = ("Gateway", "/gateway", "", Plain);
const SYSTEM: Line = ("System", "/system", "", Plain);
const DOMAIN: Line = ("Protection Domain", "/protectionDomain", "", Plain);
const POOL: Line = ("Storage Pool", "/storagePool", "", Plain);
const MODE: Line = ("Storage Mode", "/storageMode", "", Plain);
const VOLUME_NAME: Line = ("VolumeName", "/volumeName", "", Plain);

/// Those that only persistent volumes have, or that read otherwise there.
const PERSISTENT: &[Source] = &[
    ("local", "LocalVolume (a persistent volume backed by local storage on a node)", &[("Path", "/path", "", Plain)]),
    (
        "csi",
        "CSI (a Container Storage Interface (CSI) volume source)",
        &[("Driver", "/driver", "", Plain), FS_TYPE, ("VolumeHandle", "/volumeHandle", "", Plain), READ_ONLY],
    ),
    (
        "azureFile",
        "AzureFile (an Azure File Service mount on the host and bind mount to the pod)",
        &[
            ("SecretName", "/secretName", "", Plain),
            ("SecretNamespace", "/secretNamespace", "", Plain),
            ("ShareName", "/shareName", "", Plain),
            READ_ONLY,
        ],
    ),
    (
        "glusterfs",
        "Glusterfs (a Glusterfs mount on the host that shares a pod's lifetime)",
        &[
            ("EndpointsName", "/endpoints", "", Plain),
            ("EndpointsNamespace", "/endpointsNamespace", "<unset>", Plain),
            ("Path", "/path", "", Plain),
            READ_ONLY,
        ],
    ),
    (
        "scaleIO",
        "ScaleIO (a persistent volume backed by a block device in ScaleIO)",
        &[
            GATEWAY,
            SYSTEM,
            DOMAIN,
            POOL,
            MODE,
            VOLUME_NAME,
            ("SecretName", "/secretRef/name", "", Plain),
            ("SecretNamespace", "/secretRef/namespace", "", Plain),
            FS_TYPE,
            READ_ONLY,
        ],
    ),
];

impl Form {
    fn text(self, value: &Value, is_persistent: bool) -> String {
        let texts = |separator: &str| items(value, "").iter().map(display).collect::<Vec<_>>().join(separator);
        match self {
            Plain | Bare => display(value),
            Bracketed => format!("[{}]", texts(" ")),
            Joined => texts(", "),
            Pairs => {
                let pairs: Vec<String> =
                    sorted(Some(value)).map(|(key, value)| format!("{key}:{}", display(value))).collect();
                format!("map[{}]", pairs.join(" "))
            }
            Secret if is_persistent => {
                format!("&SecretReference{{Name:{},Namespace:{},}}", text(value, "/name"), text(value, "/namespace"))
            }
            Secret => format!("&LocalObjectReference{{Name:{},}}", text(value, "/name")),
        }
    }

    /// What reads so though it is not there.
    fn nothing(self, otherwise: &str) -> &str {
        match self {
            Bracketed => "[]",
            Pairs => "map[]",
            _ => otherwise,
        }
    }
}

/// `indent` is of a template's: it stands further in than a pod's.
pub(super) fn describe(volumes: &[Value], indent: &str, page: &mut Page) {
    if volumes.is_empty() {
        return page.line(0, format_args!("{indent}Volumes:\t<none>"));
    }
    page.line(0, format_args!("{indent}Volumes:"));
    let inner = if indent.is_empty() { "" } else { " " };
    for volume in volumes {
        page.line(1, format_args!("{inner}{}:", text(volume, "/name")));
        source(volume, OF_PODS, false, page);
    }
}

/// Where a persistent volume's files come from.
pub(super) fn persistent(spec: &Value, page: &mut Page) {
    source(spec, PERSISTENT, true, page);
}

fn source(volume: &Value, own: &[Source], is_persistent: bool, page: &mut Page) {
    let mut sources = own.iter().chain(SHARED);
    let Some((member, words, lines)) = sources.find(|(member, ..)| volume.get(*member).is_some()) else {
        return page.line(1, "<unknown>");
    };
    let source = &volume[*member];
    page.pair(2, "Type", words);
    for (label, member, nothing, form) in *lines {
        let value = source.pointer(member).map(|value| form.text(value, is_persistent));
        let value = value.as_deref().unwrap_or(form.nothing(nothing));
        match form {
            Bare => page.line(2, format_args!("{label}\t{value}")),
            _ => page.pair(2, label, value),
        }
    }
    match *member {
        "projected" => items(source, "/sources").iter().for_each(|source| projected(source, page)),
        "downwardAPI" => downward(source, page),
        "csi" => attributes(source, page),
        _ => {}
    }
}

fn projected(source: &Value, page: &mut Page) {
    let named = |label: &str, source: &Value, page: &mut Page| {
        page.pair(2, label, text(source, "/name"));
        page.pair(2, "Optional", source["optional"] == true);
    };
    if let Some(secret) = source.get("secret") {
        named("SecretName", secret, page);
    } else if source.get("downwardAPI").is_some() {
        page.pair(2, "DownwardAPI", "true");
    } else if let Some(config_map) = source.get("configMap") {
        named("ConfigMapName", config_map, page);
    } else if let Some(token) = source.get("serviceAccountToken") {
        page.pair(2, "TokenExpirationSeconds", display(&token["expirationSeconds"]));
    }
}

fn downward(source: &Value, page: &mut Page) {
    page.line(2, "Items:");
    for item in items(source, "/items") {
        let from = [text(item, "/fieldRef/fieldPath"), text(item, "/resourceFieldRef/resource")];
        for from in from.iter().filter(|from| !from.is_empty()) {
            page.line(3, format_args!("{from} -> {}", text(item, "/path")));
        }
    }
}

fn attributes(source: &Value, page: &mut Page) {
    let lines: Vec<String> = sorted(source.get("volumeAttributes"))
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    let Some((first, rest)) = lines.split_first() else {
        return page.pair(2, "VolumeAttributes", "<none>");
    };
    page.pair(2, "VolumeAttributes", format_args!("    {first}"));
    rest.iter().for_each(|line| page.line(2, format_args!("\t    {line}")));
}
