//! `top pod`.

use super::{Usage, metrics, sort};
use crate::calls::{name_of, namespace_of};
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::print::{Widths, grid};
use serde_json::Value;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    name: Option<String>,
    /// In every namespace
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// A line for each container
    #[arg(long)]
    containers: bool,
    /// A field query
    #[arg(long, default_value = "", hide_default_value = true)]
    field_selector: String,
    /// A label query
    #[arg(short = 'l', long, default_value = "", hide_default_value = true)]
    selector: String,
    #[arg(long)]
    no_headers: bool,
    /// cpu, memory or swap: the most first
    #[arg(long, default_value = "", hide_default_value = true)]
    sort_by: String,
    /// A last line with the sum
    #[arg(long)]
    sum: bool,
    /// A column for swap
    #[arg(long)]
    show_swap: bool,
    /// The server is asked in JSON in any case
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    use_protocol_buffers: bool,
}

pub(super) async fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    let name = arguments.name.as_deref().unwrap_or_default();
    if !name.is_empty() && !arguments.selector.is_empty() {
        return Err(Failure::message("only one of NAME or --selector can be provided"));
    }
    let namespace = if arguments.all_namespaces && name.is_empty() { "" } else { &context.namespace };
    let query = [("labelSelector", arguments.selector.as_str()), ("fieldSelector", &arguments.field_selector)];
    let mut pods = metrics(context, "pods", namespace, name, &query).await?;
    if pods.is_empty() {
        let place = if arguments.all_namespaces { String::new() } else { format!(" in {namespace} namespace.") };
        return context.remark(format_args!("No resources found{place}"));
    }
    sort(&mut pods, &arguments.sort_by, usage, |pod| format!("{}/{}", namespace_of(pod), name_of(pod)))?;
    let mut lines = Vec::new();
    if !arguments.no_headers {
        lines.push(arguments.headers());
    }
    for pod in &pods {
        lines.extend(arguments.lines(pod));
    }
    if arguments.sum {
        lines.extend(arguments.sum(&pods));
    }
    context.print(grid(&lines, &mut Widths::default()))
}

fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    pod["containers"].as_array().into_iter().flatten()
}

fn usage(pod: &Value) -> Usage {
    containers(pod).map(|container| Usage::of(&container["usage"])).fold(Usage::default(), Usage::plus)
}

impl Arguments {
    fn headers(&self) -> Vec<String> {
        let columns = [
            (self.all_namespaces, "NAMESPACE"),
            (self.containers, "POD"),
            (true, "NAME"),
            (true, "CPU(cores)"),
            (true, "MEMORY(bytes)"),
            (self.show_swap, "SWAP(bytes)"),
        ];
        columns.iter().filter(|(shown, _)| *shown).map(|(_, title)| (*title).to_owned()).collect()
    }

    fn cells(&self, usage: Usage) -> Vec<String> {
        let mut cells = vec![usage.cpu_text(), usage.memory_text()];
        cells.extend(self.show_swap.then(|| usage.swap_text()));
        cells
    }

    fn lines(&self, pod: &Value) -> Vec<Vec<String>> {
        let place = self.all_namespaces.then(|| namespace_of(pod).to_owned());
        let name = name_of(pod).to_owned();
        if !self.containers {
            return vec![place.into_iter().chain([name]).chain(self.cells(usage(pod))).collect()];
        }
        let line = |container: &Value| {
            let own = container["name"].as_str().unwrap_or_default().to_owned();
            let begin = place.clone().into_iter().chain([name.clone(), own]);
            begin.chain(self.cells(Usage::of(&container["usage"]))).collect()
        };
        let mut all: Vec<&Value> = containers(pod).collect();
        all.sort_by_key(|container| container["name"].as_str().unwrap_or_default().to_owned());
        all.into_iter().map(line).collect()
    }

    fn sum(&self, pods: &[Value]) -> Vec<Vec<String>> {
        let total = pods.iter().map(usage).fold(Usage::default(), Usage::plus);
        let empty = usize::from(self.all_namespaces) + usize::from(self.containers) + 1;
        let cells = self.cells(total);
        let rule = vec![String::new(); empty].into_iter().chain(cells.iter().map(|_| "________".to_owned())).collect();
        vec![rule, vec![String::new(); empty].into_iter().chain(cells).collect()]
    }
}
