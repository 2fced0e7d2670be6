//! One expression of a policy, compiled, and what it must come to.

use super::environment::{CONFIGURATION, patch_type};
use crate::admission::expressions::compile;
use cel::{Env, ObjectType, Program, Type};

/// What an expression must come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Anything,
    Condition,
    Text,
    TextOrNothing,
    Configuration,
    Patches,
}

impl Wanted {
    fn types(self) -> Vec<Type> {
        match self {
            Wanted::Anything => Vec::new(),
            Wanted::Condition => vec![Type::Bool],
            Wanted::Text => vec![Type::String],
            Wanted::TextOrNothing => vec![Type::String, Type::Null],
            Wanted::Configuration => vec![Type::Object(ObjectType::open(CONFIGURATION))],
            Wanted::Patches => vec![Type::list(Type::Object(patch_type()))],
        }
    }
}

/// An expression and its program, or why there is none: what does not compile fails each time that it is asked for.
#[derive(Clone, Debug)]
pub(super) struct Expression {
    pub(super) source: String,
    pub(super) program: Result<Program, String>,
}

impl Expression {
    pub(super) fn compile(env: &Env, source: &str, wanted: Wanted) -> Expression {
        Expression { source: source.to_owned(), program: compile(env, source, &wanted.types()) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::environment::{Types, environment, of_messages, with_patches};
    use super::*;

    const UNDECLARED: &str = "compilation failed: ERROR: <input>:1:1: undeclared reference to 'params' (in container '')\n \
                              | params.a\n | ^";

    #[test]
    fn expressions_come_to_what_is_wanted() {
        let env = with_patches(environment(false, &Types::default()));
        for (source, wanted, expected) in [
            ("object.a == 1", Wanted::Condition, ""),
            ("object.a", Wanted::Condition, "must evaluate to bool but got dyn"),
            ("1", Wanted::Text, "must evaluate to string but got int"),
            ("null", Wanted::TextOrNothing, ""),
            ("true", Wanted::TextOrNothing, "must evaluate to one of [string null_type] but got bool"),
            ("Object{spec: Object.spec{a: 1}}", Wanted::Configuration, ""),
            ("Object.spec{a: 1}", Wanted::Configuration, "must evaluate to Object but got Object.spec"),
            ("[JSONPatch{op: 'remove', path: '/a'}]", Wanted::Patches, ""),
            ("JSONPatch{path: '/a'}", Wanted::Patches, "must evaluate to list(JSONPatch) but got JSONPatch"),
            ("authorizer.requestResource.check('get').allowed()", Wanted::Condition, ""),
            ("authorizer.path('/x').check('get').allowed()", Wanted::Condition, ""),
            ("params.a", Wanted::Anything, UNDECLARED),
            ("request.userInfo.username", Wanted::Text, ""),
            ("namespaceObject.metadata.labels['a']", Wanted::Text, ""),
        ] {
            let found = Expression::compile(&env, source, wanted).program.err().unwrap_or_default();
            assert_eq!(found, expected, "{source}");
        }
        let asks = Expression::compile(&of_messages(true), "authorizer.path('/x').check('get').reason()", Wanted::Text);
        assert!(asks.program.unwrap_err().contains("undeclared reference to 'authorizer'"));
    }
}
