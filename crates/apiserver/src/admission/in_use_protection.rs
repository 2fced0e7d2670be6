//! New claims and volumes get the finalizer by which they outlive their users; controllers take it away.

use super::{Plugin, Sources, is};
use api::{Object, Status};
use async_trait::async_trait;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use registry::{Attempt, Operation};

const OF_CLAIMS: &str = "kubernetes.io/pvc-protection";
const OF_VOLUMES: &str = "kubernetes.io/pv-protection";

pub(crate) fn make(_: &Sources<'_>) -> Box<dyn Plugin> {
    Box::new(InUseProtection)
}

struct InUseProtection;

fn protect(object: &mut dyn Object, finalizer: &str) {
    let finalizers = object.meta_mut().finalizers.get_or_insert_default();
    if !finalizers.iter().any(|own| own == finalizer) {
        finalizers.push(finalizer.to_owned());
    }
}

#[async_trait]
impl Plugin for InUseProtection {
    fn judges(&self, attempt: &Attempt<'_>) -> bool {
        attempt.operation == Operation::Create
            && attempt.subresource.is_none()
            && (is::<PersistentVolumeClaim>(attempt) || is::<PersistentVolume>(attempt))
    }

    async fn mutate(
        &self,
        attempt: &Attempt<'_>,
        object: &mut Box<dyn Object>,
        _old: Option<&dyn Object>,
    ) -> Result<(), Status> {
        protect(object.as_mut(), if is::<PersistentVolume>(attempt) { OF_VOLUMES } else { OF_CLAIMS });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_protects_itself_already_stays_as_it_is() {
        let mut claim = PersistentVolumeClaim::default();
        claim.metadata.finalizers = Some(vec!["example.com/own".to_owned()]);
        protect(&mut claim, OF_CLAIMS);
        protect(&mut claim, OF_CLAIMS);
        assert_eq!(claim.metadata.finalizers.unwrap(), ["example.com/own", OF_CLAIMS]);
    }
}
