//! The cluster's root certificate, in every namespace, for pods to know the API server by.

use crate::table::Start;
use async_trait::async_trait;
use client::{Cache, CacheScope, Change};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use reconcile::{Action, Context, Controller, Error, Key, Reconcile, split};
use std::collections::BTreeMap;

const NAME: &str = "kube-root-ca.crt";
const FIELD: &str = "ca.crt";
const DESCRIPTION: &str =
    "The authority by which pods know the API server at its in-cluster addresses; kept by the cluster.";

pub(crate) fn controller(start: &Start) -> Option<Controller> {
    let pem = start.options.root_ca_pem.clone()?;
    let namespaces = start.client.cache::<Namespace>();
    // Only these of all config maps are of interest.
    let scope = CacheScope { field_selector: format!("metadata.name={NAME}"), ..CacheScope::default() };
    let maps = start.client.cache_of::<ConfigMap>(scope);
    let reconciler = RootCa { namespaces: namespaces.clone(), maps: maps.clone(), pem };
    let controller = Controller::new("root-ca-certificate-publisher", reconciler)
        .watches(namespaces, reconcile::each)
        .watches(maps, |change: &Change<ConfigMap>| vec![split(&change.key).0.into()]);
    Some(controller)
}

struct RootCa {
    namespaces: Cache<Namespace>,
    maps: Cache<ConfigMap>,
    pem: String,
}

#[async_trait]
impl Reconcile for RootCa {
    async fn reconcile(&self, ctx: &Context, key: &Key) -> Result<Action, Error> {
        if !crate::is_active(self.namespaces.get_key(key).as_deref()) {
            return Ok(Action::Done);
        }
        let data = Some(BTreeMap::from([(FIELD.to_owned(), self.pem.clone())]));
        let Some(existing) = self.maps.get(key, NAME) else {
            let mut map = ConfigMap { data, ..ConfigMap::default() };
            map.metadata.namespace = Some(key.to_string());
            map.metadata.name = Some(NAME.to_owned());
            map.metadata.annotations =
                Some(BTreeMap::from([("kubernetes.io/description".to_owned(), DESCRIPTION.to_owned())]));
            return crate::created(ctx.create(&map).await, "publishing the root certificate");
        };
        if existing.data == data {
            return Ok(Action::Done);
        }
        let mut map = (*existing).clone();
        map.data = data;
        ctx.update(&map).await.map(|_| Action::Done).map_err(Error::api("publishing the root certificate"))
    }
}
