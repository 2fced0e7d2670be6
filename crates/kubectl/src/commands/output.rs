//! Flags of commands that write, and how they say what they did.

use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::print::{Format, without_managed_fields};
use crate::target::Target;
use serde_json::Value;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DryRun {
    None,
    Client,
    Server,
}

#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Output {
    /// name, yaml, json, jsonpath=…
    #[arg(short = 'o', long = "output", default_value = "")]
    pub(crate) format: String,
    /// none, client (print what would be sent) or server (ask without writing)
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "none", default_missing_value = "unchanged", value_parser = dry_run)]
    pub(crate) dry_run: DryRun,
    #[arg(long)]
    pub(crate) show_managed_fields: bool,
}

fn dry_run(text: &str) -> Result<DryRun, String> {
    match text {
        "none" | "false" => Ok(DryRun::None),
        "client" | "unchanged" | "true" => Ok(DryRun::Client),
        "server" => Ok(DryRun::Server),
        other => Err(format!("Invalid dry-run value ({other}). Must be \"none\", \"server\", or \"client\".")),
    }
}

impl Output {
    /// The query parameter of a write.
    pub(crate) fn dry_run_query(&self) -> (&'static str, &'static str) {
        ("dryRun", if self.dry_run == DryRun::Server { "All" } else { "" })
    }

    pub(crate) fn is_client_dry_run(&self) -> bool {
        self.dry_run == DryRun::Client
    }

    pub(crate) fn format(&self) -> Result<Option<Format>> {
        match self.format.as_str() {
            "" => Ok(None),
            text => Format::parse(text, false).map(Some),
        }
    }

    fn suffix(&self) -> &'static str {
        match self.dry_run {
            DryRun::None => "",
            DryRun::Client => " (dry run)",
            DryRun::Server => " (server dry run)",
        }
    }

    /// `deployment.apps/web created`, or the object in the format asked for.
    pub(crate) fn tell(&self, context: &Context, target: &Target, done: &str, object: &Value) -> Result<()> {
        match self.format()? {
            None => context.line(format_args!("{target} {done}{}", self.suffix())),
            Some(Format::Name) => context.line(target),
            Some(format) if format.is_table() => Err(Failure::message("a table is not an output of this command")),
            Some(format) => {
                let mut object = object.clone();
                if !self.show_managed_fields && format.hides_managed_fields() {
                    without_managed_fields(&mut object);
                }
                context.document(&format, &object)
            }
        }
    }
}
