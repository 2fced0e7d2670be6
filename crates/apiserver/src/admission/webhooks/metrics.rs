//! How webhooks were asked, in upstream's names.
//!
//! Bound: one series per webhook, operation and outcome, that of `Series` in all; codes above 600 are counted as 600.

use super::configurations::Webhook;
use exposition::{Family, Series};
use registry::Operation;
use std::time::Duration;

const CODE_MAX: u16 = 600;

static DURATIONS: Family = Family::histogram(
    "apiserver_admission_webhook_admission_duration_seconds",
    "How long webhooks took, in seconds.",
    &[0.005, 0.025, 0.1, 0.5, 1.0, 2.5, 10.0, 25.0],
);
static REQUESTS: Family =
    Family::counter("apiserver_admission_webhook_request_total", "Webhooks asked, by what they answered.");
static REJECTIONS: Family =
    Family::counter("apiserver_admission_webhook_rejection_count", "Writes refused because of webhooks.");
static FAILED_OPEN: Family = Family::counter(
    "apiserver_admission_webhook_fail_open_count",
    "Writes that went on though a webhook was not heard.",
);

/// Which webhook is asked what.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Question {
    name: String,
    kind: &'static str,
    operation: &'static str,
}

impl Question {
    pub(super) fn of(hook: &Webhook, may_patch: bool, operation: Operation) -> Question {
        let kind = if may_patch { "admit" } else { "validating" };
        Question { name: hook.name.clone(), kind, operation: operation.name() }
    }

    fn labels(&self) -> [(&str, &str); 3] {
        [("name", &self.name), ("operation", self.operation), ("type", self.kind)]
    }
}

/// Whose the refusal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rejection {
    /// The webhook's.
    Own,
    /// Of the failure policy.
    Unheard,
    Server,
}

impl Rejection {
    fn name(self) -> &'static str {
        match self {
            Rejection::Own => "no_error",
            Rejection::Unheard => "calling_webhook_error",
            Rejection::Server => "apiserver_internal_error",
        }
    }
}

#[derive(Default)]
pub(crate) struct Metrics {
    series: Series,
}

impl Metrics {
    /// `failure` is what went wrong, with the code of the answer; `ignored` when the write goes on all the same.
    pub(super) fn asked(&self, question: &Question, took: Duration, failure: Option<(Rejection, u16)>, ignored: bool) {
        let is_rejected = failure.is_some() && !ignored;
        let code = failure.map_or(200, |(_, code)| code.min(CODE_MAX)).to_string();
        let rejected = ("rejected", if is_rejected { "true" } else { "false" });
        let [name, operation, kind] = question.labels();
        self.series.took(&DURATIONS, &[name, operation, kind, rejected], took);
        self.series.count(&REQUESTS, &[("code", &code), name, operation, kind, rejected]);
        match failure {
            Some((rejection, _)) if is_rejected => {
                let error = ("error_type", rejection.name());
                self.series.count(&REJECTIONS, &[error, name, operation, kind, ("rejection_code", &code)]);
            }
            Some(_) => self.series.count(&FAILED_OPEN, &[name, kind]),
            None => {}
        }
    }

    /// Appends everything, as text.
    pub(crate) fn write(&self, out: &mut String) -> std::fmt::Result {
        self.series.write(&[&DURATIONS, &REQUESTS, &REJECTIONS, &FAILED_OPEN], out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_and_failures_that_are_ignored_are_told_apart() {
        let metrics = Metrics::default();
        let question = Question { name: "w.a.b".to_owned(), kind: "admit", operation: "CREATE" };
        metrics.asked(&question, Duration::from_millis(20), None, false);
        metrics.asked(&question, Duration::from_secs(11), Some((Rejection::Unheard, 503)), true);
        metrics.asked(&question, Duration::from_secs(11), Some((Rejection::Own, 900)), false);
        let mut text = String::new();
        metrics.write(&mut text).unwrap();
        let own = "name=\"w.a.b\",operation=\"CREATE\",type=\"admit\"";
        for line in [
            format!("admission_duration_seconds_bucket{{{own},rejected=\"false\",le=\"0.025\"}} 1\n"),
            format!("admission_duration_seconds_count{{{own},rejected=\"false\"}} 2\n"),
            format!("request_total{{code=\"503\",{own},rejected=\"false\"}} 1\n"),
            format!("rejection_count{{error_type=\"no_error\",{own},rejection_code=\"600\"}} 1\n"),
            "fail_open_count{name=\"w.a.b\",type=\"admit\"} 1\n".to_owned(),
        ] {
            assert!(text.contains(&line), "{line} in {text}");
        }
        assert!(!text.contains("calling_webhook_error"), "{text}");
    }
}
