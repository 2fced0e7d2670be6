//! One write before the policies: which of them it concerns, with which parameters, and what their expressions see.

use super::follow::{Binding, InForce, Policy, name};
use super::params;
use crate::admission::expressions::Inputs;
use crate::admission::matching::{Criteria, World};
use crate::admission::request::{Judged, Seen};
use crate::authz::Authorizer;
use api::{Kind, Status};
use k8s_openapi::api::core::v1::Namespace;
use registry::{Registry, Resource};
use serde_json::Value;
use std::sync::Arc;

/// A binding under which a policy is to be asked, or why that cannot be told.
pub(super) enum Selected<'p, P: Policy> {
    /// Without a binding it is the policy itself that is at fault.
    Failed {
        binding: Option<String>,
        why: String,
    },
    With {
        binding: &'p Binding<P>,
        params: Vec<Value>,
        seen: Seen,
    },
}

pub(super) struct Asked<'a> {
    judged: Judged<'a>,
    world: &'a World,
    registry: &'a Registry,
    authorizer: &'a Arc<Authorizer>,
    /// Read when a policy first concerns the write.
    namespace: Option<Option<Arc<Namespace>>>,
    /// By the version in which a policy sees the write.
    inputs: Vec<(Seen, Inputs)>,
}

impl<'a> Asked<'a> {
    pub(super) fn new(
        judged: Judged<'a>,
        world: &'a World,
        registry: &'a Registry,
        authorizer: &'a Arc<Authorizer>,
    ) -> Asked<'a> {
        Asked { judged, world, registry, authorizer, namespace: None, inputs: Vec::new() }
    }

    /// The bindings under which the policy is to be asked. Empty where it does not concern the write.
    pub(super) async fn select<'p, P: Policy>(
        &mut self,
        policy: &'p InForce<P>,
    ) -> Result<Vec<Selected<'p, P>>, Status> {
        let failed =
            |why: &str| vec![Selected::Failed { binding: None, why: format!("failed to configure policy: {why}") }];
        let seen = match self.matches(&policy.criteria).await {
            Ok(Some(seen)) => seen,
            Ok(None) => return Ok(Vec::new()),
            Err(why) => return Ok(failed(&why)),
        };
        let resource = match policy.policy.param_kind().map(|kind| params::resource(self.registry, kind)).transpose() {
            Ok(resource) => resource,
            Err(why) => return Ok(failed(&why)),
        };
        let mut selected = Vec::with_capacity(policy.bindings.len());
        for binding in &policy.bindings {
            match self.bound(binding, resource.as_deref()).await {
                Ok(Some(params)) if params.is_empty() => {}
                Ok(Some(params)) => {
                    self.read_namespace().await?;
                    selected.push(Selected::With { binding, params, seen });
                }
                Ok(None) => {}
                Err(why) => selected.push(Selected::Failed {
                    binding: Some(name(binding.object.as_ref()).to_owned()),
                    why: format!("failed to configure binding: {why}"),
                }),
            }
        }
        Ok(selected)
    }

    async fn bound<P: Policy>(
        &self,
        binding: &Binding<P>,
        resource: Option<&Resource>,
    ) -> Result<Option<Vec<Value>>, String> {
        if let Some(criteria) = &binding.criteria
            && self.matches(criteria).await?.is_none()
        {
            return Ok(None);
        }
        let reference = P::of_binding(&binding.object).params;
        params::collect(self.registry, resource, reference, self.judged.attempt.namespace).await.map(Some)
    }

    async fn matches(&self, criteria: &Result<Criteria, String>) -> Result<Option<Seen>, String> {
        let criteria = criteria.as_ref().map_err(Clone::clone)?;
        criteria.matches(&self.judged, self.world).await.map_err(|status| status.message)
    }

    /// A namespace is in none.
    async fn read_namespace(&mut self) -> Result<(), Status> {
        if self.namespace.is_some() {
            return Ok(());
        }
        let found = match self.judged.attempt.namespace {
            own if own.is_empty() || self.judged.is_namespace() => None,
            own => {
                let found = self.world.namespace(own).await?;
                Some(found.ok_or_else(|| Status::not_found(&Namespace::DEF, own))?)
            }
        };
        self.namespace = Some(found);
        Ok(())
    }

    /// The namespace of the object, where a policy concerns the write.
    pub(super) fn into_namespace(self) -> Option<Arc<Namespace>> {
        self.namespace.flatten()
    }

    /// What the expressions of a policy see that `select` has chosen.
    pub(super) async fn inputs(&mut self, seen: &Seen) -> Result<&Inputs, Status> {
        let place = match self.inputs.iter().position(|(known, _)| known == seen) {
            Some(place) => place,
            None => {
                let namespace = self.namespace.as_ref().and_then(Option::as_deref);
                let made = Inputs::of(self.registry, &self.judged, seen, namespace, self.authorizer).await?;
                self.inputs.push((*seen, made));
                self.inputs.len() - 1
            }
        };
        Ok(&self.inputs[place].1)
    }
}
