//! One API server behind a service, as its APIService names it.

use super::discovered::Discovered;
use super::openapi::RemoteDocument;
use crate::callout::{Destination, Identity, Target};
use api::Kind;
use arc_swap::ArcSwap;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::{APIService, APIServiceSpec};
use std::sync::Arc;

/// The service's port where the APIService names none.
const PORT: i32 = 443;

/// What the last check found; shared by requests and discovery.
#[derive(Clone, Default)]
pub(crate) struct State {
    pub(crate) is_available: bool,
    /// What it serves; of an earlier check where it is not available now.
    pub(crate) discovered: Option<Arc<Vec<Discovered>>>,
    /// Names the content of its OpenAPI v3 document; `None` without one.
    pub(crate) openapi_hash: Option<Arc<str>>,
    /// Its part of the OpenAPI v2 document; of an earlier check where it does not tell now.
    pub(crate) openapi_v2: Option<Arc<RemoteDocument>>,
}

pub(crate) struct Remote {
    pub(super) spec: APIServiceSpec,
    pub(super) name: String,
    pub(super) group: String,
    pub(super) version: String,
    pub(super) namespace: String,
    pub(super) service: String,
    pub(super) port: i32,
    /// With the identity that is shown now.
    target: ArcSwap<Target>,
    state: ArcSwap<State>,
}

impl Remote {
    /// `None` for a local APIService; for the core group, which is nobody else's; and for the group of APIServices, or
    /// what was given away could not be taken back.
    pub(super) fn of(object: &APIService, identity: Option<&Identity>) -> Option<Remote> {
        let spec = object.spec.clone()?;
        let service = spec.service.clone()?;
        let group = spec.group.clone().filter(|group| !group.is_empty() && group != APIService::DEF.group)?;
        let (namespace, name) = (service.namespace.unwrap_or_default(), service.name.unwrap_or_default());
        let port = service.port.unwrap_or(PORT);
        let destination = Destination::service(&namespace, &name, Some(port), None);
        let bundle = spec.ca_bundle.as_ref().map(|bundle| bundle.0.clone()).unwrap_or_default();
        let mut target = Target::new(destination, bundle);
        target.identity = identity.cloned();
        target.insecure_skip_tls_verify = spec.insecure_skip_tls_verify.unwrap_or_default();
        // A server that restarts goes by what it last said, until it has looked again.
        let state = State { is_available: super::condition::holds(object), ..State::default() };
        Some(Remote {
            name: object.metadata.name.clone().unwrap_or_default(),
            version: spec.version.clone().unwrap_or_default(),
            group,
            namespace,
            service: name,
            port,
            target: ArcSwap::from_pointee(target),
            spec,
            state: ArcSwap::from_pointee(state),
        })
    }

    pub(crate) fn state(&self) -> Arc<State> {
        self.state.load_full()
    }

    pub(super) fn set(&self, state: State) {
        self.state.store(Arc::new(state));
    }

    pub(super) fn target(&self) -> Arc<Target> {
        self.target.load_full()
    }

    /// Whoever connects from now on is shown this.
    pub(super) fn identify(&self, identity: &Identity) {
        let target = Target { identity: Some(identity.clone()), ..Target::clone(&self.target()) };
        self.target.store(Arc::new(target));
    }

    /// `https://NAME.NAMESPACE.svc:PORT`.
    pub(super) fn origin(&self) -> String {
        format!("https://{}", self.target().authority())
    }

    /// The path that any such server must answer: `/apis/GROUP/VERSION`.
    pub(super) fn root(&self) -> String {
        format!("/apis/{}/{}", self.group, self.version)
    }
}
