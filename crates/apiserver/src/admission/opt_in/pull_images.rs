//! AlwaysPullImages: an image that lies on a node is for those only who may pull it.

use super::{Plugin, Sources, refused, writes_pod};
use api::field::{FieldError, FieldPath};
use api::{Object, Status};
use async_trait::async_trait;
use k8s_openapi::api::core::v1::{Pod, PodSpec};
use registry::Attempt;
use std::collections::BTreeSet;

const ALWAYS: &str = "Always";

pub(in crate::admission) fn make(_: &Sources<'_>) -> Box<dyn Plugin> {
    Box::new(PullImages)
}

struct PullImages;

fn images(spec: &PodSpec) -> BTreeSet<&str> {
    let plain = spec.init_containers.iter().flatten().chain(&spec.containers).filter_map(|own| own.image.as_deref());
    let ephemeral = spec.ephemeral_containers.iter().flatten().filter_map(|own| own.image.as_deref());
    let volumes = spec.volumes.iter().flatten().filter_map(|own| own.image.as_ref()?.reference.as_deref());
    plain.chain(ephemeral).chain(volumes).collect()
}

fn spec(object: &dyn Object) -> Option<&PodSpec> {
    object.downcast::<Pod>()?.spec.as_ref()
}

/// An update that brings no image leaves what is there as it is, from before the plugin was turned on too.
fn brings_images(object: &dyn Object, old: Option<&dyn Object>) -> bool {
    match (spec(object), old.and_then(spec)) {
        (Some(new), Some(old)) => !images(new).is_subset(&images(old)),
        _ => true,
    }
}

fn pull_always(spec: &mut PodSpec) {
    let always = || Some(ALWAYS.to_owned());
    for container in spec.init_containers.iter_mut().flatten().chain(&mut spec.containers) {
        container.image_pull_policy = always();
    }
    for container in spec.ephemeral_containers.iter_mut().flatten() {
        container.image_pull_policy = always();
    }
    for image in spec.volumes.iter_mut().flatten().filter_map(|volume| volume.image.as_mut()) {
        image.pull_policy = always();
    }
}

/// What somebody has put back behind this plugin's back.
fn wrong(spec: &PodSpec) -> Option<FieldError> {
    let path = FieldPath::new("spec");
    let named = |list: &str, place: usize, field: &str| path.child(list).index(place).child(field);
    let policies = |list: &'static str, containers: Vec<&Option<String>>| {
        containers
            .into_iter()
            .enumerate()
            .map(|(place, policy)| (named(list, place, "imagePullPolicy"), policy.clone()))
            .collect::<Vec<_>>()
    };
    let init = spec.init_containers.iter().flatten().map(|own| &own.image_pull_policy).collect();
    let plain = spec.containers.iter().map(|own| &own.image_pull_policy).collect();
    let ephemeral = spec.ephemeral_containers.iter().flatten().map(|own| &own.image_pull_policy).collect();
    let mut all = policies("initContainers", init);
    all.extend(policies("containers", plain));
    all.extend(policies("ephemeralContainers", ephemeral));
    let volumes = spec.volumes.iter().flatten().enumerate();
    all.extend(volumes.filter_map(|(place, volume)| {
        let image = volume.image.as_ref()?;
        Some((path.child("volumes").index(place).child("image").child("pullPolicy"), image.pull_policy.clone()))
    }));
    let (path, policy) = all.into_iter().find(|(_, policy)| policy.as_deref() != Some(ALWAYS))?;
    Some(FieldError::not_supported(path, &policy.unwrap_or_default(), &[ALWAYS]))
}

#[async_trait]
impl Plugin for PullImages {
    fn judges(&self, attempt: &Attempt<'_>) -> bool {
        writes_pod(attempt)
    }

    async fn mutate(
        &self,
        _attempt: &Attempt<'_>,
        object: &mut Box<dyn Object>,
        old: Option<&dyn Object>,
    ) -> Result<(), Status> {
        if brings_images(object.as_ref(), old)
            && let Some(spec) = object.downcast_mut::<Pod>().and_then(|pod| pod.spec.as_mut())
        {
            pull_always(spec);
        }
        Ok(())
    }

    async fn validate(
        &self,
        attempt: &Attempt<'_>,
        object: Option<&dyn Object>,
        old: Option<&dyn Object>,
    ) -> Result<(), Status> {
        let judged = object.filter(|object| brings_images(*object, old));
        match judged.and_then(spec).and_then(wrong) {
            None => Ok(()),
            Some(error) => Err(refused(attempt, object, &error.to_string())),
        }
    }
}
