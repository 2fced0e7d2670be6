//! Certificate signing requests: who asks is written down, and who approves or signs may do so for that signer.

use super::{Plugin, Sources, is, refused};
use crate::authz::{Attributes, Authorizer};
use crate::pki::{CsrView, KUBE_APISERVER_CLIENT};
use api::user::User;
use api::{Object, Status, Subresource};
use async_trait::async_trait;
use k8s_openapi::api::certificates::v1::{CertificateSigningRequest, CertificateSigningRequestSpec};
use registry::{Attempt, Operation};
use std::sync::Arc;

const GROUP: &str = "certificates.k8s.io";

/// Who asks, and that nothing of a request changes once it is made.
pub(crate) fn identity(_: &Sources<'_>) -> Box<dyn Plugin> {
    Box::new(Identity)
}

pub(crate) fn approval(sources: &Sources<'_>) -> Box<dyn Plugin> {
    Box::new(Certificates { authorizer: sources.authorizer.clone(), concern: Concern::Approval })
}

pub(crate) fn signing(sources: &Sources<'_>) -> Box<dyn Plugin> {
    Box::new(Certificates { authorizer: sources.authorizer.clone(), concern: Concern::Signing })
}

pub(crate) fn subjects(sources: &Sources<'_>) -> Box<dyn Plugin> {
    Box::new(Certificates { authorizer: sources.authorizer.clone(), concern: Concern::Subject })
}

struct Identity;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Concern {
    Approval,
    Signing,
    Subject,
}

struct Certificates {
    authorizer: Arc<Authorizer>,
    concern: Concern,
}

/// The requester is who asked, whatever the request says.
pub(crate) fn sign_in(spec: &mut CertificateSigningRequestSpec, user: &User) {
    spec.username = Some(user.name.clone());
    spec.uid = Some(user.uid.clone()).filter(|uid| !uid.is_empty());
    spec.groups = Some(user.groups.clone()).filter(|groups| !groups.is_empty());
    spec.extra = Some(user.extra.clone()).filter(|extra| !extra.is_empty());
}

/// Nobody gets past every rule by a certificate.
pub(crate) fn judge_subject(spec: &CertificateSigningRequestSpec) -> Result<(), String> {
    if spec.signer_name != KUBE_APISERVER_CLIENT {
        return Ok(());
    }
    let view = CsrView::parse(&spec.request.0).map_err(|error| format!("unable to parse csr: {error}"))?;
    if view.organizations.iter().any(|group| group == User::MASTERS) {
        return Err(format!("use of {KUBE_APISERVER_CLIENT} signer with {} group is not allowed", User::MASTERS));
    }
    Ok(())
}

/// Whether the user may do this for the signer itself, or for all of its domain.
pub(super) async fn may(authorizer: &Authorizer, user: &User, verb: &str, signer: &str) -> bool {
    let domain = signer.split_once('/').map_or(signer, |(domain, _)| domain);
    for name in [signer, &format!("{domain}/*")] {
        let asked = Attributes {
            verb,
            group: GROUP,
            version: "*",
            resource: "signers",
            name,
            is_resource: true,
            ..Attributes::default()
        };
        if authorizer.may(user, &asked).await {
            return true;
        }
    }
    false
}

impl Certificates {
    async fn judge(
        &self,
        attempt: &Attempt<'_>,
        new: &CertificateSigningRequest,
        old: Option<&CertificateSigningRequest>,
    ) -> Result<(), String> {
        let certificate = |request: &CertificateSigningRequest| {
            request.status.as_ref().and_then(|status| status.certificate.as_ref().map(|bytes| bytes.0.clone()))
        };
        // The signer of what is there, not of what somebody would like it to be.
        let signer = &old.unwrap_or(new).spec.signer_name;
        let verb = match (self.concern, attempt.operation, attempt.subresource) {
            (Concern::Subject, Operation::Create, None) => return judge_subject(&new.spec),
            (Concern::Approval, Operation::Update, Some(Subresource::Approval)) => "approve",
            (Concern::Signing, Operation::Update, Some(Subresource::Status))
                if old.and_then(certificate) != certificate(new) =>
            {
                "sign"
            }
            _ => return Ok(()),
        };
        if may(&self.authorizer, attempt.user, verb, signer).await {
            return Ok(());
        }
        Err(format!("user not permitted to {verb} requests with signerName {signer:?}"))
    }
}

fn judges(attempt: &Attempt<'_>) -> bool {
    is::<CertificateSigningRequest>(attempt) && attempt.operation != Operation::Delete
}

#[async_trait]
impl Plugin for Identity {
    fn judges(&self, attempt: &Attempt<'_>) -> bool {
        judges(attempt)
    }

    async fn mutate(
        &self,
        attempt: &Attempt<'_>,
        object: &mut Box<dyn Object>,
        old: Option<&dyn Object>,
    ) -> Result<(), Status> {
        let Some(request) = object.downcast_mut::<CertificateSigningRequest>() else { return Ok(()) };
        match old.and_then(|old| old.downcast::<CertificateSigningRequest>()) {
            None if attempt.operation == Operation::Create => sign_in(&mut request.spec, attempt.user),
            Some(old) => request.spec = old.spec.clone(),
            None => {}
        }
        Ok(())
    }
}

#[async_trait]
impl Plugin for Certificates {
    fn judges(&self, attempt: &Attempt<'_>) -> bool {
        judges(attempt)
    }

    async fn validate(
        &self,
        attempt: &Attempt<'_>,
        object: Option<&dyn Object>,
        old: Option<&dyn Object>,
    ) -> Result<(), Status> {
        let Some(new) = object.and_then(|object| object.downcast()) else { return Ok(()) };
        let old = old.and_then(|old| old.downcast());
        self.judge(attempt, new, old).await.map_err(|why| refused(attempt, object, &why))
    }
}
