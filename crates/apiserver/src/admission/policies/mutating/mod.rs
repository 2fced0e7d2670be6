//! MutatingAdmissionPolicy: expressions that change every write they are about.
//!
//! Invariants: policies in the order of their names, their bindings' and their parameters'; every change leaves an
//! object of the same kind and name, prepared and defaulted as a client's would be; an object that was changed after a
//! policy that wants to see it again is shown to it again, once.

pub(super) mod compiled;
mod patch;

use super::asked::{Asked, Selected};
use super::evaluation::Evaluation;
use super::follow::{Followed, name};
use super::is_excluded;
use crate::admission::expressions::{Inputs, Met};
use crate::admission::matching::World;
use crate::admission::measures::{Measures, Owner, Trouble};
use crate::admission::request::{Judged, Seen};
use crate::admission::rounds::Rounds;
use crate::admission::webhooks::patch::{decoded, within_path};
use crate::admission::{Plugin, Sources, refused};
use crate::authz::Authorizer;
use api::{Object, Reason, Status};
use async_trait::async_trait;
use cel::limits::RUNTIME_BUDGET;
use compiled::{Compiled, Mutation};
use k8s_openapi::api::admissionregistration::v1::MutatingAdmissionPolicy;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::StatusCause;
use registry::{Attempt, Operation, Registry};
use serde_json::Value as Json;
use std::sync::Arc;
use std::time::Instant;

pub(crate) fn make(sources: &Sources<'_>) -> Box<dyn Plugin> {
    Box::new(MutatingPolicies {
        followed: Followed::start(sources.client),
        world: World::new(sources.client, sources.registry),
        registry: sources.registry.clone(),
        authorizer: sources.authorizer.clone(),
        measures: sources.measures.clone(),
    })
}

struct MutatingPolicies {
    followed: Followed<MutatingAdmissionPolicy>,
    world: World,
    registry: Arc<Registry>,
    authorizer: Arc<Authorizer>,
    measures: Arc<Measures>,
}

const NAME: &str = "MutatingAdmissionPolicy";

/// A policy that is to change the write, under one binding and with one parameter.
struct Invocation {
    policy: String,
    binding: String,
    compiled: Arc<Compiled>,
    params: Json,
    seen: Seen,
}

/// Why the write is refused.
struct Refusal {
    message: String,
    reason: Reason,
}

impl Invocation {
    /// Tells it from all others, in both rounds.
    fn key(&self) -> String {
        let of_params = |field: &str| self.params["metadata"][field].as_str().unwrap_or_default();
        [&self.policy, &self.binding, of_params("namespace"), of_params("name")].join("/")
    }
}

/// One write on its way through the policies.
struct Passage<'a> {
    attempt: &'a Attempt<'a>,
    object: &'a mut Box<dyn Object>,
    old: Option<&'a dyn Object>,
    namespace: Option<Arc<Namespace>>,
    registry: &'a Registry,
    authorizer: &'a Arc<Authorizer>,
    measures: &'a Measures,
    refusals: Vec<Refusal>,
    rounds: &'a mut Rounds,
}

impl MutatingPolicies {
    /// Everything that concerns the write as it came.
    async fn invocations(&self, asked: &mut Asked<'_>, refusals: &mut Vec<Refusal>) -> Result<Vec<Invocation>, Status> {
        let mut invocations = Vec::new();
        for policy in self.followed.all().await?.iter() {
            let own = name(policy.policy.as_ref());
            for selected in asked.select(policy).await? {
                match selected {
                    Selected::Failed { binding, why } if policy.compiled.fails => {
                        let message = denied(own, binding.as_deref(), &why);
                        refusals.push(Refusal { message, reason: Reason::Forbidden });
                    }
                    Selected::Failed { .. } => {}
                    Selected::With { binding, params, seen } => {
                        invocations.extend(params.into_iter().map(|params| Invocation {
                            policy: own.to_owned(),
                            binding: name(binding.object.as_ref()).to_owned(),
                            compiled: policy.compiled.clone(),
                            params,
                            seen,
                        }));
                    }
                }
            }
        }
        Ok(invocations)
    }
}

#[async_trait]
impl Plugin for MutatingPolicies {
    fn judges(&self, attempt: &Attempt<'_>) -> bool {
        !self.followed.is_quiet() && attempt.operation != Operation::Delete && !is_excluded(attempt)
    }

    async fn mutate_in(
        &self,
        attempt: &Attempt<'_>,
        object: &mut Box<dyn Object>,
        old: Option<&dyn Object>,
        rounds: &mut Rounds,
    ) -> Result<(), Status> {
        let mut refusals = Vec::new();
        let judged = Judged { attempt, object: Some(object.as_ref()), old };
        let mut asked = Asked::new(judged, &self.world, &self.registry, &self.authorizer);
        let invocations = self.invocations(&mut asked, &mut refusals).await?;
        let namespace = asked.into_namespace();
        rounds.begin(NAME, object.as_ref());
        let (registry, authorizer, measures) = (&*self.registry, &self.authorizer, &*self.measures);
        let mut passage = Passage { attempt, object, old, namespace, registry, authorizer, measures, refusals, rounds };
        for invocation in &invocations {
            passage.pass(invocation).await?;
        }
        passage.finish()
    }
}

impl Passage<'_> {
    async fn pass(&mut self, invocation: &Invocation) -> Result<(), Status> {
        let key = invocation.key();
        if self.rounds.passes_over(NAME, &key) {
            return Ok(());
        }
        match self.invoke(invocation).await? {
            Ok(true) => self.rounds.changed(NAME),
            Ok(false) => {}
            Err(why) => {
                self.refuse(invocation, &why);
                return Ok(());
            }
        }
        if invocation.compiled.is_reinvoked {
            self.rounds.asked(NAME, &key);
        }
        Ok(())
    }

    fn refuse(&mut self, invocation: &Invocation, why: &str) {
        if invocation.compiled.fails {
            let message = denied(&invocation.policy, Some(&invocation.binding), why);
            self.refusals.push(Refusal { message, reason: Reason::Invalid });
        }
    }

    /// Whether the object is another now; inside, why the policy did not answer.
    async fn invoke(&mut self, invocation: &Invocation) -> Result<Result<bool, String>, Status> {
        let judged = Judged { attempt: self.attempt, object: Some(self.object.as_ref()), old: self.old };
        let namespace = self.namespace.as_deref();
        let inputs = Inputs::of(self.registry, &judged, &invocation.seen, namespace, self.authorizer).await;
        let mut inputs = inputs?;
        match self.conditions(invocation, &inputs) {
            Met::Yes => {}
            Met::No(_) => return Ok(Ok(false)),
            Met::Failed(why) => return Ok(Err(why)),
        }
        let mut changed = false;
        for mutation in &invocation.compiled.mutations {
            let begun = Instant::now();
            let made = made(invocation, mutation, &inputs);
            let trouble = if made.is_ok() { Trouble::None } else { Trouble::Evaluating };
            self.measures.mutated(&invocation.policy, &invocation.binding, trouble, begun.elapsed());
            let replaced = match made {
                Ok(json) => self.object_of(&invocation.seen, json).await,
                Err(why) => Err(why),
            };
            match replaced {
                Ok(object) => {
                    changed |= !object.equals(self.object.as_ref());
                    *self.object = object;
                    inputs.object = self.shown(&invocation.seen).await?;
                }
                // The mutations after it are made all the same, as upstream makes them.
                Err(why) => self.refuse(invocation, &why),
            }
        }
        Ok(Ok(changed))
    }

    async fn shown(&self, seen: &Seen) -> Result<Json, Status> {
        seen.show(self.registry, self.object.as_ref(), self.attempt.books.new).await
    }

    fn conditions(&self, invocation: &Invocation, inputs: &Inputs) -> Met {
        let compiled = &invocation.compiled;
        let evaluation = Evaluation::new(inputs, &invocation.params, &compiled.variables);
        let operation = self.attempt.operation;
        let owner = Owner { name: &invocation.policy, kind: "policy", may_change: true, operation };
        self.measures.met(owner, &compiled.conditions, evaluation.activation())
    }

    /// The object that a mutation made; unknown fields are refused.
    async fn object_of(&self, seen: &Seen, json: Json) -> Result<Box<dyn Object>, String> {
        let judged = Judged { attempt: self.attempt, object: Some(self.object.as_ref()), old: self.old };
        let bytes = serde_json::to_vec(&json).map_err(|error| error.to_string())?;
        let checked = seen.kind.check(&bytes).map_err(|error| error.to_string())?;
        if !checked.strict_errors.is_empty() {
            return Err(format!("strict decoding error: {}", checked.strict_errors.join(", ")));
        }
        let made = decoded(self.registry, &judged, seen, self.object.as_ref(), json).await?;
        within_path(&judged, self.object.as_ref(), made).map_err(|status| status.message)
    }

    fn finish(self) -> Result<(), Status> {
        self.rounds.end(NAME, self.object.as_ref());
        let Some(first) = self.refusals.first() else { return Ok(()) };
        let mut status = refused(self.attempt, Some(self.object.as_ref()), "");
        (status.message, status.reason) = (first.message.clone(), first.reason);
        let cause = |refusal: &Refusal| StatusCause { message: Some(refusal.message.clone()), ..Default::default() };
        status.details.get_or_insert_default().causes = Some(self.refusals.iter().map(cause).collect());
        Err(status)
    }
}

fn denied(policy: &str, binding: Option<&str>, why: &str) -> String {
    match binding {
        Some(binding) => format!("policy '{policy}' with binding '{binding}' denied request: {why}"),
        None => format!("policy {policy:?} denied request: {why}"),
    }
}

/// The object as one mutation makes it.
fn made(invocation: &Invocation, mutation: &Mutation, inputs: &Inputs) -> Result<Json, String> {
    let evaluation = Evaluation::new(inputs, &invocation.params, &invocation.compiled.variables);
    let mut budget = RUNTIME_BUDGET;
    let value = evaluation.ask(mutation.expression(), &mut budget).map_err(|failure| failure.to_string())?;
    match mutation {
        Mutation::Configuration(_) => patch::configured(invocation.seen.kind, inputs.object.clone(), &value),
        Mutation::Patch(_) => patch::patched(inputs.object.clone(), &value),
    }
}
