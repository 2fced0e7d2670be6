//! ServiceAccount: every namespace has a `default` one.

use crate::table::Start;
use async_trait::async_trait;
use client::{Cache, Change};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use reconcile::{Action, Context, Controller, Error, Key, Reconcile};

const NAME: &str = "default";

pub(crate) fn controller(start: &Start) -> Controller {
    let (namespaces, accounts) = (start.client.cache::<Namespace>(), start.client.cache::<ServiceAccount>());
    Controller::new("serviceaccount", Accounts { namespaces: namespaces.clone(), accounts: accounts.clone() })
        .watches(namespaces, reconcile::each)
        .watches(accounts, |change: &Change<ServiceAccount>| crate::namespace_of_deleted(change, NAME))
}

struct Accounts {
    namespaces: Cache<Namespace>,
    accounts: Cache<ServiceAccount>,
}

#[async_trait]
impl Reconcile for Accounts {
    async fn reconcile(&self, ctx: &Context, key: &Key) -> Result<Action, Error> {
        if !crate::is_active(self.namespaces.get_key(key).as_deref()) || self.accounts.get(key, NAME).is_some() {
            return Ok(Action::Done);
        }
        let mut account = ServiceAccount::default();
        account.metadata.namespace = Some(key.to_string());
        account.metadata.name = Some(NAME.to_owned());
        crate::created(ctx.create(&account).await, "creating the default service account")
    }
}
