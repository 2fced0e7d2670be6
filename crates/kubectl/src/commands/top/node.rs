//! `top node`.

use super::{Usage, mebibytes, metrics, sort};
use crate::calls::{At, Selection, name_of};
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::print::{Widths, grid};
use api::Kind;
use k8s_openapi::api::core::v1::Node;
use serde_json::Value;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    name: Option<String>,
    /// A label query
    #[arg(short = 'l', long, default_value = "", hide_default_value = true)]
    selector: String,
    #[arg(long)]
    no_headers: bool,
    /// Per cent of what the node has, not of what pods may have of it
    #[arg(long)]
    show_capacity: bool,
    /// Columns for swap
    #[arg(long)]
    show_swap: bool,
    /// cpu, memory or swap: the most first
    #[arg(long, default_value = "", hide_default_value = true)]
    sort_by: String,
    /// The server is asked in JSON in any case
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    use_protocol_buffers: bool,
}

/// A node, and what it uses where that is known.
struct Row {
    name: String,
    usage: Option<Usage>,
    has: Usage,
}

pub(super) async fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    let name = arguments.name.as_deref().unwrap_or_default();
    if !name.is_empty() && !arguments.selector.is_empty() {
        return Err(Failure::message("only one of NAME or --selector can be provided"));
    }
    let used = metrics(context, "nodes", "", name, &[("labelSelector", &arguments.selector)]).await?;
    let nodes = if name.is_empty() {
        let selection = Selection { labels: arguments.selector.clone(), ..Selection::default() };
        context.list(At::collection(&Node::DEF, ""), &selection).await?.items
    } else {
        vec![context.get(At::object(&Node::DEF, "", name)).await?]
    };
    let key = if arguments.show_capacity { "capacity" } else { "allocatable" };
    let mut rows: Vec<Row> = nodes
        .iter()
        .map(|node| {
            let own = used.iter().find(|metrics| name_of(metrics) == name_of(node));
            let mut has = Usage::of(&node["status"][key]);
            has.swap = node.pointer("/status/nodeInfo/swap/capacity").and_then(Value::as_i64);
            Row { name: name_of(node).to_owned(), usage: own.map(|metrics| Usage::of(&metrics["usage"])), has }
        })
        .collect();
    sort(&mut rows, &arguments.sort_by, |row| row.usage.unwrap_or_default(), |row| row.name.clone())?;
    let mut lines = Vec::new();
    if !arguments.no_headers {
        let titles = ["NAME", "CPU(cores)", "CPU(%)", "MEMORY(bytes)", "MEMORY(%)", "SWAP(bytes)", "SWAP(%)"];
        let count = if arguments.show_swap { 7 } else { 5 };
        lines.push(titles[..count].iter().map(|title| (*title).to_owned()).collect());
    }
    lines.extend(rows.iter().map(|row| row.cells(arguments.show_swap)));
    context.print(grid(&lines, &mut Widths::default()))
}

impl Row {
    fn cells(&self, swap: bool) -> Vec<String> {
        let unknown = || "<unknown>".to_owned();
        let percent = |used: i64, of: i64| if of > 0 { format!("{}%", used * 100 / of) } else { unknown() };
        let Row { name, usage, has } = self;
        let mut cells = match usage {
            Some(usage) => vec![
                name.clone(),
                usage.cpu_text(),
                percent(usage.cpu, has.cpu),
                mebibytes(usage.memory),
                percent(usage.memory, has.memory),
            ],
            None => vec![name.clone(), unknown(), unknown(), unknown(), unknown()],
        };
        if swap {
            let used = usage.and_then(|usage| usage.swap);
            cells.push(used.map_or_else(unknown, mebibytes));
            cells.push(used.zip(has.swap).map_or_else(unknown, |(used, has)| percent(used, has)));
        }
        cells
    }
}
