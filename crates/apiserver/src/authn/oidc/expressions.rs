//! Expressions over a token's claims and over the user that they make.

use api::{FieldError, FieldPath};
use cel::{Activation, Env, Limits, ListIdentity, Program, Schema, Type, Value as Cel};
use serde_json::Value;
use std::sync::{Arc, OnceLock};

const CLAIMS: &str = "claims";
const USER: &str = "user";

/// What an expression may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    Claims,
    User,
}

#[derive(Debug)]
pub(crate) struct Expression {
    pub(crate) source: String,
    program: Program,
    over: Over,
}

fn user_schema() -> &'static Arc<Schema> {
    static SCHEMA: OnceLock<Arc<Schema>> = OnceLock::new();
    SCHEMA.get_or_init(|| {
        let text = Arc::new(Schema::string(None));
        let texts = Arc::new(Schema::list(text.clone(), None, ListIdentity::Atomic));
        let fields = [
            ("username", text.clone()),
            ("uid", text),
            ("groups", texts.clone()),
            ("extra", Arc::new(Schema::map(texts, None))),
        ];
        let fields = fields.into_iter().map(|(name, schema)| (Arc::from(name), schema));
        Arc::new(Schema::object("kubernetes.UserInfo", fields.collect()))
    })
}

fn env(over: Over) -> Env {
    match over {
        Over::Claims => Env::kubernetes().variable(CLAIMS, Type::map(Type::String, Type::Dyn)),
        Over::User => Env::kubernetes().object(USER, user_schema().clone()),
    }
}

impl Expression {
    /// A rule must come to a bool; what claims are mapped to is judged when it is there.
    pub(crate) fn compile(path: &FieldPath, source: &str, over: Over, is_rule: bool) -> Result<Expression, FieldError> {
        let invalid = |why: String| FieldError::invalid(path.clone(), source, why);
        let program = env(over).compile(source).map_err(|issues| invalid(format!("compilation failed: {issues}")))?;
        if is_rule && *program.output_type() != Type::Bool {
            return Err(invalid("must evaluate to bool".to_owned()));
        }
        Ok(Expression { source: source.to_owned(), program, over })
    }

    /// The value for the claims, or for the user, as JSON.
    pub(crate) fn evaluate(&self, subject: &Value) -> Result<Value, String> {
        let activation = match self.over {
            Over::Claims => Activation::new().bind(CLAIMS, Cel::from_json(subject, None)),
            Over::User => Activation::new().bind(USER, Cel::from_json(subject, Some(user_schema()))),
        };
        let value = self.program.evaluate(&activation, Limits::default()).result;
        let shown = |error: cel::EvalError| format!("expression '{}' resulted in error: {error}", self.source);
        value.and_then(|value| value.to_json()).map_err(shown)
    }

    /// Whether it looks at that claim (`claims.email`, `claims.?email`, `claims["email"]`), texts aside.
    pub(crate) fn selects(&self, claim: &str) -> bool {
        selects(&self.source, claim)
    }
}

fn selects(source: &str, claim: &str) -> bool {
    let mut rest = source;
    while let Some(at) = rest.find(CLAIMS) {
        let begins = !rest[..at].ends_with(|one: char| one.is_alphanumeric() || one == '_' || one == '.');
        rest = &rest[at + CLAIMS.len()..];
        let selected = rest.trim_start().strip_prefix('.').map(|after| after.trim_start_matches('?').trim_start());
        let named = selected.and_then(|after| after.strip_prefix(claim));
        if begins && named.is_some_and(|after| !after.starts_with(|one: char| one.is_alphanumeric() || one == '_')) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn expressions_read_claims_and_users() {
        let path = FieldPath::new("x");
        let claims = json!({"sub": "ann", "roles": ["a", "b"], "nested": {"level": 7}});
        for (source, wanted) in [
            ("claims.sub", Ok(json!("ann"))),
            ("'oidc:' + claims.sub", Ok(json!("oidc:ann"))),
            ("claims.roles.map(r, 'x-' + r)", Ok(json!(["x-a", "x-b"]))),
            ("claims.nested.level > 5", Ok(json!(true))),
            ("claims.?gone.orValue('none')", Ok(json!("none"))),
            ("claims.gone", Err("expression 'claims.gone' resulted in error: no such key: gone".to_owned())),
        ] {
            let expression = Expression::compile(&path, source, Over::Claims, false).unwrap();
            assert_eq!(expression.evaluate(&claims), wanted, "{source}");
        }
        let rule = Expression::compile(&path, "!user.username.startsWith('system:')", Over::User, true).unwrap();
        let user = |name: &str| json!({"username": name, "uid": "", "groups": [], "extra": {}});
        assert_eq!(rule.evaluate(&user("ann")), Ok(json!(true)));
        assert_eq!(rule.evaluate(&user("system:admin")), Ok(json!(false)));
        let error = Expression::compile(&path, "claims.sub", Over::User, true).unwrap_err().to_string();
        assert!(error.contains("undeclared reference to 'claims'"), "{error}");
        let error = Expression::compile(&path, "user.username", Over::User, true).unwrap_err().to_string();
        assert_eq!(error, r#"x: Invalid value: "user.username": must evaluate to bool"#);
    }

    #[test]
    fn a_look_at_a_claim_is_seen() {
        for (source, sees) in [
            ("claims.email", true),
            ("claims.?email.orValue('')", true),
            ("claims.email_verified", false),
            ("myclaims.email", false),
            ("claims.sub + claims.email", true),
        ] {
            assert_eq!(selects(source, "email"), sees, "{source}");
        }
    }
}
