//! A server that answers what a script says, and a way to run a command line against it.
//!
//! Invariant: a request that is not the script's next fails the test, and so does a script that was not used up.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails where it stands")]

use super::{Answer, Ask, Server};
use crate::context::Context;
use crate::failure::{Failure, Result};
use api::Status;
use async_trait::async_trait;
use bytes::Bytes;
use client::{Config, Credentials};
use futures::StreamExt;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::io::Write;
use std::sync::{Arc, Mutex};

/// One request, as `GET /path?query`, and what it is answered with.
pub(crate) struct Exchange {
    request: &'static str,
    /// Where it matters what is sent.
    body: Option<Value>,
    answer: Result<Vec<Value>>,
}

/// Answered with one document.
pub(crate) fn on(request: &'static str, answer: Value) -> Exchange {
    Exchange { request, body: None, answer: Ok(vec![answer]) }
}

/// As `on`, of a request that has to send this.
pub(crate) fn on_body(request: &'static str, body: Value, answer: Value) -> Exchange {
    Exchange { body: Some(body), ..on(request, answer) }
}

/// Answered with a line each, as watches are.
pub(crate) fn on_watch(request: &'static str, events: &[(&str, &Value)]) -> Exchange {
    let events = events.iter().map(|(kind, object)| json!({"type": kind, "object": object}));
    Exchange { request, body: None, answer: Ok(events.collect()) }
}

pub(crate) fn refused(request: &'static str, status: Status) -> Exchange {
    Exchange { request, body: None, answer: Err(status.into()) }
}

struct Script {
    exchanges: Mutex<VecDeque<Exchange>>,
}

#[async_trait]
impl Server for Script {
    async fn ask(&self, ask: Ask) -> Result<Answer> {
        let next = self.exchanges.lock().unwrap().pop_front();
        let request = format!("{} {}", ask.method, ask.path);
        let exchange = next.unwrap_or_else(|| panic!("an unexpected request: {request}"));
        assert_eq!(request, exchange.request);
        if let Some(body) = exchange.body {
            assert_eq!(serde_json::from_slice::<Value>(&ask.body).unwrap(), body, "{request}");
        }
        let lines = exchange.answer?.into_iter().map(|line| Ok(Bytes::from(format!("{line}\n"))));
        Ok(Answer { warnings: Vec::new(), body: futures::stream::iter(lines.collect::<Vec<_>>()).boxed() })
    }
}

#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Kept {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

fn config() -> Config {
    Config {
        server: "https://test".to_owned(),
        ca_pem: String::new(),
        server_name: None,
        credentials: Credentials::Anonymous,
        namespace: "n".to_owned(),
        user_agent: String::new(),
    }
}

/// A context whose server is never asked, and what it has been told on standard error.
pub(crate) fn silent() -> (Context, impl Fn() -> String) {
    let (server, err) = (Arc::new(Script { exchanges: Mutex::default() }), Kept::default());
    let context = Context::new(server, super::Connection::new(config()), None)
        .speaking_to(Box::new(Kept::default()), Box::new(err.clone()));
    (context, move || err.text())
}

/// Runs a command line in namespace `n`: standard output, and standard error with the failure's report.
pub(crate) async fn run(line: &str, script: Vec<Exchange>) -> (String, String) {
    let server = Arc::new(Script { exchanges: Mutex::new(script.into()) });
    let (out, err) = (Kept::default(), Kept::default());
    let context = Context::new(server.clone(), super::Connection::new(config()), None)
        .speaking_to(Box::new(out.clone()), Box::new(err.clone()));
    let words: Vec<&str> = line.split_whitespace().collect();
    let row = crate::commands::command(words[0]).unwrap();
    let matches = crate::cli::with_go_bools(row.definition()).get_matches_from(words);
    let outcome = (row.served.unwrap())(&context, &matches).await;
    let report = outcome.err().map(|failure: Failure| failure.report()).unwrap_or_default();
    let left: Vec<&str> = server.exchanges.lock().unwrap().iter().map(|exchange| exchange.request).collect();
    assert_eq!(left, Vec::<&str>::new(), "never requested; the command ended with {report:?}");
    (out.text(), err.text() + &report)
}
