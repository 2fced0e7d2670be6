//! Namespace: what is in it is deleted before it is.

mod content;
mod status;

use crate::table::Start;
use api::{Kind, Reason, Subresource};
use async_trait::async_trait;
use client::{Cache, Change, PodView, Request, Verb};
use k8s_openapi::api::core::v1::Namespace;
use reconcile::{Action, Context, Controller, Error, Key, Reconcile, split};
use std::time::Duration;

const FINALIZER: &str = "kubernetes";
/// Pods tell when they are gone; other objects with finalizers do not.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

pub(crate) fn controller(start: &Start) -> Controller {
    let (namespaces, pods) = (start.client.cache::<Namespace>(), start.client.cache::<PodView>());
    let ending = namespaces.clone();
    Controller::new("namespace", Namespaces { namespaces: namespaces.clone() })
        .watches(namespaces, |change| {
            if change.new.as_deref().is_some_and(is_ending) { vec![change.key.clone()] } else { Vec::new() }
        })
        .watches(pods, move |change: &Change<PodView>| {
            let namespace = split(&change.key).0;
            let ended =
                change.new.is_none() && ending.get("", namespace).is_some_and(|namespace| is_ending(&namespace));
            if ended { vec![namespace.into()] } else { Vec::new() }
        })
}

fn is_ending(namespace: &Namespace) -> bool {
    namespace.metadata.deletion_timestamp.is_some()
}

fn finalizers(namespace: &Namespace) -> Vec<String> {
    namespace.spec.as_ref().and_then(|spec| spec.finalizers.clone()).unwrap_or_default()
}

struct Namespaces {
    namespaces: Cache<Namespace>,
}

#[async_trait]
impl Reconcile for Namespaces {
    async fn reconcile(&self, ctx: &Context, key: &Key) -> Result<Action, Error> {
        let Some(namespace) = self.namespaces.get_key(key).filter(|namespace| is_ending(namespace)) else {
            return Ok(Action::Done);
        };
        if !finalizers(&namespace).iter().any(|name| name == FINALIZER) {
            return Ok(Action::Done);
        }
        let mut remaining = content::delete(ctx.client(), key).await;
        let wanted = status::of(&namespace, &remaining, ctx.now());
        let mut current = (*namespace).clone();
        if current.status.as_ref() != Some(&wanted) {
            current.status = Some(wanted);
            current = match ctx.update_status(&current).await {
                Err(status) if status.reason == Reason::NotFound => return Ok(Action::Done),
                answer => answer.map_err(Error::api("writing a namespace's status"))?,
            };
        }
        match remaining.failures.pop() {
            Some(error) => Err(error),
            None if remaining.is_empty() => finalize(ctx, current).await,
            None => Ok(Action::after(LOOK_AGAIN)),
        }
    }
}

async fn finalize(ctx: &Context, mut namespace: Namespace) -> Result<Action, Error> {
    let rest = finalizers(&namespace).into_iter().filter(|name| name != FINALIZER).collect();
    namespace.spec.get_or_insert_default().finalizers = Some(rest);
    let body =
        serde_json::to_vec(&namespace).map_err(|error| Error::Invalid(format!("encoding a namespace: {error}")))?;
    let name = namespace.metadata.name.as_deref().unwrap_or_default();
    let request = Request::new(Verb::Update, &Namespace::DEF, "", name);
    match ctx.client().call(request.subresource(Some(Subresource::Finalize)).body(body)).await {
        Err(status) if status.reason != Reason::NotFound => {
            Err(Error::Api { what: format!("finalizing namespace {name}"), status })
        }
        _ => Ok(Action::Done),
    }
}
