//! A mutating policy, compiled.

use super::super::composition::Composition;
use super::super::environment::{Types, environment, with_patches};
use super::super::evaluation::Variable;
use super::super::expression::{Expression, Wanted};
use super::super::follow::{Bound, Policy};
use crate::admission::expressions::Conditions;
use k8s_openapi::api::admissionregistration::v1::{
    MatchResources, MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding, Mutation as Source, ParamKind,
};

/// A policy ready to be asked.
pub(crate) struct Compiled {
    pub(super) conditions: Conditions,
    pub(super) variables: Vec<Variable>,
    pub(super) mutations: Vec<Mutation>,
    /// Whether what cannot be answered is refused.
    pub(super) fails: bool,
    /// Whether it is asked again when the object was changed after it.
    pub(super) is_reinvoked: bool,
}

pub(super) enum Mutation {
    Configuration(Expression),
    Patch(Expression),
}

impl Mutation {
    pub(super) fn expression(&self) -> &Expression {
        match self {
            Mutation::Configuration(expression) | Mutation::Patch(expression) => expression,
        }
    }
}

/// The expression of a mutation, and what it must come to.
pub(in super::super) fn expression(source: &Source) -> Option<(&str, Wanted)> {
    match source.patch_type.as_str() {
        "ApplyConfiguration" => {
            Some((source.apply_configuration.as_ref()?.expression.as_deref()?, Wanted::Configuration))
        }
        "JSONPatch" => Some((source.json_patch.as_ref()?.expression.as_deref()?, Wanted::Patches)),
        _ => None,
    }
}

impl Policy for MutatingAdmissionPolicy {
    type Binding = MutatingAdmissionPolicyBinding;
    type Compiled = Compiled;

    fn compile(&self) -> Compiled {
        let spec = self.spec.clone().unwrap_or_default();
        let plain = environment(spec.param_kind.is_some(), &Types::default());
        let composition = Composition::of(&plain, spec.variables.as_deref().unwrap_or_default());
        let env = composition.extended(&plain);
        let of_mutations = with_patches(env.clone());
        let mutations = spec.mutations.iter().flatten().filter_map(|source| {
            let (text, wanted) = expression(source)?;
            let compiled = Expression::compile(&of_mutations, text, wanted);
            Some(if wanted == Wanted::Patches { Mutation::Patch(compiled) } else { Mutation::Configuration(compiled) })
        });
        Compiled {
            conditions: Conditions::compile(&env, spec.match_conditions.as_deref().unwrap_or_default()),
            mutations: mutations.collect(),
            fails: spec.failure_policy.as_deref() != Some("Ignore"),
            is_reinvoked: spec.reinvocation_policy.as_deref() == Some("IfNeeded"),
            variables: composition.variables,
        }
    }

    fn constraints(&self) -> Option<&MatchResources> {
        self.spec.as_ref()?.match_constraints.as_ref()
    }

    fn param_kind(&self) -> Option<&ParamKind> {
        self.spec.as_ref()?.param_kind.as_ref()
    }

    fn of_binding(binding: &MutatingAdmissionPolicyBinding) -> Bound<'_> {
        let spec = binding.spec.as_ref();
        Bound {
            policy: spec.and_then(|spec| spec.policy_name.as_deref()).unwrap_or_default(),
            params: spec.and_then(|spec| spec.param_ref.as_ref()),
            resources: spec.and_then(|spec| spec.match_resources.as_ref()),
        }
    }
}
