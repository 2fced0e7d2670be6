//! A figure as it is printed: what, how much, on which machine, of which commit.

use anyhow::{Context, Result};
use serde::Serialize;
use std::process::Command;
use std::time::Duration;

pub(crate) struct Reporter {
    only: String,
    machine: String,
    commit: String,
}

#[derive(Serialize)]
struct Line<'a> {
    figure: &'a str,
    value: f64,
    unit: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    p50_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p99_ms: Option<f64>,
    machine: &'a str,
    commit: &'a str,
}

impl Reporter {
    pub(crate) fn new(only: String) -> Result<Reporter> {
        let cores = std::thread::available_parallelism().context("counting cores")?;
        let cpu = std::fs::read_to_string("/proc/cpuinfo").context("reading /proc/cpuinfo")?;
        let model = cpu
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
            .map_or("?", |(_, model)| model);
        let git = Command::new("git").args(["describe", "--always", "--dirty"]).output();
        let commit = git.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
        Ok(Reporter { only, machine: format!("{cores} × {model}"), commit })
    }

    /// Whether a row was asked for.
    pub(crate) fn wants(&self, figure: &str) -> bool {
        figure.contains(&self.only)
    }

    /// Whether a group that has figures of this beginning may have what was asked for.
    pub(crate) fn may_want(&self, beginning: &str) -> bool {
        beginning.contains(&self.only) || self.only.starts_with(beginning)
    }

    pub(crate) fn report(&self, figure: &str, value: f64, unit: &str) {
        self.line(figure, value, unit, None);
    }

    /// With the median and the 99th percentile of `latencies`.
    pub(crate) fn report_with(&self, figure: &str, value: f64, unit: &str, latencies: &mut [Duration]) {
        latencies.sort_unstable();
        let at = |share: f64| {
            let index = ((latencies.len() as f64 - 1.0) * share).round() as usize;
            latencies.get(index).map(|latency| latency.as_secs_f64() * 1e3)
        };
        self.line(figure, value, unit, at(0.5).zip(at(0.99)));
    }

    fn line(&self, figure: &str, value: f64, unit: &str, percentiles: Option<(f64, f64)>) {
        if !self.wants(figure) {
            return;
        }
        let round = |value: f64| (value * 1000.0).round() / 1000.0;
        let line = Line {
            figure,
            value: round(value),
            unit,
            p50_ms: percentiles.map(|(p50, _)| round(p50)),
            p99_ms: percentiles.map(|(_, p99)| round(p99)),
            machine: &self.machine,
            commit: &self.commit,
        };
        println!("{}", serde_json::to_string(&line).expect("a line of numbers and texts encodes"));
    }
}

impl Reporter {
    /// The median as the value, of times that are no requests.
    pub(crate) fn report_times(&self, figure: &str, mut times: Vec<Duration>) {
        let middle = median(times.clone()).as_secs_f64() * 1e3;
        self.report_with(figure, middle, "ms", &mut times);
    }
}

/// The middle of the measured times.
pub(crate) fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
