//! `logs`: what containers wrote, of a pod, a workload's pods, or a selection of pods.

use crate::calls::{At, Selection, name_of, namespace_of};
use crate::context::Context;
use crate::duration;
use crate::failure::{Failure, Result};
use crate::server::{Ask, Chunks, lines, resource_path, with_query};
use crate::workload;
use api::Kind;
use futures::StreamExt;
use futures::stream::select_all;
use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;

#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// POD or TYPE/NAME, and a container's name
    arguments: Vec<String>,
    /// Go on as the container writes
    #[arg(short = 'f', long)]
    follow: bool,
    #[arg(short = 'c', long, default_value = "")]
    container: String,
    #[arg(long)]
    all_containers: bool,
    /// Of every pod that a workload has
    #[arg(long)]
    all_pods: bool,
    /// Of the container before its last restart
    #[arg(short = 'p', long)]
    previous: bool,
    /// The last lines only; -1 is all
    #[arg(long, allow_hyphen_values = true)]
    tail: Option<i64>,
    /// Lines younger than so long: 5s, 2m, 3h
    #[arg(long, default_value = "")]
    since: String,
    /// Lines after this time (RFC 3339)
    #[arg(long, default_value = "")]
    since_time: String,
    /// When each line was written
    #[arg(long)]
    timestamps: bool,
    /// Where each line comes from
    #[arg(long)]
    prefix: bool,
    /// No more bytes than so many
    #[arg(long, default_value = "")]
    limit_bytes: String,
    /// A label query for pods
    #[arg(short = 'l', long, default_value = "")]
    selector: String,
    /// How many logs to follow at once
    #[arg(long, default_value_t = 5)]
    max_log_requests: usize,
    /// How long to wait for a workload's first pod
    #[arg(long, default_value = "20s")]
    pod_running_timeout: String,
    /// The server need not verify the node that the log is read from
    #[arg(long)]
    insecure_skip_tls_verify_backend: bool,
    /// Go on when a log cannot be read
    #[arg(long)]
    ignore_errors: bool,
}

/// One container's log.
struct Source {
    namespace: String,
    pod: String,
    container: String,
}

/// Lines of a selection's pods when none are asked for.
const SELECTED_TAIL: i64 = 10;

pub(crate) async fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    let query = query(arguments)?;
    let sources = sources(context, arguments).await?;
    if arguments.follow && sources.len() > 1 {
        let (wanted, allowed) = (sources.len(), arguments.max_log_requests);
        if wanted > allowed {
            return Err(Failure::message(format!(
                "you are attempting to follow {wanted} log streams, but maximum allowed concurrency is {allowed}, use \
                 --max-log-requests to increase the limit"
            )));
        }
        return follow_all(context, arguments, &query, &sources).await;
    }
    for source in &sources {
        match open(context, arguments, &query, source).await {
            Ok(log) => copy(context, log).await?,
            Err(failure) if arguments.ignore_errors => context.remark(format_args!("error: {failure}"))?,
            Err(failure) => return Err(failure),
        }
    }
    Ok(())
}

fn query(arguments: &Arguments) -> Result<Vec<(&'static str, String)>> {
    let mut query = Vec::new();
    for (name, set) in [
        ("follow", arguments.follow),
        ("previous", arguments.previous),
        ("timestamps", arguments.timestamps),
        ("insecureSkipTLSVerifyBackend", arguments.insecure_skip_tls_verify_backend),
    ] {
        if set {
            query.push((name, "true".to_owned()));
        }
    }
    if !arguments.since.is_empty() && !arguments.since_time.is_empty() {
        return Err(Failure::message("at most one of `sinceTime` or `sinceSeconds` may be specified"));
    }
    if let Some(since) = Some(&arguments.since).filter(|since| !since.is_empty()) {
        let since = duration::parse(since)?.ok_or_else(|| Failure::message("--since must be greater than 0"))?;
        query.push(("sinceSeconds", since.as_secs_f64().ceil().to_string()));
    }
    query.push(("sinceTime", arguments.since_time.clone()));
    query.push(("limitBytes", arguments.limit_bytes.clone()));
    let tail = arguments.tail.or((!arguments.selector.is_empty()).then_some(SELECTED_TAIL));
    match tail {
        Some(lines) if lines < -1 => return Err(Failure::message("--tail must be greater than or equal to -1")),
        Some(lines) if lines >= 0 => query.push(("tailLines", lines.to_string())),
        _ => {}
    }
    Ok(query)
}

async fn sources(context: &Context, arguments: &Arguments) -> Result<Vec<Source>> {
    let container = match arguments.arguments.as_slice() {
        [_, container] if arguments.container.is_empty() => container,
        [] | [_] => &arguments.container,
        _ => return Err(Failure::message("expected 'logs [-f] [-p] (POD | TYPE/NAME) [-c CONTAINER]'")),
    };
    let pods = pods(context, arguments).await?;
    let mut sources = Vec::new();
    for pod in &pods {
        let names = if arguments.all_containers {
            workload::containers(pod, true)
        } else if !container.is_empty() {
            vec![workload::known_container(pod, container)?]
        } else {
            vec![workload::default_container(context, pod)?]
        };
        let (namespace, pod) = (namespace_of(pod), name_of(pod));
        let source = |container| Source { namespace: namespace.to_owned(), pod: pod.to_owned(), container };
        sources.extend(names.into_iter().map(source));
    }
    Ok(sources)
}

async fn pods(context: &Context, arguments: &Arguments) -> Result<Vec<Value>> {
    let Some(argument) = arguments.arguments.first() else {
        if arguments.selector.is_empty() {
            return Err(Failure::message(
                "expected 'logs [-f] [-p] (POD | TYPE/NAME) [-c CONTAINER]'.\nPOD or TYPE/NAME is a required argument for the logs command\nSee 'kubectl logs -h' for help and examples",
            ));
        }
        let selection = Selection { labels: arguments.selector.clone(), ..Selection::default() };
        let pods = context.list(At::collection(&Pod::DEF, &context.namespace), &selection).await?.items;
        if pods.is_empty() {
            context.remark(format_args!("No resources found in {} namespace.", context.namespace))?;
        }
        return Ok(pods);
    };
    if !arguments.selector.is_empty() {
        return Err(Failure::message("only a selector (-l) or a POD name is allowed"));
    }
    let target = workload::target(context, argument).await?;
    let patience = duration::parse(&arguments.pod_running_timeout)?.unwrap_or_default();
    let mut pods = workload::pods(context, &target, patience).await.map_err(|failure| match failure {
        Failure::Api(status) if status.reason == api::Reason::NotFound => {
            let namespace = &context.namespace;
            Failure::message(format!("error from server (NotFound): {} in namespace {namespace:?}", status.message))
        }
        other => other,
    })?;
    if pods.len() > 1 && !arguments.all_pods {
        context.remark(format_args!("Found {} pods, using pod/{}", pods.len(), name_of(&pods[0])))?;
        pods.truncate(1);
    }
    Ok(pods)
}

/// The log's lines, each with its prefix where one is wanted.
async fn open(
    context: &Context,
    arguments: &Arguments,
    query: &[(&'static str, String)],
    source: &Source,
) -> Result<Chunks> {
    let mut query: Vec<(&str, &str)> = query.iter().map(|(name, value)| (*name, value.as_str())).collect();
    query.push(("container", &source.container));
    let path = resource_path(&Pod::DEF, &source.namespace, &source.pod, "log");
    let answer = context.server.ask(Ask::get(with_query(path, &query)).accept("*/*")).await?;
    context.warn(&answer.warnings)?;
    if !arguments.prefix && !arguments.all_pods {
        return Ok(answer.body);
    }
    let prefix = format!("[pod/{}/{}] ", source.pod, source.container);
    let line = move |line: Result<bytes::Bytes>| line.map(|line| [prefix.as_bytes(), &line].concat().into());
    Ok(lines(answer.body).map(line).boxed())
}

async fn copy(context: &Context, mut log: Chunks) -> Result<()> {
    while let Some(chunk) = log.next().await {
        context.print(chunk?)?;
    }
    Ok(())
}

/// Lines are kept whole, in the order in which they arrive.
async fn follow_all(
    context: &Context,
    arguments: &Arguments,
    query: &[(&'static str, String)],
    sources: &[Source],
) -> Result<()> {
    let mut logs = Vec::new();
    for source in sources {
        match open(context, arguments, query, source).await {
            Ok(log) => logs.push(lines(log)),
            Err(failure) if arguments.ignore_errors => context.remark(format_args!("error: {failure}"))?,
            Err(failure) => return Err(failure),
        }
    }
    let mut all = select_all(logs);
    while let Some(line) = all.next().await {
        match line {
            Ok(line) => context.print(line)?,
            Err(failure) if arguments.ignore_errors => context.remark(format_args!("error: {failure}"))?,
            Err(failure) => return Err(failure),
        }
    }
    Ok(())
}
