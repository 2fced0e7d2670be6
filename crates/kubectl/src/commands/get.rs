//! `get`: objects as a table, or in another format.

use super::output::Printing;
use super::screen::Source;
use crate::calls::{At, Page, Selection, list_of};
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::jsonpath::Template;
use crate::manifest::Files;
use crate::print::{Format, Shown, Table, Widths, without_managed_fields};
use crate::resources::kind_name;
use crate::server::{Ask, JSON, TABLE, whole};
use crate::target::{self, Named};
use api::ResourceDef;
use futures::StreamExt;
use serde_json::{Value, json};
use std::cmp::Ordering;

#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// TYPE[,TYPE…] [NAME…] or TYPE/NAME…
    pub(crate) arguments: Vec<String>,
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    pub(crate) printing: Printing,
    /// In every namespace
    #[arg(short = 'A', long)]
    pub(crate) all_namespaces: bool,
    /// A label query
    #[arg(short = 'l', long, default_value = "")]
    selector: String,
    /// A field query
    #[arg(long, default_value = "")]
    field_selector: String,
    /// Go on with each change
    #[arg(short = 'w', long)]
    pub(crate) watch: bool,
    /// Only changes
    #[arg(long)]
    watch_only: bool,
    /// Say whether an object was added, changed or deleted
    #[arg(long)]
    output_watch_events: bool,
    /// A column with all labels
    #[arg(long)]
    pub(crate) show_labels: bool,
    /// A column for each label
    #[arg(short = 'L', long, value_delimiter = ',')]
    label_columns: Vec<String>,
    /// Kinds before names
    #[arg(long)]
    show_kind: bool,
    /// Objects in a page of a list; 0 takes all at once
    #[arg(long, default_value_t = 500)]
    chunk_size: i64,
    /// The server's columns, not only names and ages
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    server_print: bool,
    #[arg(long)]
    no_headers: bool,
    /// A JSONPath to sort by
    #[arg(long, default_value = "")]
    sort_by: String,
    /// An object that does not exist is no error
    #[arg(long)]
    ignore_not_found: bool,
    /// A path of the server, printed as it answers
    #[arg(long)]
    raw: Option<String>,
    /// The subresource to show: status, scale
    #[arg(long, default_value = "")]
    subresource: String,
}

/// No kind of event is longer, so that columns stay where they are.
const EVENT_WIDTH: usize = 8;

/// One collection or object to ask for.
struct Wanted {
    def: &'static ResourceDef,
    namespace: String,
    name: String,
}

impl Wanted {
    fn at<'a>(&'a self, subresource: &'a str) -> At<'a> {
        At { def: self.def, namespace: &self.namespace, name: &self.name, subresource }
    }
}

const NO_TYPE: &str = "You must specify the type of resource to get. Use \"kubectl api-resources\" for a complete list of \
    supported resources.\n\nerror: Required resource not specified.\nUse \"kubectl explain <resource>\" for a detailed \
    description of that resource (e.g. kubectl explain pods).\nSee 'kubectl get -h' for help and examples";

pub(crate) async fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    if let Some(path) = &arguments.raw {
        raw_alone(arguments, path)?;
        let answer = context.server.ask(Ask::get(path.clone())).await?;
        return context.print(whole(answer.body).await?);
    }
    if arguments.output_watch_events && !arguments.watch && !arguments.watch_only {
        return Err(Failure::message("--output-watch-events option can only be used with --watch or --watch-only"));
    }
    let format = arguments.printing.format(arguments.no_headers)?;
    let wanted = wanted(context, arguments).await?;
    if arguments.watch || arguments.watch_only {
        return watch(context, arguments, &format, &wanted).await;
    }
    if format.is_table() {
        return tables(context, arguments, &format, &wanted).await;
    }
    objects(context, arguments, &format, &wanted).await
}

fn raw_alone(arguments: &Arguments, path: &str) -> Result<()> {
    if !arguments.arguments.is_empty() {
        return Err(Failure::message("arguments may not be passed when --raw is specified"));
    }
    if !path.starts_with('/') && !path.contains("://") {
        return Err(Failure::message(format!(
            "--raw must be a valid URL path: parse {path:?}: invalid URI for request"
        )));
    }
    Ok(())
}

async fn wanted(context: &Context, arguments: &Arguments) -> Result<Vec<Wanted>> {
    if !arguments.files.is_empty() {
        let all = target::names_in_files(context, &arguments.files).await?.into_iter();
        return Ok(all
            .map(|target| Wanted { def: target.def, namespace: target.namespace, name: target.name })
            .collect());
    }
    match target::parse(context, &arguments.arguments).await? {
        Named::Objects(_) if !arguments.selector.is_empty() || !arguments.field_selector.is_empty() => {
            Err(Failure::message("name cannot be provided when a selector is specified"))
        }
        Named::Objects(_) if arguments.all_namespaces => {
            Err(Failure::message("a resource cannot be retrieved by name across all namespaces"))
        }
        Named::Objects(targets) => {
            let wanted =
                |target: target::Target| Wanted { def: target.def, namespace: target.namespace, name: target.name };
            Ok(targets.into_iter().map(wanted).collect())
        }
        Named::Kinds(kinds) if kinds.is_empty() => Err(Failure::Verbatim(NO_TYPE.to_owned())),
        Named::Kinds(kinds) => {
            let wanted = |def: &'static ResourceDef| {
                let all = arguments.all_namespaces || !def.namespaced();
                let namespace = if all { String::new() } else { context.namespace.clone() };
                Wanted { def, namespace, name: String::new() }
            };
            Ok(kinds.into_iter().map(wanted).collect())
        }
    }
}

impl Arguments {
    fn selection(&self) -> Selection {
        Selection { labels: self.selector.clone(), fields: self.field_selector.clone(), page: Page(self.chunk_size) }
    }

    fn shown(&self, format: &Format, wanted: &Wanted, several_kinds: bool) -> Shown {
        Shown {
            wide: matches!(format, Format::Table { wide: true }),
            namespace: self.all_namespaces && wanted.def.namespaced(),
            labels: self.show_labels,
            label_columns: self.label_columns.clone(),
            kind_prefix: (several_kinds || self.show_kind).then(|| kind_name(wanted.def)),
        }
    }

    /// The form of answers that rows are made of.
    fn accept(&self) -> &'static str {
        if self.server_print { TABLE } else { JSON }
    }

    /// Whether a watch may change its table in place: nothing else was asked for.
    fn redraws(&self, format: &Format) -> bool {
        let appends = self.watch_only || self.output_watch_events || !self.sort_by.is_empty();
        format.is_table() && self.server_print && !appends
    }

    fn forgives(&self, failure: &Failure) -> bool {
        self.ignore_not_found && failure.is_not_found()
    }
}

fn several_kinds(wanted: &[Wanted]) -> bool {
    wanted.windows(2).any(|pair| pair[0].def.group_resource() != pair[1].def.group_resource())
}

async fn tables(context: &Context, arguments: &Arguments, format: &Format, wanted: &[Wanted]) -> Result<()> {
    let several = several_kinds(wanted);
    let by = Some(&arguments.sort_by).filter(|by| !by.is_empty());
    let sorted_by = by.map(|by| Template::parse_relaxed(by)).transpose()?;
    let mut failures = Vec::new();
    let mut tables: Vec<(String, Table)> = Vec::new();
    for one in wanted {
        match pages(context, arguments, one).await {
            Ok(pages) => {
                let kind = one.def.group_resource();
                if tables.last().is_none_or(|(last, _)| *last != kind) {
                    tables.push((kind, Table::new(context.is_painted)));
                }
                let shown = arguments.shown(format, one, several);
                if let Some((_, table)) = tables.last_mut() {
                    pages.into_iter().try_for_each(|page| table.add(page, &shown))?;
                }
            }
            Err(failure) if arguments.forgives(&failure) => {}
            Err(failure @ Failure::Api(_)) => failures.push(failure),
            Err(failure) => return Err(failure),
        }
    }
    let shows = |table: &Table| table.rows.iter().any(|row| has(&row.object, &sorted_by));
    let mut tables: Vec<Table> = tables.into_iter().map(|(_, table)| table).filter(shows).collect();
    for (index, table) in tables.iter_mut().enumerate() {
        sort(&mut table.rows, &arguments.sort_by, |row| &row.object)?;
        let text = table.render(!arguments.no_headers, &mut Widths::default());
        context.print(if index > 0 { format!("\n{text}") } else { text })?;
    }
    if tables.is_empty() && failures.is_empty() && !arguments.ignore_not_found {
        let in_one = !arguments.all_namespaces && wanted.iter().all(|one| one.def.namespaced());
        let place = if in_one { format!(" in {} namespace.", context.namespace) } else { String::new() };
        context.remark(format_args!("No resources found{place}"))?;
    }
    Failure::of_all(failures)
}

async fn pages(context: &Context, arguments: &Arguments, wanted: &Wanted) -> Result<Vec<Value>> {
    let extra = if arguments.sort_by.is_empty() { "" } else { "Object" };
    let extra = [("includeObject", extra)];
    let at = wanted.at(&arguments.subresource);
    if wanted.name.is_empty() {
        return context.pages(at, &arguments.selection(), arguments.accept(), &extra).await;
    }
    let path = crate::server::with_query(at.path(), &extra);
    Ok(vec![context.ask(Ask::get(path).accept(arguments.accept())).await?])
}

async fn objects(context: &Context, arguments: &Arguments, format: &Format, wanted: &[Wanted]) -> Result<()> {
    let alone = matches!(wanted, [one] if !one.name.is_empty());
    let mut failures = Vec::new();
    let mut items = Vec::new();
    for one in wanted {
        let at = one.at(&arguments.subresource);
        let found = if one.name.is_empty() {
            context.list(at, &arguments.selection()).await.map(|listed| listed.items)
        } else {
            context.get(at).await.map(|object| vec![object])
        };
        match found {
            Ok(found) => items.extend(found),
            Err(failure) if arguments.forgives(&failure) => {}
            Err(failure @ Failure::Api(_)) if !alone => failures.push(failure),
            Err(failure) => return Err(failure),
        }
    }
    if items.is_empty() && arguments.ignore_not_found {
        return Failure::of_all(failures);
    }
    if !arguments.sort_by.is_empty() && !items.is_empty() {
        let path = Some(Template::parse_relaxed(&arguments.sort_by)?);
        if !items.iter().any(|object| has(object, &path)) {
            let by = arguments.sort_by.trim_start_matches('{').trim_end_matches('}');
            return Err(Failure::message(format!(
                "couldn't find any field with path \"{{{by}}}\" in the list of objects"
            )));
        }
    }
    sort(&mut items, &arguments.sort_by, |object| object)?;
    if !arguments.printing.show_managed_fields && format.hides_managed_fields() {
        items.iter_mut().for_each(without_managed_fields);
    }
    let object = if alone && items.len() == 1 { items.remove(0) } else { list_of(items) };
    context.print(format.object(&object)?)?;
    Failure::of_all(failures)
}

/// Whether an object has what is sorted by, if anything is: upstream shows no table where none of its rows has.
fn has(object: &Value, path: &Option<Template>) -> bool {
    path.as_ref().is_none_or(|path| path.find(object).is_ok_and(|found| !found.is_empty()))
}

fn sort<T>(items: &mut [T], by: &str, object: impl Fn(&T) -> &Value) -> Result<()> {
    if by.is_empty() {
        return Ok(());
    }
    let path = Template::parse_relaxed(by)?;
    let mut failure = None;
    items.sort_by_cached_key(|item| {
        let found = path.find(object(item)).map_err(|error| failure = Some(error)).unwrap_or_default();
        SortKey(found.into_iter().next())
    });
    failure.map_or(Ok(()), Err)
}

/// Objects without the field come first, as upstream has them.
#[derive(PartialEq)]
struct SortKey(Option<Value>);

impl Eq for SortKey {}

impl PartialOrd for SortKey {
    fn partial_cmp(&self, other: &SortKey) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for SortKey {
    fn cmp(&self, other: &SortKey) -> Ordering {
        match (&self.0, &other.0) {
            (Some(Value::Number(a)), Some(Value::Number(b))) => {
                let (a, b) = (a.as_f64().unwrap_or_default(), b.as_f64().unwrap_or_default());
                a.total_cmp(&b)
            }
            (Some(Value::String(a)), Some(Value::String(b))) => match (quantity(a), quantity(b)) {
                (Some(a), Some(b)) => a.total_cmp(&b),
                _ => a.cmp(b),
            },
            (a, b) => a.is_some().cmp(&b.is_some()),
        }
    }
}

/// `10Gi` sorts above `9Gi`; what is no quantity sorts as text.
fn quantity(text: &str) -> Option<f64> {
    api::quantity::Quantity::parse(text).ok().map(api::quantity::Quantity::as_f64)
}

async fn watch(context: &Context, arguments: &Arguments, format: &Format, wanted: &[Wanted]) -> Result<()> {
    let [one] = wanted else {
        return Err(Failure::message("you may only specify a single resource type"));
    };
    if !arguments.sort_by.is_empty() {
        context.remark("warning: --watch requested, --sort-by will be ignored for watch events received")?;
    }
    let selection = if one.name.is_empty() { arguments.selection() } else { Selection::of_name(&one.name) };
    let collection = At::collection(one.def, &one.namespace);
    if context.is_terminal && arguments.redraws(format) {
        if !one.name.is_empty() {
            context.get(one.at("")).await?;
        }
        let source = Source::Objects { def: one.def, namespace: one.namespace.clone(), selection };
        return super::redraw::run(context, source, arguments.shown(format, one, false), !arguments.no_headers).await;
    }
    let accept = if format.is_table() { arguments.accept() } else { JSON };
    let pages = context.pages(collection, &selection, accept, &[]).await?;
    let version = |page: &Value| crate::calls::text(page, "/metadata/resourceVersion").to_owned();
    let resource_version = pages.last().map(version).unwrap_or_default();
    let mut printer = WatchPrinter {
        context,
        arguments,
        format,
        shown: arguments.shown(format, one, false),
        table: Table::new(context.is_painted),
        widths: Widths::default(),
        printed: 0,
    };
    if !one.name.is_empty() {
        // A name that does not exist is an error, though the watch could begin.
        context.get(one.at("")).await?;
    }
    for page in pages {
        printer.page(one.def, page, !arguments.watch_only)?;
    }
    let mut events = context.watch(collection, &selection, &resource_version, accept, &[]).await?;
    while let Some(event) = events.next().await {
        let event = match event {
            // The time that a request may take was all that the user wanted to watch.
            Err(Failure::Unreachable { .. }) if context.has_request_timeout() => return Ok(()),
            event => event?,
        };
        if event.kind != "BOOKMARK" {
            printer.event(&event.kind, event.object)?;
        }
    }
    Ok(())
}

struct WatchPrinter<'a> {
    context: &'a Context,
    arguments: &'a Arguments,
    format: &'a Format,
    shown: Shown,
    table: Table,
    widths: Widths,
    /// How many objects or batches of rows stand already.
    printed: usize,
}

impl WatchPrinter<'_> {
    fn page(&mut self, def: &'static ResourceDef, mut page: Value, show: bool) -> Result<()> {
        if self.format.is_table() {
            self.table.add(page, &self.shown)?;
            if !show {
                self.table.rows.clear();
            }
            return self.rows("ADDED");
        }
        let Value::Array(items) = page["items"].take() else { return Ok(()) };
        for mut item in items.into_iter().filter(|_| show) {
            item["apiVersion"] = def.api_version().into();
            item["kind"] = def.kind.into();
            self.object("ADDED", item)?;
        }
        Ok(())
    }

    fn event(&mut self, kind: &str, object: Value) -> Result<()> {
        if !self.format.is_table() {
            return self.object(kind, object);
        }
        self.table.add(object, &self.shown)?;
        self.rows(kind)
    }

    fn rows(&mut self, kind: &str) -> Result<()> {
        if self.table.rows.is_empty() {
            return Ok(());
        }
        let headers = self.printed == 0 && !self.arguments.no_headers;
        self.printed += 1;
        let mut table = self.table.clone();
        if self.arguments.output_watch_events {
            table.headers.insert(0, "EVENT".to_owned());
            table.rows.iter_mut().for_each(|row| row.cells.insert(0, format!("{kind:<EVENT_WIDTH$}")));
        }
        self.table.rows.clear();
        self.context.print(table.render(headers, &mut self.widths))
    }

    fn object(&mut self, kind: &str, mut object: Value) -> Result<()> {
        if !self.arguments.printing.show_managed_fields && self.format.hides_managed_fields() {
            without_managed_fields(&mut object);
        }
        if self.arguments.output_watch_events {
            object = json!({"type": kind, "object": object});
            if matches!(self.format, Format::Json) {
                return self.context.line(crate::print::compact(&object));
            }
        }
        self.context.document(self.format, &object)
    }
}
