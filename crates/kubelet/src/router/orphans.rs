//! What is left on the node of pods that the API has no more: taken away once, when the node begins.

use crate::context::Context;
use crate::pod;
use crate::pod_machine::Observation;
use crate::worker::cleanup::{let_go, names_in, remove_everything};
use k8s_openapi::api::core::v1::Pod;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// `found` are the runtime's pods that are not in the API; `pods` are those that are.
pub(super) async fn remove(context: &Arc<Context>, found: HashMap<String, Observation>, pods: &[Arc<Pod>]) {
    let known: HashSet<&str> = pods.iter().map(|pod| pod::uid(pod)).collect();
    let mut uids: HashSet<String> = found.into_keys().collect();
    uids.extend(names_in(&context.dirs.pods()));
    for uid in uids.iter().filter(|uid| !known.contains(uid.as_str())) {
        tracing::info!(uid, "removing what is left of a pod that is no more");
        if let Err(error) = remove_everything(context, uid, None).await {
            tracing::warn!(uid, error, "the rest of a pod was not removed; the next start tries again");
        }
    }
    let logs = context.dirs.logs();
    for name in names_in(&logs) {
        // `<namespace>_<name>_<uid>`; neither of the first two can hold an underscore.
        let orphaned = name.rsplit('_').next().is_some_and(|uid| !known.contains(uid));
        if !orphaned {
            continue;
        }
        let (path, archive) = (logs.join(&name), context.archive.clone());
        let gone = tokio::task::spawn_blocking(move || let_go(&path, archive.as_deref())).await;
        if let Err(error) = gone.unwrap_or_else(|error| Err(std::io::Error::other(error))) {
            tracing::warn!(name, %error, "the logs of a pod that is no more were not taken away");
        }
    }
}
