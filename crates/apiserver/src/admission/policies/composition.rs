//! A policy's variables: each is compiled with those before it, and every other expression with all.

use super::environment::VARIABLES;
use super::evaluation::Variable;
use super::expression::{Expression, Wanted};
use cel::{Env, ListIdentity, ObjectType, Schema, Type};
use k8s_openapi::api::admissionregistration::v1 as admission;
use std::collections::BTreeMap;
use std::sync::Arc;

const NAME: &str = "kubernetes.variables";

/// The variables so far.
#[derive(Default)]
pub(super) struct Composition {
    fields: BTreeMap<Arc<str>, Arc<Schema>>,
    pub(super) variables: Vec<Variable>,
}

impl Composition {
    /// All variables of a policy.
    pub(super) fn of(env: &Env, variables: &[admission::Variable]) -> Composition {
        let mut composition = Composition::default();
        variables.iter().for_each(|variable| composition.add(env, variable));
        composition
    }

    /// One more; the last one of a name counts.
    pub(super) fn add(&mut self, env: &Env, variable: &admission::Variable) {
        let expression = Expression::compile(&self.extended(env), &variable.expression, Wanted::Anything);
        let schema = match &expression.program {
            Ok(program) => schema_of(program.output_type()),
            Err(_) => Schema::any(),
        };
        self.fields.insert(variable.name.as_str().into(), Arc::new(schema));
        self.variables.push(Variable { name: variable.name.clone(), expression });
    }

    /// The environment with the variables, if there are any.
    pub(super) fn extended(&self, env: &Env) -> Env {
        match self.fields.is_empty() {
            true => env.clone(),
            false => {
                let fields = ObjectType::new(NAME, self.fields.clone());
                env.clone().variable(VARIABLES, Type::Object(fields))
            }
        }
    }
}

/// What upstream keeps of a variable's type: the plain ones, and lists and maps of them.
fn schema_of(found: &Type) -> Schema {
    match found {
        Type::Bool => Schema::bool(),
        Type::Int => Schema::int(),
        Type::Double => Schema::double(),
        Type::String => Schema::string(None),
        Type::Bytes => Schema::bytes(None),
        Type::Timestamp => Schema::timestamp(),
        Type::Duration => Schema::duration(),
        Type::List(items) => Schema::list(Arc::new(schema_of(items)), None, ListIdentity::Atomic),
        Type::Map(key, values) if **key == Type::String => Schema::map(Arc::new(schema_of(values)), None),
        _ => Schema::any(),
    }
}
