//! The user that a token's claims make, by claims or by expressions, and the rules that both must pass.

use super::configuration::{JwtEntry, Mapping};
use super::expressions::Expression;
use super::validation::Compiled;
use api::user::User;
use serde_json::{Map, Value, json};

type Claims = Map<String, Value>;

pub(super) fn of(entry: &JwtEntry, compiled: &Compiled, claims: Claims) -> Result<User, String> {
    let mappings = &entry.claim_mappings;
    let subject = Value::Object(claims);
    let Value::Object(claims) = &subject else { return Err("oidc: parse claims".to_owned()) };
    let mut user = User {
        name: name(&mappings.username, compiled.username.as_ref(), claims, &subject)?,
        uid: uid(&mappings.uid, compiled.uid.as_ref(), claims, &subject)?,
        groups: groups(&mappings.groups, compiled.groups.as_ref(), claims, &subject)?,
        ..User::default()
    };
    for (key, expression) in &compiled.extra {
        let failed = |why: String| format!("oidc: error evaluating extra claim expression: {why}");
        let values = texts(&expression.evaluate(&subject).map_err(failed)?);
        let values = values.map_err(|why| failed(format!("{}: {why}", expression.source)))?;
        if !values.is_empty() {
            user.extra.insert(key.clone(), values);
        }
    }
    required(entry, claims)?;
    let failed = |why: String| format!("oidc: error evaluating claim validation expression: {why}");
    rules(&compiled.claim_rules, &subject).map_err(failed)?;
    let made = json!({"username": user.name, "uid": user.uid, "groups": user.groups, "extra": user.extra});
    let failed = |why: String| format!("oidc: error evaluating user info validation rule: {why}");
    rules(&compiled.user_rules, &made).map_err(failed)?;
    if user.name.is_empty() {
        return Err("oidc: the token's user has no name".to_owned());
    }
    Ok(user)
}

fn text(claims: &Claims, claim: &str) -> Result<String, String> {
    match claims.get(claim) {
        None => Err("claim not present".to_owned()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(_) => Err("the claim is no string".to_owned()),
    }
}

/// What an expression came to that must be a string.
fn one_text(expression: &Expression, what: &str, subject: &Value) -> Result<String, String> {
    let failed = |why: String| format!("oidc: error evaluating {what} claim expression: {why}");
    match expression.evaluate(subject).map_err(failed)? {
        Value::String(text) => Ok(text),
        _ => Err(failed(format!("{what} claim expression must return a string"))),
    }
}

fn name(
    mapping: &Mapping,
    expression: Option<&Expression>,
    claims: &Claims,
    subject: &Value,
) -> Result<String, String> {
    if let Some(expression) = expression {
        return one_text(expression, "username", subject);
    }
    let claim = &mapping.claim;
    let name = text(claims, claim).map_err(|why| format!("oidc: parse username claims {claim:?}: {why}"))?;
    if claim == "email" {
        match claims.get("email_verified") {
            None | Some(Value::Bool(true)) => {}
            Some(Value::Bool(false)) => return Err("oidc: email not verified".to_owned()),
            Some(_) => return Err("oidc: parse 'email_verified' claim: it is no bool".to_owned()),
        }
    }
    Ok(format!("{}{name}", mapping.prefix.as_deref().unwrap_or_default()))
}

fn uid(mapping: &Mapping, expression: Option<&Expression>, claims: &Claims, subject: &Value) -> Result<String, String> {
    match (expression, mapping.claim.as_str()) {
        (Some(expression), _) => one_text(expression, "uid", subject),
        (None, "") => Ok(String::new()),
        (None, claim) => text(claims, claim).map_err(|why| format!("oidc: parse uid claim {claim:?}: {why}")),
    }
}

fn groups(
    mapping: &Mapping,
    expression: Option<&Expression>,
    claims: &Claims,
    subject: &Value,
) -> Result<Vec<String>, String> {
    if let Some(expression) = expression {
        let failed = |why: String| format!("oidc: error evaluating group claim expression: {why}");
        return texts(&expression.evaluate(subject).map_err(failed)?).map_err(failed);
    }
    let prefix = mapping.prefix.as_deref().unwrap_or_default();
    let prefixed = |group: &str| format!("{prefix}{group}");
    let wrong = || format!("oidc: parse groups claim {:?}: it is no string and no list of strings", mapping.claim);
    match claims.get(&mapping.claim).filter(|_| !mapping.claim.is_empty()) {
        None | Some(Value::Null) => Ok(Vec::new()),
        // Some issuers have one role of each user, as a string.
        Some(Value::String(one)) => Ok(vec![prefixed(one)]),
        Some(Value::Array(many)) => many.iter().map(|one| one.as_str().map(prefixed).ok_or_else(wrong)).collect(),
        Some(_) => Err(wrong()),
    }
}

/// A string or a list of strings; empty ones count as not there.
fn texts(value: &Value) -> Result<Vec<String>, String> {
    let wrong = || "expression must return a string or a list of strings".to_owned();
    let all: Vec<String> = match value {
        Value::Null => Vec::new(),
        Value::String(one) => vec![one.clone()],
        Value::Array(many) => {
            many.iter().map(|one| one.as_str().map(str::to_owned).ok_or_else(wrong)).collect::<Result<_, _>>()?
        }
        _ => return Err(wrong()),
    };
    Ok(all.into_iter().filter(|text| !text.is_empty()).collect())
}

fn required(entry: &JwtEntry, claims: &Claims) -> Result<(), String> {
    for rule in entry.claim_validation_rules.iter().filter(|rule| !rule.claim.is_empty()) {
        let (claim, wanted) = (&rule.claim, &rule.required_value);
        if !claims.contains_key(claim) {
            return Err(format!("oidc: required claim {claim} not present in ID token"));
        }
        let got = text(claims, claim).map_err(|why| format!("oidc: parse claim {claim}: {why}"))?;
        if got != *wanted {
            return Err(format!("oidc: required claim {claim} value does not match. Got = {got}, want = {wanted}"));
        }
    }
    Ok(())
}

fn rules(rules: &[(Expression, String)], subject: &Value) -> Result<(), String> {
    for (expression, message) in rules {
        match expression.evaluate(subject)? {
            Value::Bool(true) => {}
            Value::Bool(false) => {
                return Err(format!("validation expression '{}' failed: {message}", expression.source));
            }
            _ => return Err("validation expression must return a boolean".to_owned()),
        }
    }
    Ok(())
}
