//! What the expressions of policies may use beside what every judge's may: parameters, and the makings of mutations.
//!
//! Invariant: what is declared here is bound by `evaluation`, under the same names.

use crate::admission::expressions::{self, OBJECT, OLD_OBJECT};
use cel::{Env, Library, ObjectType, Schema, Type};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) const PARAMS: &str = "params";
pub(super) const VARIABLES: &str = "variables";
/// What an `ApplyConfiguration` makes.
pub(super) const CONFIGURATION: &str = "Object";
/// What a `JSONPatch` makes a list of.
pub(super) const PATCH: &str = "JSONPatch";

/// What is known of the kinds; `None`: anything.
#[derive(Clone, Default)]
pub(super) struct Types {
    pub(super) object: Option<Arc<Schema>>,
    pub(super) params: Option<Arc<Schema>>,
}

/// The environment of most expressions of a policy.
pub(super) fn environment(has_params: bool, types: &Types) -> Env {
    extended(expressions::env(), has_params, types)
}

/// That of the expressions that make messages: they ask no authorizer.
pub(super) fn of_messages(has_params: bool) -> Env {
    extended(expressions::env_without_authorizer(), has_params, &Types::default())
}

/// The last declaration of a name counts.
fn extended(mut env: Env, has_params: bool, types: &Types) -> Env {
    if let Some(object) = &types.object {
        env = env.object(OBJECT, object.clone()).object(OLD_OBJECT, object.clone());
    }
    match (&types.params, has_params) {
        (Some(params), true) => env.object(PARAMS, params.clone()),
        (None, true) => env.variable(PARAMS, Type::Dyn),
        (_, false) => env,
    }
}

/// With what mutations are made of.
pub(super) fn with_patches(env: Env) -> Env {
    env.library(Library::JsonPatch).open_structures(CONFIGURATION).structure(patch_type())
}

pub(super) fn patch_type() -> ObjectType {
    let text = || Arc::new(Schema::string(None));
    ObjectType::new(
        PATCH,
        BTreeMap::from([
            (Arc::from("op"), text()),
            (Arc::from("path"), text()),
            (Arc::from("from"), text()),
            (Arc::from("value"), Arc::new(Schema::any())),
        ]),
    )
}
