//! `logs`: searches and follows the logs of the whole cluster, also of pods that are gone.

mod print;

use crate::cli::{Color, LogsArgs};
use anyhow::{Context, Result, bail};
use client::{Config, Remote};
use futures::StreamExt;
use jiff::{SignedDuration, Timestamp};
use print::{Printer, Style};
use std::io::{self, IsTerminal};
use std::path::PathBuf;

const PATH: &str = "/insight/logs";
/// A line of a megabyte, all of it escaped.
const LINE_BYTES_MAX: usize = 16 << 20;

pub(crate) fn logs(args: &LogsArgs) -> Result<()> {
    let config = Config::from_kubeconfig(&kubeconfig(args), args.context.as_deref())?;
    let query = query(args, &config.namespace, Timestamp::now())?;
    let stdout = io::stdout();
    let colors = match args.color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => stdout.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
    };
    let many = args.all_namespaces || args.namespace.len() > 1;
    let style = Style { output: args.output, colors, timestamps: args.timestamps, namespaces: many };
    let mut printer = Printer::new(style, stdout.lock(), io::stderr());
    match super::small_runtime()?.block_on(tell(config, &query, &mut printer)) {
        // Who reads has had enough, as `head` does.
        Err(error) if is_broken_pipe(&error) => Ok(()),
        done => done,
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// The file that is named, the environment's, else the admin's of this machine's cluster.
fn kubeconfig(args: &LogsArgs) -> PathBuf {
    let named = args.kubeconfig.clone().or_else(|| std::env::var_os("KUBECONFIG").map(PathBuf::from));
    named.filter(|file| !file.as_os_str().is_empty()).unwrap_or_else(|| args.data_dir.data_dir.join("admin.kubeconfig"))
}

/// What the server is asked.
fn query(args: &LogsArgs, namespace: &str, now: Timestamp) -> Result<Vec<(&'static str, String)>> {
    let mut query = Vec::new();
    let own = match (args.all_namespaces, args.namespace.is_empty()) {
        (true, _) => Vec::new(),
        (false, true) => vec![namespace.to_owned()],
        (false, false) => args.namespace.clone(),
    };
    let lists = [
        ("namespace", &own),
        ("name", &args.names),
        ("container", &args.container),
        ("node", &args.node),
        ("grep", &args.grep),
        ("field", &args.field),
    ];
    for (name, values) in lists {
        query.extend(values.iter().map(|value| (name, value.clone())));
    }
    let since = match args.since {
        Some(since) => Some(before(now, since)?),
        None => args.since_time,
    };
    let until = args.until.as_deref().map(|text| when(text, now)).transpose()?;
    let single = [
        ("labelSelector", args.selector.clone()),
        ("level", args.level.clone()),
        ("stream", args.stream.clone()),
        ("sinceTime", since.map(|time| time.to_string())),
        ("untilTime", until.map(|time| time.to_string())),
        ("tail", args.tail.map(|lines| lines.to_string())),
        ("limit", args.limit.map(|lines| lines.to_string())),
        ("follow", args.follow.then(|| "true".to_owned())),
    ];
    query.extend(single.into_iter().filter_map(|(name, value)| Some((name, value?))));
    Ok(query)
}

fn before(now: Timestamp, duration: SignedDuration) -> Result<Timestamp> {
    now.checked_sub(duration).context("that is too long ago")
}

fn when(text: &str, now: Timestamp) -> Result<Timestamp> {
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    let Ok(duration) = text.parse() else { bail!("{text:?} is neither a duration, as 10m, nor a time") };
    before(now, duration)
}

async fn tell<O: io::Write, E: io::Write>(
    config: Config,
    query: &[(&'static str, String)],
    printer: &mut Printer<O, E>,
) -> Result<()> {
    let remote = Remote::new(config)?;
    let pairs = query.iter().map(|(name, value)| (*name, value.as_str()));
    let mut body = remote.stream_path(PATH, pairs).await.context("asking for logs")?;
    let mut pending = Vec::new();
    while let Some(chunk) = body.next().await {
        pending.extend_from_slice(&chunk?);
        let Some(end) = pending.iter().rposition(|byte| *byte == b'\n') else {
            if pending.len() > LINE_BYTES_MAX {
                bail!("the server's lines do not end");
            }
            continue;
        };
        for line in pending[..end].split(|byte| *byte == b'\n') {
            printer.line(line)?;
        }
        printer.flush()?;
        pending.drain(..=end);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: LogsArgs,
    }

    fn asked(arguments: &[&str]) -> String {
        let line = Line::parse_from([&["logs"], arguments].concat());
        let now = "2026-01-02T03:00:00Z".parse().unwrap();
        let query = query(&line.args, "mine", now).unwrap();
        let pairs: Vec<String> = query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        pairs.join("&")
    }

    #[test]
    fn flags_become_the_question() {
        assert_eq!(asked(&[]), "namespace=mine");
        assert_eq!(asked(&["-A", "-f", "--tail", "5"]), "tail=5&follow=true");
        assert_eq!(
            asked(&["deploy/web", "db-0", "-n", "a", "-n", "b", "-c", "main", "--grep", "x|y", "--field", "a.b=c"]),
            "namespace=a&namespace=b&name=deploy/web&name=db-0&container=main&grep=x|y&field=a.b=c"
        );
        assert_eq!(
            asked(&["-l", "app=web", "--level", "warn", "--since", "1h30m", "--until", "10m"]),
            "namespace=mine&labelSelector=app=web&level=warn&sinceTime=2026-01-02T01:30:00Z\
             &untilTime=2026-01-02T02:50:00Z"
        );
        assert!(when("yesterday", Timestamp::UNIX_EPOCH).is_err());
    }
}
