//! What is wrong with an authentication configuration, in upstream's words; and its expressions, compiled.

use super::configuration::{Configuration, Issuer, JwtEntry, Mapping};
use super::expressions::{Expression, Over};
use crate::authn::domain_path;
use api::{FieldError, FieldPath};

const JWT_MAX: usize = 64;

/// The expressions of one issuer's entry.
#[derive(Debug, Default)]
pub(super) struct Compiled {
    pub(super) username: Option<Expression>,
    pub(super) groups: Option<Expression>,
    pub(super) uid: Option<Expression>,
    pub(super) extra: Vec<(String, Expression)>,
    /// With the message of each.
    pub(super) claim_rules: Vec<(Expression, String)>,
    pub(super) user_rules: Vec<(Expression, String)>,
}

/// `own_issuer` signs this cluster's own tokens: nobody else may.
pub(super) fn validate(configuration: &Configuration, own_issuer: &str) -> (Vec<Compiled>, Vec<FieldError>) {
    let root = FieldPath::new("jwt");
    let (mut compiled, mut errors) = (Vec::new(), Vec::new());
    if configuration.jwt.len() > JWT_MAX {
        errors.push(FieldError::too_many(root, configuration.jwt.len(), JWT_MAX));
        return (compiled, errors);
    }
    for (index, entry) in configuration.jwt.iter().enumerate() {
        let path = root.index(index);
        compiled.push(jwt(&path, entry, own_issuer, &mut errors));
        let former = &configuration.jwt[..index];
        let (url, discovery) = (&entry.issuer.url, &entry.issuer.discovery_url);
        if former.iter().any(|other| other.issuer.url == *url) {
            errors.push(FieldError::duplicate(path.child("issuer").child("url"), url));
        }
        if !discovery.is_empty() && former.iter().any(|other| other.issuer.discovery_url == *discovery) {
            errors.push(FieldError::duplicate(path.child("issuer").child("discoveryURL"), discovery));
        }
    }
    if let Some(anonymous) = &configuration.anonymous
        && !anonymous.enabled
        && !anonymous.conditions.is_empty()
    {
        let paths: Vec<_> = anonymous.conditions.iter().map(|one| serde_json::json!({"path": one.path})).collect();
        let why = "enabled should be set to true when conditions are defined";
        errors.push(FieldError::invalid(FieldPath::new("anonymous").child("conditions"), &paths, why));
    }
    (compiled, errors)
}

fn jwt(path: &FieldPath, entry: &JwtEntry, own_issuer: &str, errors: &mut Vec<FieldError>) -> Compiled {
    let mut compiled = Compiled::default();
    issuer(&path.child("issuer"), &entry.issuer, own_issuer, errors);
    claim_rules(&path.child("claimValidationRules"), entry, &mut compiled, errors);
    mappings(&path.child("claimMappings"), entry, &mut compiled, errors);
    let rules = path.child("userValidationRules");
    for (index, rule) in entry.user_validation_rules.iter().enumerate() {
        let path = rules.index(index).child("expression");
        if rule.expression.is_empty() {
            errors.push(FieldError::required(path, ""));
        } else if entry.user_validation_rules[..index].iter().any(|other| other.expression == rule.expression) {
            errors.push(FieldError::duplicate(path, &rule.expression));
        } else {
            match Expression::compile(&path, &rule.expression, Over::User, true) {
                Ok(expression) => compiled.user_rules.push((expression, rule.message.clone())),
                Err(error) => errors.push(error),
            }
        }
    }
    compiled
}

fn url(path: &FieldPath, text: &str, errors: &mut Vec<FieldError>) {
    let mut wrong = |why: &str| errors.push(FieldError::invalid(path.clone(), text, why));
    let rest = match text.split_once("://") {
        Some(("https", rest)) => rest,
        _ => {
            wrong("URL scheme must be https");
            return;
        }
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    for (wrongly, why) in [
        (authority.contains('@'), "URL must not contain a username or password"),
        (rest.split('#').next().unwrap_or_default().contains('?'), "URL must not contain a query"),
        (rest.contains('#'), "URL must not contain a fragment"),
    ] {
        if wrongly {
            wrong(why);
        }
    }
}

fn issuer(path: &FieldPath, issuer: &Issuer, own_issuer: &str, errors: &mut Vec<FieldError>) {
    if issuer.url.is_empty() {
        errors.push(FieldError::required(path.child("url"), ""));
    } else {
        if issuer.url == own_issuer {
            let why = format!("URL must not overlap with disallowed issuers: [{own_issuer}]");
            errors.push(FieldError::invalid(path.child("url"), &issuer.url, why));
        }
        url(&path.child("url"), &issuer.url, errors);
    }
    if !issuer.discovery_url.is_empty() {
        let path = path.child("discoveryURL");
        if issuer.url.trim_end_matches('/') == issuer.discovery_url.trim_end_matches('/') {
            let why = "discoveryURL must be different from URL";
            errors.push(FieldError::invalid(path.clone(), &issuer.discovery_url, why));
        }
        url(&path, &issuer.discovery_url, errors);
    }
    audiences(path, issuer, errors);
    let authority = &issuer.certificate_authority;
    if !authority.is_empty() && !authority.contains("-----BEGIN CERTIFICATE-----") {
        let why = "data does not contain any valid RSA or ECDSA certificates";
        errors.push(FieldError::invalid(path.child("certificateAuthority"), "<omitted>", why));
    }
    let egress = &issuer.egress_selector_type;
    if !matches!(egress.as_str(), "" | "controlplane" | "cluster") {
        let why = "egress selector must be either controlplane or cluster";
        errors.push(FieldError::invalid(path.child("egressSelectorType"), egress, why));
    }
}

fn audiences(path: &FieldPath, issuer: &Issuer, errors: &mut Vec<FieldError>) {
    let (own, policy) = (path.child("audiences"), path.child("audienceMatchPolicy"));
    if issuer.audiences.is_empty() {
        errors.push(FieldError::required(own.clone(), &format!("at least one {own} is required")));
        return;
    }
    for (index, audience) in issuer.audiences.iter().enumerate() {
        if audience.is_empty() {
            errors.push(FieldError::required(own.index(index), ""));
        }
        if issuer.audiences[..index].contains(audience) {
            errors.push(FieldError::duplicate(own.index(index), audience));
        }
    }
    let matched = issuer.audience_match_policy.as_str();
    if issuer.audiences.len() > 1 && matched != "MatchAny" {
        let why = "audienceMatchPolicy must be MatchAny for multiple audiences";
        errors.push(FieldError::invalid(policy, matched, why));
    } else if !matches!(matched, "" | "MatchAny") {
        let why = "audienceMatchPolicy must be empty or MatchAny for single audience";
        errors.push(FieldError::invalid(policy, matched, why));
    }
}

fn claim_rules(root: &FieldPath, entry: &JwtEntry, compiled: &mut Compiled, errors: &mut Vec<FieldError>) {
    let rules = &entry.claim_validation_rules;
    for (index, rule) in rules.iter().enumerate() {
        let (path, former) = (root.index(index), &rules[..index]);
        match (rule.claim.as_str(), rule.expression.as_str()) {
            ("", "") => errors.push(FieldError::required(path, "claim or expression is required")),
            (claim, "") => {
                if !rule.message.is_empty() {
                    let why = "may not be specified when claim is set";
                    errors.push(FieldError::invalid(path.child("message"), &rule.message, why));
                }
                if former.iter().any(|other| other.claim == claim) {
                    errors.push(FieldError::duplicate(path.child("claim"), claim));
                }
            }
            ("", expression) => {
                if !rule.required_value.is_empty() {
                    let why = "may not be specified when expression is set";
                    errors.push(FieldError::invalid(path.child("requiredValue"), &rule.required_value, why));
                }
                let path = path.child("expression");
                if former.iter().any(|other| other.expression == expression) {
                    errors.push(FieldError::duplicate(path, expression));
                    continue;
                }
                match Expression::compile(&path, expression, Over::Claims, true) {
                    Ok(expression) => compiled.claim_rules.push((expression, rule.message.clone())),
                    Err(error) => errors.push(error),
                }
            }
            (claim, _) => errors.push(FieldError::invalid(path, claim, "claim and expression can't both be set")),
        }
    }
}

/// A claim, or an expression; a claim says its prefix, unless it is the uid's.
fn mapping(
    path: &FieldPath,
    mapping: &Mapping,
    required: bool,
    prefixed: bool,
    errors: &mut Vec<FieldError>,
) -> Option<Expression> {
    match (mapping.claim.as_str(), mapping.expression.as_str()) {
        ("", "") => {
            if required {
                errors.push(FieldError::required(path.clone(), "claim or expression is required"));
            }
        }
        ("", expression) => {
            if let Some(prefix) = &mapping.prefix {
                let why = "may not be specified when expression is set";
                errors.push(FieldError::invalid(path.child("prefix"), prefix, why));
            }
            match Expression::compile(&path.child("expression"), expression, Over::Claims, false) {
                Ok(expression) => return Some(expression),
                Err(error) => errors.push(error),
            }
        }
        (_, "") => {
            if prefixed && mapping.prefix.is_none() {
                let why = "prefix is required when claim is set. It can be set to an empty string to disable prefixing";
                errors.push(FieldError::required(path.child("prefix"), why));
            }
        }
        _ => errors.push(FieldError::invalid(path.clone(), "", "claim and expression can't both be set")),
    }
    None
}

fn is_reserved(key: &str) -> bool {
    let domain = key.split_once('/').map_or("", |(domain, _)| domain);
    ["kubernetes.io", "k8s.io"].iter().any(|own| domain == *own || domain.ends_with(&format!(".{own}")))
}

fn mappings(path: &FieldPath, entry: &JwtEntry, compiled: &mut Compiled, errors: &mut Vec<FieldError>) {
    let wanted = &entry.claim_mappings;
    compiled.username = mapping(&path.child("username"), &wanted.username, true, true, errors);
    compiled.groups = mapping(&path.child("groups"), &wanted.groups, false, true, errors);
    compiled.uid = mapping(&path.child("uid"), &wanted.uid, false, false, errors);
    for (index, extra) in wanted.extra.iter().enumerate() {
        let path = path.child("extra").index(index);
        let (key_path, key) = (path.child("key"), &extra.key);
        errors.extend(domain_path::check(&key_path, key));
        if *key != key.to_lowercase() {
            errors.push(FieldError::invalid(key_path.clone(), key, "must be lowercase"));
        }
        if is_reserved(key) {
            let why = "k8s.io, kubernetes.io and their subdomains are reserved for Kubernetes use";
            errors.push(FieldError::invalid(key_path.clone(), key, why));
        }
        if wanted.extra[..index].iter().any(|other| other.key == *key) {
            errors.push(FieldError::duplicate(key_path, key));
            continue;
        }
        let path = path.child("valueExpression");
        if extra.value_expression.is_empty() {
            errors.push(FieldError::required(path, ""));
            continue;
        }
        match Expression::compile(&path, &extra.value_expression, Over::Claims, false) {
            Ok(expression) => compiled.extra.push((key.clone(), expression)),
            Err(error) => errors.push(error),
        }
    }
    verified_email(path, &wanted.username, compiled, errors);
}

/// Who takes an address for a name must look at whether it was verified.
fn verified_email(path: &FieldPath, username: &Mapping, compiled: &Compiled, errors: &mut Vec<FieldError>) {
    let Some(name) = &compiled.username else { return };
    let extra = compiled.extra.iter().map(|(_, expression)| expression);
    let rules = compiled.claim_rules.iter().map(|(expression, _)| expression);
    let looks = std::iter::once(name).chain(extra).chain(rules).any(|own| own.selects("email_verified"));
    if name.selects("email") && !looks {
        let why = "claims.email_verified must be used in claimMappings.username.expression or \
                   claimMappings.extra[*].valueExpression or claimValidationRules[*].expression when claims.email is \
                   used in claimMappings.username.expression";
        errors.push(FieldError::invalid(path.child("username").child("expression"), &username.expression, why));
    }
}
