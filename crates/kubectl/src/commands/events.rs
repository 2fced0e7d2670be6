//! `events`: what happened, in the order of time.

use super::output::Printing;
use crate::calls::{At, Page, Selection, list_of, namespace_of, text};
use crate::context::Context;
use crate::convert::age;
use crate::failure::{Failure, Result};
use crate::print::{Format, Widths, grid, without_managed_fields};
use crate::server::JSON;
use crate::workload;
use api::Kind;
use futures::StreamExt;
use k8s_openapi::api::core::v1::Event;
use serde_json::Value;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    printing: Printing,
    /// In every namespace
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Only about this object: TYPE/NAME
    #[arg(long = "for", default_value = "", hide_default_value = true)]
    object: String,
    #[arg(long)]
    no_headers: bool,
    /// Normal, Warning
    #[arg(long, value_delimiter = ',')]
    types: Vec<String>,
    /// Go on with each event
    #[arg(short = 'w', long)]
    watch: bool,
    /// Objects in a page of a list; 0 takes all at once
    #[arg(long, default_value_t = 500)]
    chunk_size: i64,
}

pub(crate) async fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    for kind in &arguments.types {
        if !["normal", "warning"].contains(&kind.to_lowercase().as_str()) {
            return Err(Failure::message("valid --types are Normal or Warning"));
        }
    }
    let selection = selection(context, arguments).await?;
    let namespace = if arguments.all_namespaces { "" } else { &context.namespace };
    let collection = At::collection(&Event::DEF, namespace);
    let listed = context.list(collection, &selection).await?;
    let mut events: Vec<Value> = listed.items.into_iter().filter(|event| arguments.wants(event)).collect();
    events.sort_by_key(|event| last_seen(event).to_owned());
    let format = arguments.printing.format(arguments.no_headers)?;
    if !arguments.watch {
        if events.is_empty() {
            let place = if arguments.all_namespaces { String::new() } else { format!(" in {namespace} namespace") };
            return context.remark(format_args!("No events found{place}."));
        }
        return print(context, arguments, &format, events);
    }
    let mut widths = Widths::default();
    let rows = |events: &[Value], headers: bool, widths: &mut Widths| {
        context.print(grid(&lines(arguments, events, headers), widths))
    };
    if format.is_table() {
        rows(&events, !arguments.no_headers, &mut widths)?;
    } else {
        events.iter().try_for_each(|event| arguments.printing.show(context, &format, event))?;
    }
    let mut changes = context.watch(collection, &selection, &listed.resource_version, JSON, &[]).await?;
    while let Some(change) = changes.next().await {
        let change = change?;
        if matches!(change.kind.as_str(), "BOOKMARK" | "DELETED") || !arguments.wants(&change.object) {
            continue;
        }
        if format.is_table() {
            rows(&[change.object], false, &mut widths)?;
        } else {
            arguments.printing.show(context, &format, &change.object)?;
        }
    }
    Ok(())
}

async fn selection(context: &Context, arguments: &Arguments) -> Result<Selection> {
    let page = Page(arguments.chunk_size);
    if arguments.object.is_empty() {
        return Ok(Selection { page, ..Selection::default() });
    }
    if !arguments.object.contains('/') {
        return Err(Failure::message("--for must be in resource/name form"));
    }
    let target = workload::target(context, &arguments.object).await?;
    let (version, kind) = (target.def.api_version(), target.def.kind);
    let fields =
        format!("involvedObject.apiVersion={version},involvedObject.kind={kind},involvedObject.name={}", target.name);
    Ok(Selection { fields, page, ..Selection::default() })
}

fn print(context: &Context, arguments: &Arguments, format: &Format, mut events: Vec<Value>) -> Result<()> {
    if format.is_table() {
        return context.print(grid(&lines(arguments, &events, !arguments.no_headers), &mut Widths::default()));
    }
    if !arguments.printing.show_managed_fields {
        events.iter_mut().for_each(without_managed_fields);
    }
    let object = if events.len() == 1 { events.remove(0) } else { list_of(events) };
    context.print(format.object(&object)?)
}

impl Arguments {
    fn wants(&self, event: &Value) -> bool {
        self.types.is_empty() || self.types.iter().any(|kind| kind.eq_ignore_ascii_case(text(event, "/type")))
    }
}

fn lines(arguments: &Arguments, events: &[Value], headers: bool) -> Vec<Vec<String>> {
    let mut lines = Vec::new();
    let place = |text: &str| arguments.all_namespaces.then(|| text.to_owned());
    if headers {
        let titles = ["LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"].map(str::to_owned);
        lines.push(place("NAMESPACE").into_iter().chain(titles).collect());
    }
    lines.extend(events.iter().map(|event| {
        let object = format!("{}/{}", text(event, "/involvedObject/kind"), text(event, "/involvedObject/name"));
        let cells = [
            interval(event),
            text(event, "/type").to_owned(),
            text(event, "/reason").to_owned(),
            object,
            text(event, "/message").trim().to_owned(),
        ];
        place(namespace_of(event)).into_iter().chain(cells).collect()
    }));
    lines
}

/// How long ago, and how often.
pub(super) fn interval(event: &Value) -> String {
    let last = age(last_seen(event));
    let series = event.pointer("/series/count").and_then(Value::as_i64);
    let count = series.or_else(|| event.get("count").and_then(Value::as_i64)).unwrap_or(1);
    let first =
        ["/firstTimestamp", "/eventTime"].iter().map(|pointer| text(event, pointer)).find(|time| !time.is_empty());
    match first {
        Some(first) if count > 1 => format!("{last} (x{count} over {})", age(first)),
        _ => last,
    }
}

pub(super) fn last_seen(event: &Value) -> &str {
    let times = ["/series/lastObservedTime", "/lastTimestamp", "/eventTime", "/metadata/creationTimestamp"];
    times.iter().map(|pointer| text(event, pointer)).find(|time| !time.is_empty()).unwrap_or_default()
}
