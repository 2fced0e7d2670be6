//! What the node graph asks of objects beside pods: projections of them, a few texts each.

use api::ResourceDef;
use client::{Cached, Labels, Meta};
use serde::Deserialize;
use std::marker::PhantomData;

static NO_LABELS: Labels = Labels::new();

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    namespace: String,
    name: String,
    uid: String,
    resource_version: String,
}

impl Metadata {
    fn meta(&self) -> Meta<'_> {
        Meta {
            namespace: &self.namespace,
            name: &self.name,
            uid: &self.uid,
            resource_version: &self.resource_version,
            labels: &NO_LABELS,
            owners: &[],
            deletion: None,
            has_finalizers: false,
        }
    }
}

/// A kind whose objects name one node themselves, in `spec.nodeName`.
pub(crate) trait Held: Send + Sync + 'static {
    const DEF: ResourceDef;
    const HOLDING: Holding;
}

/// Sorts of objects that name their node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Holding {
    Attachment,
    Slice,
    CertificateRequest,
}

macro_rules! held {
    ($($kind:ty => $holding:ident),*) => {$(
        impl Held for $kind {
            const DEF: ResourceDef = <$kind as api::Kind>::DEF;
            const HOLDING: Holding = Holding::$holding;
        }
    )*};
}

held! {
    api::k8s_openapi::api::storage::v1::VolumeAttachment => Attachment,
    api::k8s_openapi::api::resource::v1::ResourceSlice => Slice,
    api::k8s_openapi::api::certificates::v1::PodCertificateRequest => CertificateRequest
}

/// One of them.
#[derive(Debug)]
pub(crate) struct OnNode<K> {
    metadata: Metadata,
    /// Empty where it names none.
    pub(crate) node: Box<str>,
    kind: PhantomData<fn() -> K>,
}

impl<K: Held> Cached for OnNode<K> {
    const RESOURCE: ResourceDef = K::DEF;
    type Shelf = ();

    fn decode(json: &[u8], _: &mut ()) -> Result<OnNode<K>, serde_json::Error> {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Wire {
            metadata: Metadata,
            spec: Spec,
        }
        #[derive(Default, Deserialize)]
        #[serde(rename_all = "camelCase", default)]
        struct Spec {
            node_name: Box<str>,
        }
        let Wire { metadata, spec } = serde_json::from_slice(json)?;
        Ok(OnNode { metadata, node: spec.node_name, kind: PhantomData })
    }

    fn meta(&self) -> Meta<'_> {
        self.metadata.meta()
    }
}

/// A persistent volume: which claim has it, and the secrets that a node needs to mount it, as `namespace/name`.
#[derive(Debug)]
pub(crate) struct VolumeView {
    metadata: Metadata,
    pub(crate) claim: Option<Box<str>>,
    pub(crate) secrets: Box<[Box<str>]>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct VolumeSpec {
    claim_ref: Option<Reference>,
    azure_file: Option<AzureFile>,
    cephfs: Option<OfSecret>,
    cinder: Option<OfSecret>,
    flex_volume: Option<OfSecret>,
    iscsi: Option<OfSecret>,
    rbd: Option<OfSecret>,
    #[serde(rename = "scaleIO")]
    scale_io: Option<OfSecret>,
    storageos: Option<OfSecret>,
    csi: Option<Csi>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Reference {
    namespace: String,
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct AzureFile {
    secret_name: String,
    secret_namespace: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct OfSecret {
    secret_ref: Option<Reference>,
}

/// The secrets of its controllers are no node's.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Csi {
    node_publish_secret_ref: Option<Reference>,
    node_stage_secret_ref: Option<Reference>,
    node_expand_secret_ref: Option<Reference>,
}

impl VolumeSpec {
    /// A secret without a namespace is in the claim's.
    fn secrets(self, claim: &Reference) -> Box<[Box<str>]> {
        let azure = self.azure_file.map(|own| Reference { namespace: own.secret_namespace, name: own.secret_name });
        let plain = [self.cephfs, self.cinder, self.flex_volume, self.iscsi, self.rbd, self.scale_io, self.storageos];
        let plain = plain.into_iter().flatten().filter_map(|own| own.secret_ref);
        let csi = self.csi.unwrap_or_default();
        let csi = [csi.node_publish_secret_ref, csi.node_stage_secret_ref, csi.node_expand_secret_ref];
        let named = azure.into_iter().chain(plain).chain(csi.into_iter().flatten()).filter(|own| !own.name.is_empty());
        let placed = named.map(|own| {
            let namespace = if own.namespace.is_empty() { &claim.namespace } else { &own.namespace };
            format!("{namespace}/{}", own.name).into_boxed_str()
        });
        let distinct: std::collections::BTreeSet<Box<str>> = placed.collect();
        distinct.into_iter().collect()
    }
}

impl Cached for VolumeView {
    const RESOURCE: ResourceDef = <api::k8s_openapi::api::core::v1::PersistentVolume as api::Kind>::DEF;
    type Shelf = ();

    fn decode(json: &[u8], _: &mut ()) -> Result<VolumeView, serde_json::Error> {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Wire {
            metadata: Metadata,
            spec: VolumeSpec,
        }
        let Wire { metadata, mut spec } = serde_json::from_slice(json)?;
        let Some(claim) = spec.claim_ref.take() else {
            return Ok(VolumeView { metadata, claim: None, secrets: Box::default() });
        };
        let secrets = spec.secrets(&claim);
        let claim = format!("{}/{}", claim.namespace, claim.name).into_boxed_str();
        Ok(VolumeView { metadata, claim: Some(claim), secrets })
    }

    fn meta(&self) -> Meta<'_> {
        self.metadata.meta()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn check(source: Value, expected: &[&str]) {
        let mut spec = source.clone();
        spec["claimRef"] = json!({"namespace": "dev", "name": "disk"});
        let view = VolumeView::decode(json!({"spec": spec}).to_string().as_bytes(), &mut ()).unwrap();
        assert_eq!(view.claim.as_deref(), Some("dev/disk"));
        assert_eq!(view.secrets.iter().map(|own| &**own).collect::<Vec<_>>(), expected, "{source}");
    }

    #[test]
    fn nodes_need_the_secrets_of_mounting_and_no_others() {
        let secret = |name: &str| json!({"name": name, "namespace": "vault"});
        check(json!({"hostPath": {"path": "/"}}), &[]);
        check(json!({"azureFile": {"secretName": "a"}}), &["dev/a"]);
        check(json!({"azureFile": {"secretName": "a", "secretNamespace": "vault"}}), &["vault/a"]);
        check(json!({"cephfs": {"secretRef": {"name": "c"}}}), &["dev/c"]);
        check(json!({"scaleIO": {"secretRef": secret("s")}}), &["vault/s"]);
        check(
            json!({"csi": {"controllerPublishSecretRef": secret("p"), "controllerExpandSecretRef": secret("q"),
                "nodePublishSecretRef": secret("n"), "nodeStageSecretRef": secret("n"),
                "nodeExpandSecretRef": secret("x")}}),
            &["vault/n", "vault/x"],
        );
        let free = json!({"spec": {"cephfs": {"secretRef": {"name": "c"}}}}).to_string();
        assert_eq!(VolumeView::decode(free.as_bytes(), &mut ()).unwrap().secrets.len(), 0, "nobody has it");
    }
}
