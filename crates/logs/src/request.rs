//! A search as the parameters of a URL.
//!
//! Invariant: a parameter that is not known is an error: a filter that was misspelt must not show more than was asked for.

use crate::level::Level;
use crate::query::{LabelMatch, Order, Query};
use crate::time::{self, Nanoseconds};

/// What a URL asks for.
#[derive(Clone, Default)]
pub struct Request {
    pub query: Query,
    /// Go on with lines as they are written.
    pub follow: bool,
}

const SECOND: i64 = 1_000_000_000;

impl Request {
    /// `labels` reads a label selector.
    ///
    /// # Errors
    /// What is wrong with which parameter.
    pub fn parse<'a>(
        parameters: impl Iterator<Item = (&'a str, &'a str)>,
        now: Nanoseconds,
        labels: impl Fn(&str) -> Result<LabelMatch, String>,
    ) -> Result<Request, String> {
        let mut request = Request::default();
        for (name, value) in parameters {
            let wrong = || format!("invalid {name}: {value:?}");
            let query = &mut request.query;
            let own = value.to_owned();
            match name {
                "namespace" => drop(query.namespaces.insert(own)),
                "pod" => drop(query.pods.insert(own)),
                "container" => drop(query.containers.insert(own)),
                "workload" => drop(query.workloads.insert(own)),
                "name" => drop(query.names.insert(own)),
                "labelSelector" if value.is_empty() => {}
                "labelSelector" => query.labels = Some(labels(value)?),
                "sinceTime" => query.since = Some(time::parse(value.as_bytes()).ok_or_else(wrong)?),
                "untilTime" => query.until = Some(time::parse(value.as_bytes()).ok_or_else(wrong)?),
                "sinceSeconds" => {
                    let seconds: i64 = value.parse().map_err(|_| wrong())?;
                    query.since = Some(now.saturating_sub(seconds.saturating_mul(SECOND)));
                }
                "grep" => query.patterns.push(own),
                "level" => query.level = Some(Level::of_name(value).ok_or_else(wrong)?),
                "field" => {
                    let (path, wanted) =
                        value.split_once('=').filter(|(path, _)| !path.is_empty()).ok_or_else(wrong)?;
                    query.fields.push((path.to_owned(), wanted.to_owned()));
                }
                "stream" => query.stderr = stream(value).ok_or_else(wrong)?,
                "limit" => query.limit = Some(value.parse().map_err(|_| wrong())?),
                "order" => query.order = order(value).ok_or_else(wrong)?,
                "follow" => request.follow = flag(value).ok_or_else(wrong)?,
                _ => return Err(format!("unknown parameter {name:?}")),
            }
        }
        Ok(request)
    }
}

fn stream(value: &str) -> Option<Option<bool>> {
    match value.to_ascii_lowercase().as_str() {
        "" | "all" => Some(None),
        "stdout" => Some(Some(false)),
        "stderr" => Some(Some(true)),
        _ => None,
    }
}

fn order(value: &str) -> Option<Order> {
    match value {
        "oldest" => Some(Order::OldestFirst),
        "newest" => Some(Order::NewestFirst),
        _ => None,
    }
}

/// Go's idea of a Boolean.
fn flag(value: &str) -> Option<bool> {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "" | "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn parse(pairs: &[(&str, &str)]) -> Result<Request, String> {
        let labels = |text: &str| -> Result<LabelMatch, String> {
            let key = text.to_owned();
            Ok(Arc::new(move |labels| labels.contains_key(&key)))
        };
        Request::parse(pairs.iter().copied(), 100 * SECOND, labels)
    }

    #[test]
    fn parameters_make_a_query() {
        let request = parse(&[
            ("namespace", "a"),
            ("namespace", "b"),
            ("sinceSeconds", "40"),
            ("untilTime", "1970-01-01T00:01:30Z"),
            ("level", "WARNING"),
            ("field", "http.path=/a=b"),
            ("stream", "stderr"),
            ("order", "newest"),
            ("limit", "7"),
            ("labelSelector", "app"),
            ("follow", "true"),
        ])
        .unwrap();
        let query = &request.query;
        assert!(request.follow && query.namespaces.len() == 2 && query.order == Order::NewestFirst);
        assert_eq!((query.since, query.until), (Some(60 * SECOND), Some(90 * SECOND)));
        assert_eq!((query.level, query.stderr, query.limit), (Some(Level::Warn), Some(true), Some(7)));
        assert_eq!(query.fields, [("http.path".to_owned(), "/a=b".to_owned())]);
        let labels = query.labels.clone().unwrap();
        assert!(labels(&[("app".to_owned(), String::new())].into()) && !labels(&Default::default()));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let check = |name: &str, value: &str, message: &str| {
            assert_eq!(parse(&[(name, value)]).err().as_deref(), Some(message));
        };
        check("namespaces", "a", "unknown parameter \"namespaces\"");
        check("level", "loud", "invalid level: \"loud\"");
        check("sinceTime", "yesterday", "invalid sinceTime: \"yesterday\"");
        check("field", "=x", "invalid field: \"=x\"");
        check("follow", "yes", "invalid follow: \"yes\"");
    }
}
