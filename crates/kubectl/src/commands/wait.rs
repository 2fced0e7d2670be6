//! `wait`: until objects have a condition, a field, are created or are gone.

use super::output::Printing;
use crate::calls::text;
use crate::context::Context;
use crate::duration;
use crate::failure::{Failure, Result};
use crate::follow::{self, timed_out, within};
use crate::jsonpath::Template;
use crate::print::Format;
use crate::target::{Choice, Named, Target};
use serde_json::Value;
use std::time::Duration;

#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    choice: Choice,
    /// create, delete, condition=NAME[=VALUE], jsonpath={PATH}[=VALUE]
    #[arg(long = "for", default_value = "")]
    condition: String,
    /// How long to wait; negative is a week, 0 is one look
    #[arg(long, default_value = "30s", allow_hyphen_values = true)]
    timeout: String,
    #[command(flatten)]
    printing: Printing,
    /// Look at the manifests that are named; ask no server
    #[arg(long)]
    local: bool,
}

const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

/// What is waited for.
#[derive(Debug)]
enum Goal {
    Create,
    Delete,
    /// A condition's type and status, in any case of letters.
    Condition(String, String),
    /// Without a value the field has only to be there.
    Path(Template, Option<String>),
}

impl Goal {
    fn parse(text: &str) -> Result<Goal> {
        match text.split_once('=') {
            None if text.eq_ignore_ascii_case("create") => Ok(Goal::Create),
            None if text.eq_ignore_ascii_case("delete") => Ok(Goal::Delete),
            Some(("condition", condition)) => {
                let (name, status) = condition.split_once('=').unwrap_or((condition, "true"));
                Ok(Goal::Condition(name.to_owned(), status.to_owned()))
            }
            Some(("jsonpath", path)) => Goal::path(path),
            _ if text.is_empty() => Err(Failure::message("unrecognized condition: []")),
            _ => Err(Failure::message(format!("unrecognized condition: {text:?}"))),
        }
    }

    fn path(text: &str) -> Result<Goal> {
        // A filter inside the braces has its own `=`.
        let end = text.rfind('}').map_or_else(|| text.find('=').unwrap_or(text.len()), |end| end + 1);
        let (path, rest) = text.split_at(end);
        let value = match rest.strip_prefix('=') {
            Some("") => {
                return Err(Failure::message(
                    "jsonpath wait has to have a value after equal sign, like --for=jsonpath='{.status.readyReplicas}'=3",
                ));
            }
            Some(value) => Some(value.trim_matches(['"', '\'']).to_owned()),
            None if rest.is_empty() => None,
            None => {
                return Err(Failure::message(format!(
                    "jsonpath wait format must be --for=jsonpath='{{.status.readyReplicas}}'=3 or --for=jsonpath='{{.status.readyReplicas}}', not {text:?}"
                )));
            }
        };
        Ok(Goal::Path(Template::parse_relaxed(path)?, value))
    }

    fn is_met(&self, object: Option<&Value>) -> Result<bool> {
        match (self, object) {
            (Goal::Create, object) => Ok(object.is_some()),
            (Goal::Delete, object) => Ok(object.is_none()),
            (_, None) => Ok(false),
            (Goal::Condition(name, status), Some(object)) => Ok(has_condition(object, name, status)),
            (Goal::Path(path, value), Some(object)) => {
                // A list that is not there yet is no mistake.
                let found = path.find(object).unwrap_or_default();
                match (found.as_slice(), value) {
                    ([], _) => Ok(false),
                    (_, None) => Ok(true),
                    ([Value::Array(_) | Value::Object(_)], Some(_)) => {
                        Err(Failure::message("jsonpath leads to a nested object or list and cannot be compared"))
                    }
                    ([one], Some(value)) => Ok(crate::print::display(one).trim() == value.trim()),
                    _ => Err(Failure::message("given jsonpath expression matches more than one value")),
                }
            }
        }
    }
}

/// A status about an older generation does not count.
fn has_condition(object: &Value, name: &str, status: &str) -> bool {
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
    let Some(condition) = conditions.into_iter().flatten().find(|one| text(one, "/type").eq_ignore_ascii_case(name))
    else {
        return false;
    };
    let generation = object.pointer("/metadata/generation").and_then(Value::as_i64);
    let observed = [condition.get("observedGeneration"), object.pointer("/status/observedGeneration")];
    let observed = observed.into_iter().flatten().find_map(Value::as_i64);
    let stale = generation.zip(observed).is_some_and(|(generation, observed)| observed < generation);
    !stale && text(condition, "/status").eq_ignore_ascii_case(status)
}

pub(crate) async fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    let goal = Goal::parse(&arguments.condition)?;
    let timeout = duration::parse(&arguments.timeout)?.unwrap_or(WEEK);
    let deadline = tokio::time::Instant::now() + timeout;
    if arguments.local {
        return locally(context, arguments, &goal).await;
    }
    let mut targets = self::targets(context, arguments).await?;
    if targets.is_empty() && matches!(goal, Goal::Create) {
        within(Some(deadline), arguments.choice.appear(context)).await.unwrap_or_else(|| Err(never_made()))?;
        targets = self::targets(context, arguments).await?;
    }
    if targets.is_empty() {
        return match goal {
            Goal::Delete => Ok(()),
            _ => Err(Failure::message("no matching resources found")),
        };
    }
    let mut failures = Vec::new();
    for target in &targets {
        // Each gets one look, though the time may be up.
        let once = timeout.is_zero() || tokio::time::Instant::now() >= deadline;
        let limit = (!once).then_some(deadline);
        match within(limit, reached(context, target, &goal, once)).await {
            Some(Ok(Reached::Nothing)) => {}
            Some(Ok(Reached::Met)) => met(context, arguments, target).await?,
            Some(Err(failure @ Failure::Api(_))) => failures.push(failure),
            Some(Ok(Reached::NotNow)) if !timeout.is_zero() => failures.push(timed_out(target)),
            Some(Ok(Reached::NotNow)) => {
                failures.push(Failure::message(format!("condition not met for {}/{}", target.def.plural, target.name)));
            }
            Some(Err(failure)) => return Err(failure),
            None if matches!(goal, Goal::Create) => failures.push(never_made()),
            None => failures.push(timed_out(target)),
        }
    }
    Failure::of_all(failures)
}

/// What never was has no name that upstream would tell.
fn never_made() -> Failure {
    Failure::message("timed out waiting for the condition")
}

async fn targets(context: &Context, arguments: &Arguments) -> Result<Vec<Target>> {
    let choice = &arguments.choice;
    if choice.files.is_empty()
        && !choice.selects()
        && choice.all_namespaces
        && let Named::Kinds(_) = crate::target::parse(context, &choice.arguments).await?
    {
        return Err(Failure::message("a resource cannot be retrieved by name across all namespaces"));
    }
    choice.targets(context).await
}

/// Says that the wait for one object is over.
async fn met(context: &Context, arguments: &Arguments, target: &Target) -> Result<()> {
    match arguments.printing.chosen()? {
        None => context.line(format_args!("{target} condition met")),
        Some(Format::Name) => context.line(target),
        Some(format) => match context.find(target.at()).await? {
            Some(object) => arguments.printing.show(context, &format, &object),
            None => context.line(format_args!("{target} condition met")),
        },
    }
}

async fn locally(context: &Context, arguments: &Arguments, goal: &Goal) -> Result<()> {
    for (target, object) in arguments.choice.objects(context, true).await? {
        if !goal.is_met(Some(&object))? {
            return Err(Failure::message(format!("condition not met for {}/{}", target.def.plural, target.name)));
        }
        arguments.printing.tell(context, &target, "condition met", &object)?;
    }
    Ok(())
}

/// How a wait for one object ended.
enum Reached {
    Met,
    /// What was to be deleted was not there to begin with, which is not worth a word.
    Nothing,
    /// One look was all that was asked for.
    NotNow,
}

async fn reached(context: &Context, target: &Target, goal: &Goal, once: bool) -> Result<Reached> {
    let mut known = false;
    follow::until(context, target, |object| {
        if !known && object.is_none() && !matches!(goal, Goal::Create | Goal::Delete) {
            return Err(api::Status::not_found(target.def, &target.name).into());
        }
        let first = !std::mem::replace(&mut known, true);
        if goal.is_met(object)? {
            let nothing = first && object.is_none();
            return Ok(Some(if nothing { Reached::Nothing } else { Reached::Met }));
        }
        Ok(once.then_some(Reached::NotNow))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn met(goal: &str, object: Option<&Value>) -> bool {
        Goal::parse(goal).unwrap().is_met(object).unwrap()
    }

    #[test]
    fn goals_are_met_when_upstream_meets_them() {
        let pod = json!({
            "metadata": {"generation": 2},
            "status": {"phase": "Running", "n": 3, "conditions": [
                {"type": "Ready", "status": "True"}, {"type": "Old", "status": "True", "observedGeneration": 1},
            ]},
        });
        for (goal, expected) in [
            ("condition=Ready", true),
            ("condition=ready=true", true),
            ("condition=Ready=False", false),
            ("condition=Gone", false),
            ("condition=Old", false),
            ("create", true),
            ("delete", false),
            ("jsonpath={.status.phase}=Running", true),
            ("jsonpath={.status.phase}=Pending", false),
            ("jsonpath=.status.n=3", true),
            ("jsonpath={.status.conditions[?(@.type==\"Ready\")].status}=True", true),
            ("jsonpath={.status.gone}", false),
            ("jsonpath={.status.phase}", true),
        ] {
            assert_eq!(met(goal, Some(&pod)), expected, "{goal}");
        }
        assert!(met("delete", None) && !met("create", None) && !met("condition=Ready", None));
        for bad in ["ready", "jsonpath={.a}=", "jsonpath={.a}x"] {
            assert!(Goal::parse(bad).is_err(), "{bad}");
        }
    }
}
