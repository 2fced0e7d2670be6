//! Has a container's image on the node before the container is made.
//!
//! Invariants: at most `PULLS_MAX` pulls at a time; two pods that want one image pull it once (the second finds it
//! present, unless its policy is to ask again).

pub(crate) mod credentials;
pub(crate) mod reference;

use crate::context::Context;
use crate::cri_request::security::ImageUser;
use crate::duration_text::go_duration;
use crate::objects::Wanted;
use crate::pod;
use crate::pod_machine::{Name, Note, PullFailure};
use cri::v1::{AuthConfig, Image, ImageSpec, ImageStatusRequest, PodSandboxConfig, PullImageRequest};
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::{Container, Pod};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Instant;
use tokio::sync::Semaphore;

const PULLS_MAX: usize = 5;

/// Why an image is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) reason: PullFailure,
    pub(crate) message: String,
}

impl Failure {
    fn pull(message: impl Into<String>) -> Failure {
        Failure { reason: PullFailure::ErrImagePull, message: message.into() }
    }
}

pub(crate) struct Puller {
    permits: Semaphore,
    /// One lock per image that is being pulled.
    under_way: Mutex<HashMap<String, Weak<tokio::sync::Mutex<()>>>>,
}

impl Puller {
    pub(crate) fn new() -> Puller {
        Puller { permits: Semaphore::new(PULLS_MAX), under_way: Mutex::default() }
    }

    fn lock_of(&self, image: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut under_way = self.under_way.lock();
        if let Some(lock) = under_way.get(image).and_then(Weak::upgrade) {
            return lock;
        }
        under_way.retain(|_, lock| lock.strong_count() > 0);
        let lock = Arc::new(tokio::sync::Mutex::new(()));
        under_way.insert(image.to_owned(), Arc::downgrade(&lock));
        lock
    }
}

/// The image as the runtime knows it; `None` when it is not on the node.
pub(crate) async fn status(context: &Context, image: &str) -> Result<Option<Image>, String> {
    let spec = ImageSpec { image: image.to_owned(), ..ImageSpec::default() };
    let request = ImageStatusRequest { image: Some(spec), verbose: false };
    match context.runtime.image_status(request).await {
        Ok(answer) => Ok(answer.image),
        Err(status) => Err(status.message().to_owned()),
    }
}

/// The user that an image names; one that names none runs as root.
pub(crate) fn user_of(image: &Image) -> ImageUser {
    let uid = image.uid.as_ref().map(|uid| uid.value);
    ImageUser { uid: uid.or_else(|| image.username.is_empty().then_some(0)), name: image.username.clone() }
}

/// Has the image present, by the container's policy, and tells users what it did.
pub(crate) async fn ensure(context: &Context, pod: &Pod, container: &Container) -> Result<(), Failure> {
    let written = container.image.as_deref().unwrap_or_default();
    let name: Name = container.name.as_str().into();
    let record = |note: Note| context.record(pod, &note.about(&name));
    let image = reference::with_tag(written).map_err(|message| {
        record(Note::warning("InspectFailed", message.clone()));
        Failure { reason: PullFailure::InvalidImageName, message }
    })?;
    let policy = container.image_pull_policy.as_deref().unwrap_or_else(|| reference::default_policy(written));
    if policy != "Always" && is_present(context, &image, &record).await? {
        record(Note::normal("Pulled", format!("Container image {written:?} already present on machine")));
        return Ok(());
    }
    if policy == "Never" {
        let message = format!("Container image {written:?} is not present with pull policy of Never");
        record(Note::warning("ErrImageNeverPull", message.clone()));
        return Err(Failure { reason: PullFailure::ErrImageNeverPull, message });
    }
    let waiting = Instant::now();
    let lock = context.puller.lock_of(&image);
    // Asking again whether a present image is still the latest moves few bytes: that needs no turn.
    let alone = policy != "Always" || !is_present(context, &image, &record).await?;
    let _alone = if alone { Some(lock.lock().await) } else { None };
    // Another pod may have pulled it while this one waited for its turn.
    if policy != "Always" && is_present(context, &image, &record).await? {
        record(Note::normal("Pulled", format!("Container image {written:?} already present on machine")));
        return Ok(());
    }
    let permit = context.puller.permits.acquire().await;
    let _permit = permit.map_err(|error| Failure::pull(format!("the node is shutting down: {error}")))?;
    record(Note::normal("Pulling", format!("Pulling image {written:?}")));
    let pulling = Instant::now();
    if let Err(message) = pull(context, pod, &image).await {
        let message = format!("Failed to pull image {written:?}: {message}");
        record(Note::warning("Failed", message.clone()));
        return Err(Failure::pull(message));
    }
    let size = status(context, &image).await.ok().flatten().map_or(0, |image| image.size);
    let took = |since: Instant| go_duration(SignedDuration::try_from(since.elapsed()).unwrap_or_default());
    let (own, all) = (took(pulling), took(waiting));
    let text =
        format!("Successfully pulled image {written:?} in {own} ({all} including waiting). Image size: {size} bytes.");
    record(Note::normal("Pulled", text));
    Ok(())
}

async fn is_present(context: &Context, image: &str, record: &impl Fn(Note)) -> Result<bool, Failure> {
    status(context, image).await.map(|image| image.is_some()).map_err(|error| {
        let message = format!("Failed to inspect image {image:?}: {error}");
        record(Note::warning("InspectFailed", message.clone()));
        Failure { reason: PullFailure::ImageInspectError, message }
    })
}

/// With each of the credentials that fit, until one is accepted; without any when there are none.
async fn pull(context: &Context, pod: &Pod, image: &str) -> Result<(), String> {
    let credentials = credentials_for(context, pod, image).await?;
    let mut attempts: Vec<Option<AuthConfig>> = credentials.into_iter().map(Some).collect();
    if attempts.is_empty() {
        attempts.push(None);
    }
    let mut last = String::new();
    for auth in attempts {
        let request = PullImageRequest {
            image: Some(ImageSpec { image: image.to_owned(), ..ImageSpec::default() }),
            auth,
            sandbox_config: Some(PodSandboxConfig::default()),
        };
        match context.runtime.pull_image(request).await {
            Ok(_) => return Ok(()),
            Err(status) => last = status.message().to_owned(),
        }
    }
    Err(last)
}

async fn credentials_for(context: &Context, pod: &Pod, image: &str) -> Result<Vec<AuthConfig>, String> {
    let names = pod::spec(pod).image_pull_secrets.iter().flatten().map(|reference| reference.name.clone());
    let wanted = Wanted { secrets: names.collect(), ..Wanted::default() };
    if wanted.secrets.is_empty() {
        return Ok(Vec::new());
    }
    let objects = context.namespaces.get(pod::namespace(pod)).states(&wanted).await?;
    // A secret that does not exist is passed over, as upstream does: the pull may well succeed without it.
    let secrets: Vec<_> = objects.secrets.values().flatten().map(|secret| &**secret).collect();
    credentials::matching(&secrets, image)
}
