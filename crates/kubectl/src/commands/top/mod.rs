//! `top`: what pods and nodes use, as `metrics.k8s.io` measures it.

mod node;
mod pod;

use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::server::{Ask, resource_path, with_query};
use api::quantity::Quantity;
use serde_json::Value;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// What nodes use
    #[command(visible_aliases = ["nodes", "no"])]
    Node(node::Arguments),
    /// What pods use
    #[command(visible_aliases = ["pods", "po"])]
    Pod(pod::Arguments),
}

pub(crate) async fn run(context: &Context, command: &Command) -> Result<()> {
    match command {
        Command::Node(arguments) => node::run(context, arguments).await,
        Command::Pod(arguments) => pod::run(context, arguments).await,
    }
}

const VERSION: &str = "v1beta1";

/// What is used, in thousandths of a core and in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Usage {
    pub(super) cpu: i64,
    pub(super) memory: i64,
    /// Where it is measured.
    pub(super) swap: Option<i64>,
}

impl Usage {
    pub(super) fn of(usage: &Value) -> Usage {
        let read = |name: &str| usage[name].as_str().and_then(|text| Quantity::parse(text).ok());
        Usage {
            cpu: read("cpu").map(Quantity::milli_value).unwrap_or_default(),
            memory: read("memory").map(Quantity::value).unwrap_or_default(),
            swap: read("swap").map(Quantity::value),
        }
    }

    pub(super) fn plus(self, other: Usage) -> Usage {
        let swap = match (self.swap, other.swap) {
            (None, None) => None,
            (a, b) => Some(a.unwrap_or_default() + b.unwrap_or_default()),
        };
        Usage { cpu: self.cpu + other.cpu, memory: self.memory + other.memory, swap }
    }

    pub(super) fn cpu_text(self) -> String {
        format!("{}m", self.cpu)
    }

    pub(super) fn memory_text(self) -> String {
        mebibytes(self.memory)
    }

    fn swap_text(self) -> String {
        self.swap.map_or_else(|| "<unknown>".to_owned(), mebibytes)
    }
}

fn mebibytes(bytes: i64) -> String {
    format!("{}Mi", bytes / (1024 * 1024))
}

/// Metrics of one object or of a collection.
pub(super) async fn metrics(
    context: &Context,
    plural: &str,
    namespace: &str,
    name: &str,
    query: &[(&str, &str)],
) -> Result<Vec<Value>> {
    let def = api::ResourceDef::new(
        "metrics.k8s.io",
        VERSION,
        "",
        crate::resources::intern(plural),
        "",
        api::Scope::Namespaced,
        "",
    );
    let path = with_query(resource_path(&def, namespace, name, ""), query);
    let mut answer = context.ask(Ask::get(path)).await.map_err(|failure| match failure {
        // Without the group its paths are not known.
        Failure::Api(status)
            if status.code == 404 && status.details.as_ref().is_none_or(|details| details.name.is_none()) =>
        {
            Failure::message("Metrics API not available")
        }
        other => other,
    })?;
    Ok(match answer["items"].take() {
        Value::Array(items) => items,
        _ => vec![answer],
    })
}

/// Sorts by what is used, the most first, or by name.
fn sort<T>(rows: &mut [T], by: &str, usage: impl Fn(&T) -> Usage, name: impl Fn(&T) -> String) -> Result<()> {
    match by {
        "" => rows.sort_by_key(name),
        "cpu" => rows.sort_by_key(|row| (-usage(row).cpu, name(row))),
        "memory" => rows.sort_by_key(|row| (-usage(row).memory, name(row))),
        "swap" => rows.sort_by_key(|row| (-usage(row).swap.unwrap_or_default(), name(row))),
        _ => return Err(Failure::message("--sort-by accepts only cpu or memory or swap")),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn usage_adds_up() {
        let one = Usage::of(&json!({"cpu": "12345678n", "memory": "2048Ki"}));
        assert_eq!((one.cpu_text().as_str(), one.memory_text().as_str()), ("13m", "2Mi"));
        let two = one.plus(Usage { cpu: 1, memory: 1 << 20, swap: Some(1 << 20) });
        assert_eq!((two.cpu, two.memory_text().as_str(), two.swap_text().as_str()), (14, "3Mi", "1Mi"));
        assert_eq!(one.swap_text(), "<unknown>");
    }
}
