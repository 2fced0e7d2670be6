//! The `token` subresource of service accounts: a new token for a service account.

use super::claims::{Bound, Claims, Reference, subject};
use super::jwt;
use super::tokens::ServiceAccountTokens;
use api::field::{FieldError, FieldPath};
use api::{Kind, Reason, Status};
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec, TokenRequestStatus};
use k8s_openapi::api::core::v1::{Node, Pod, Secret, ServiceAccount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use k8s_openapi::jiff::Timestamp;

const SECONDS_DEFAULT: i64 = 3600;
const SECONDS_MIN: i64 = 600;
const SECONDS_MAX: i64 = 1 << 32;
/// What the admission of pods asks for. Old clients read the file once and never again, so that such a token, being
/// bound to its pod, lasts longer than it says; it says when it should have been renewed.
const PROJECTED_SECONDS: i64 = 3607;
const PROJECTED_LIFE_SECONDS: i64 = 365 * 24 * 60 * 60;

fn validate(spec: &TokenRequestSpec, seconds: i64) -> Vec<FieldError> {
    let path = FieldPath::new("spec").child("expirationSeconds");
    let mut errors = Vec::new();
    if seconds < SECONDS_MIN {
        let why = "may not specify a duration less than 10 minutes";
        errors.push(FieldError::invalid(path.clone(), &spec.expiration_seconds, why));
    }
    if seconds > SECONDS_MAX {
        let why = "may not specify a duration larger than 2^32 seconds";
        errors.push(FieldError::invalid(path, &spec.expiration_seconds, why));
    }
    errors
}

fn text(value: &Option<String>) -> &str {
    value.as_deref().unwrap_or_default()
}

fn uid_matches(reference: &BoundObjectReference, meta: &ObjectMeta) -> Result<(), Status> {
    let wanted = text(&reference.uid);
    if wanted.is_empty() || meta.uid.as_deref() == Some(wanted) {
        return Ok(());
    }
    let message = format!(
        "Operation cannot be fulfilled on {} {:?}: the UID in the bound object reference ({wanted}) does not match \
         the UID in record. The object might have been deleted and then recreated",
        text(&reference.kind),
        text(&reference.name),
    );
    Err(Status::new(Reason::Conflict, message))
}

/// What a new token is bound to, beside its account.
#[derive(Default)]
struct Binding {
    pod: Option<Reference>,
    secret: Option<Reference>,
    node: Option<Reference>,
}

impl ServiceAccountTokens {
    /// Answers a TokenRequest for the service account, once it was admitted; `now` in seconds since the epoch.
    pub async fn request(
        &self,
        namespace: &str,
        name: &str,
        request: TokenRequest,
        now: i64,
    ) -> Result<TokenRequest, Status> {
        let mut spec = request.spec.unwrap_or_default();
        let seconds = spec.expiration_seconds.unwrap_or(SECONDS_DEFAULT);
        let mut errors = validate(&spec, seconds);
        for (field, said, own) in
            [("name", &request.metadata.name, name), ("namespace", &request.metadata.namespace, namespace)]
        {
            if !text(said).is_empty() && text(said) != own {
                let path = FieldPath::new("metadata").child(field);
                let why = format!("must match the service account {field} if specified");
                errors.push(FieldError::invalid(path, text(said), why));
            }
        }
        if !errors.is_empty() {
            return Err(Status::invalid(&TokenRequest::DEF, "", &errors));
        }
        let account = self.account(namespace, name).await?;
        let account = account.ok_or_else(|| Status::not_found(&ServiceAccount::DEF, name))?;
        let binding = self.bind(namespace, name, spec.bound_object_ref.as_ref()).await?;
        let audiences = spec.audiences.take().filter(|list| !list.is_empty()).unwrap_or_else(|| self.audiences.clone());
        let claims = self.claims(&account, binding, audiences, seconds, now);
        let token = jwt::sign(&self.keys, &claims).map_err(Status::internal)?;
        let expires = Timestamp::from_second(now + seconds).map_err(Status::internal)?;
        spec.audiences = Some(claims.aud);
        spec.expiration_seconds = Some(seconds);
        Ok(TokenRequest {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                namespace: Some(namespace.to_owned()),
                ..request.metadata
            },
            spec: Some(spec),
            status: Some(TokenRequestStatus { expiration_timestamp: Some(Time(expires)), token: Some(token) }),
        })
    }

    fn claims(
        &self,
        account: &ServiceAccount,
        binding: Binding,
        audiences: Vec<String>,
        seconds: i64,
        now: i64,
    ) -> Claims {
        let projected = seconds == PROJECTED_SECONDS && binding.pod.is_some() && audiences == self.audiences;
        let own = Reference::to(&account.metadata);
        let namespace = account.metadata.namespace.clone().unwrap_or_default();
        Claims {
            aud: audiences,
            exp: now + if projected { PROJECTED_LIFE_SECONDS } else { seconds },
            iat: now,
            iss: self.issuer.clone(),
            jti: uuid::Uuid::new_v4().to_string(),
            nbf: now,
            sub: subject(&namespace, &own.name),
            bound: Bound {
                namespace,
                node: binding.node,
                pod: binding.pod,
                secret: binding.secret,
                serviceaccount: own,
                warnafter: projected.then_some(now + seconds),
            },
        }
    }

    async fn bind(
        &self,
        namespace: &str,
        account: &str,
        reference: Option<&BoundObjectReference>,
    ) -> Result<Binding, Status> {
        let Some(reference) = reference else { return Ok(Binding::default()) };
        let name = text(&reference.name);
        match (text(&reference.api_version), text(&reference.kind)) {
            ("v1", "Pod") => {
                let pod = self.pod(namespace, name).await?.ok_or_else(|| Status::not_found(&Pod::DEF, name))?;
                self.bind_pod(account, reference, &pod).await
            }
            ("v1", "Secret") => {
                let secret: Secret = self.client.get(namespace, name).await?;
                uid_matches(reference, &secret.metadata)?;
                Ok(Binding { secret: Some(Reference::to(&secret.metadata)), ..Binding::default() })
            }
            ("v1", "Node") => {
                let node: Node = self.client.get("", name).await?;
                uid_matches(reference, &node.metadata)?;
                Ok(Binding { node: Some(Reference::to(&node.metadata)), ..Binding::default() })
            }
            (version, kind) => Err(Status::bad_request(format!(
                "cannot bind token for serviceaccount {account:?} to object of type {version}, Kind={kind}"
            ))),
        }
    }

    async fn bind_pod(&self, account: &str, reference: &BoundObjectReference, pod: &Pod) -> Result<Binding, Status> {
        let spec = pod.spec.as_ref();
        if spec.and_then(|spec| spec.service_account_name.as_deref()) != Some(account) {
            return Err(Status::bad_request(format!(
                "cannot bind token for serviceaccount {account:?} to pod running with different serviceaccount name."
            )));
        }
        uid_matches(reference, &pod.metadata)?;
        let mut binding = Binding { pod: Some(Reference::to(&pod.metadata)), ..Binding::default() };
        if let Some(node) = spec.and_then(|spec| spec.node_name.as_deref()).filter(|node| !node.is_empty()) {
            // The node may be gone; its name is told anyway, for whoever reads the token.
            let found = self.client.find::<Node>("", node).await?;
            let uid = found.and_then(|found| found.metadata.uid).unwrap_or_default();
            binding.node = Some(Reference { name: node.to_owned(), uid });
        }
        Ok(binding)
    }
}
