//! Which requests a webhook is asked about: expressions over the question, all of which must hold.

use crate::authn::domain_path::aggregate;
use api::{FieldError, FieldPath};
use cel::{Activation, Env, Limits, ListIdentity, Program, Schema, Type, Value as Cel};
use k8s_openapi::api::authorization::v1::SubjectAccessReviewSpec;
use serde_json::{Value, json};
use std::sync::{Arc, OnceLock};

const CONDITIONS_MAX: usize = 64;
const REQUEST: &str = "request";

fn object(name: &'static str, texts: &[&'static str], more: Vec<(&'static str, Arc<Schema>)>) -> Arc<Schema> {
    let text = Arc::new(Schema::string(None));
    let texts = texts.iter().map(|name| (Arc::from(*name), text.clone()));
    let more = more.into_iter().map(|(name, schema)| (Arc::from(name), schema));
    Arc::new(Schema::object(name, texts.chain(more).collect()))
}

fn list(items: Arc<Schema>) -> Arc<Schema> {
    Arc::new(Schema::list(items, None, ListIdentity::Atomic))
}

fn schema() -> &'static Arc<Schema> {
    static SCHEMA: OnceLock<Arc<Schema>> = OnceLock::new();
    SCHEMA.get_or_init(|| {
        let texts = list(Arc::new(Schema::string(None)));
        let requirement =
            object("kubernetes.SelectorRequirement", &["key", "operator"], vec![("values", texts.clone())]);
        let selector = |name| object(name, &["rawSelector"], vec![("requirements", list(requirement.clone()))]);
        let resource = object(
            "kubernetes.ResourceAttributes",
            &["namespace", "verb", "group", "version", "resource", "subresource", "name"],
            vec![
                ("fieldSelector", selector("kubernetes.FieldSelectorAttributes")),
                ("labelSelector", selector("kubernetes.LabelSelectorAttributes")),
            ],
        );
        let path = object("kubernetes.NonResourceAttributes", &["path", "verb"], Vec::new());
        object(
            "kubernetes.SubjectAccessReviewSpec",
            &["user", "uid"],
            vec![
                ("resourceAttributes", resource),
                ("nonResourceAttributes", path),
                ("groups", texts.clone()),
                ("extra", Arc::new(Schema::map(texts, None))),
            ],
        )
    })
}

struct Condition {
    source: String,
    program: Program,
}

pub(crate) struct Conditions(Vec<Condition>);

impl Conditions {
    /// `None` without expressions, which is to match everything.
    pub(crate) fn compile(
        path: &FieldPath,
        expressions: &[String],
        errors: &mut Vec<FieldError>,
    ) -> Option<Conditions> {
        let path = path.child("matchConditions");
        if expressions.len() > CONDITIONS_MAX {
            errors.push(FieldError::too_many(path, expressions.len(), CONDITIONS_MAX));
            return None;
        }
        let env = Env::kubernetes().object(REQUEST, schema().clone());
        let mut conditions: Vec<Condition> = Vec::new();
        for (index, source) in expressions.iter().enumerate() {
            let path = path.index(index).child("expression");
            if source.trim().is_empty() {
                errors.push(FieldError::required(path, ""));
                continue;
            }
            if expressions[..index].contains(source) {
                errors.push(FieldError::duplicate(path, source));
                continue;
            }
            match compile(&env, source) {
                Ok(program) => conditions.push(Condition { source: source.clone(), program }),
                Err(why) => errors.push(FieldError::invalid(path, source, why)),
            }
        }
        (!conditions.is_empty()).then_some(Conditions(conditions))
    }

    /// One that does not hold settles it, whatever goes wrong with the others.
    pub(super) fn match_spec(&self, spec: &SubjectAccessReviewSpec) -> Result<bool, String> {
        let request = complete(spec);
        let value = Cel::from_json(&request, Some(schema()));
        let mut errors = Vec::new();
        for condition in &self.0 {
            let activation = Activation::new().bind(REQUEST, value.clone());
            match condition.program.evaluate(&activation, Limits::default()).result {
                Ok(Cel::Bool(true)) => {}
                Ok(Cel::Bool(false)) => return Ok(false),
                Ok(_) => errors.push(format!("cel evaluation error: expression '{}' is no bool", condition.source)),
                Err(why) => errors
                    .push(format!("cel evaluation error: expression '{}' resulted in error: {why}", condition.source)),
            }
        }
        if errors.is_empty() { Ok(true) } else { Err(aggregate(&errors)) }
    }
}

fn compile(env: &Env, source: &str) -> Result<Program, String> {
    let program = env.compile(source).map_err(|issues| format!("compilation failed: {issues}"))?;
    match program.output_type() {
        Type::Bool => Ok(program),
        other => Err(format!("must evaluate to bool but got {other}")),
    }
}

/// Every text is there, empty or not: expressions need not ask whether it is.
fn complete(spec: &SubjectAccessReviewSpec) -> Value {
    let mut request = json!({
        "user": spec.user.as_deref().unwrap_or_default(),
        "uid": spec.uid.as_deref().unwrap_or_default(),
        "groups": spec.groups.as_deref().unwrap_or_default(),
        "extra": spec.extra.clone().unwrap_or_default(),
    });
    if let Some(asked) = &spec.resource_attributes {
        let text = |text: &Option<String>| Value::from(text.as_deref().unwrap_or_default());
        let mut resource = json!({
            "namespace": text(&asked.namespace), "verb": text(&asked.verb), "group": text(&asked.group),
            "version": text(&asked.version), "resource": text(&asked.resource),
            "subresource": text(&asked.subresource), "name": text(&asked.name),
        });
        let selectors = [
            ("fieldSelector", asked.field_selector.as_ref().and_then(|own| serde_json::to_value(own).ok())),
            ("labelSelector", asked.label_selector.as_ref().and_then(|own| serde_json::to_value(own).ok())),
        ];
        for (name, selector) in selectors {
            if let Some(selector) = selector {
                resource[name] = selector;
            }
        }
        request["resourceAttributes"] = resource;
    }
    if let Some(asked) = &spec.non_resource_attributes {
        request["nonResourceAttributes"] = json!({
            "path": asked.path.as_deref().unwrap_or_default(),
            "verb": asked.verb.as_deref().unwrap_or_default(),
        });
    }
    request
}

#[cfg(test)]
mod tests {
    use super::super::super::attributes::Attributes;
    use super::super::spec;
    use super::*;
    use api::user::User;

    fn compiled(expressions: &[&str]) -> (Option<Conditions>, Vec<String>) {
        let sources: Vec<String> = expressions.iter().map(|one| (*one).to_owned()).collect();
        let mut errors = Vec::new();
        let conditions = Conditions::compile(&FieldPath::new("webhook"), &sources, &mut errors);
        (conditions, errors.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn conditions_choose_what_is_asked() {
        let user = User { name: "ann".to_owned(), groups: vec!["devs".to_owned()], ..User::default() };
        let list = Attributes {
            verb: "list",
            resource: "pods",
            namespace: "dev",
            is_resource: true,
            field_selector: "spec.nodeName=n1",
            label_selector: "app in (a,b)",
            ..Attributes::default()
        };
        let path = Attributes { verb: "get", path: "/metrics", ..Attributes::default() };
        let table: &[(&[&str], &Attributes<'_>, Result<bool, &str>)] = &[
            (&["has(request.resourceAttributes)"], &list, Ok(true)),
            (&["has(request.resourceAttributes)"], &path, Ok(false)),
            (&["request.user == 'ann'", "'devs' in request.groups"], &list, Ok(true)),
            (&["request.resourceAttributes.namespace == 'kube-system'"], &list, Ok(false)),
            (&["request.resourceAttributes.name == ''"], &list, Ok(true)),
            (
                &[
                    "request.resourceAttributes.fieldSelector.requirements.exists(r, r.key == 'spec.nodeName' && r.operator == 'In' && r.values == ['n1'])",
                ],
                &list,
                Ok(true),
            ),
            (&["request.resourceAttributes.labelSelector.requirements[0].values.size() == 2"], &list, Ok(true)),
            (&["request.nonResourceAttributes.path == '/metrics'"], &path, Ok(true)),
            (
                &["request.extra['a'] == ['b']"],
                &list,
                Err("cel evaluation error: expression 'request.extra['a'] == ['b']' resulted in error: no such key: a"),
            ),
            (&["request.extra['a'] == ['b']", "false"], &list, Ok(false)),
        ];
        for (expressions, asked, wanted) in table {
            let (conditions, errors) = compiled(expressions);
            assert_eq!(errors, Vec::<String>::new(), "{expressions:?}");
            let matched = conditions.unwrap().match_spec(&spec::of(&user, asked));
            assert_eq!(matched, wanted.map_err(str::to_owned), "{expressions:?}");
        }
    }

    #[test]
    fn conditions_are_checked_when_they_are_read() {
        let (_, errors) = compiled(&["request.user", "", "request.nope == ''", "true", "true"]);
        assert_eq!(
            errors[0],
            r#"webhook.matchConditions[0].expression: Invalid value: "request.user": must evaluate to bool but got string"#
        );
        assert_eq!(errors[1], "webhook.matchConditions[1].expression: Required value");
        assert!(errors[2].contains("compilation failed: ERROR: <input>:1:8: undefined field 'nope'"), "{}", errors[2]);
        assert_eq!(errors[3], r#"webhook.matchConditions[4].expression: Duplicate value: "true""#);
    }
}
