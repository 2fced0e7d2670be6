//! Flags of commands that print or write objects, and how they say what they did.

use super::apply::{field_validation, with_last_applied};
use crate::calls::{At, name_of};
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::print::{Format, without_managed_fields};
use crate::target::Target;
use api::ResourceDef;
use serde_json::Value;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum DryRun {
    #[default]
    None,
    Client,
    Server,
}

/// In which form objects are printed.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct Printing {
    /// name, yaml, json, jsonpath=…, go-template=…, custom-columns=…
    #[arg(short = 'o', long = "output", default_value = "", hide_default_value = true)]
    pub(crate) format: String,
    /// The template, where --output only says of which kind it is (go-template when it says nothing)
    #[arg(long, default_value = "", hide_default_value = true)]
    template: String,
    /// What a template names and an object lacks is nothing, not an error
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    allow_missing_template_keys: bool,
    /// Who wrote which field too
    #[arg(long)]
    pub(crate) show_managed_fields: bool,
}

impl Printing {
    /// What was asked for; the table where nothing was.
    pub(crate) fn format(&self, no_headers: bool) -> Result<Format> {
        let text = match (self.format.as_str(), self.template.as_str()) {
            (format, "") => format.to_owned(),
            ("", template) => format!("go-template={template}"),
            (format, _) if format.contains('=') => format.to_owned(),
            (format, template) => format!("{format}={template}"),
        };
        let format = Format::parse(&text, no_headers)?;
        Ok(if self.allow_missing_template_keys { format } else { format.strict() })
    }

    /// `None` where the command's own words are wanted.
    pub(crate) fn chosen(&self) -> Result<Option<Format>> {
        if self.format.is_empty() && self.template.is_empty() { Ok(None) } else { self.format(false).map(Some) }
    }

    /// `deployment.apps/web edited`, or the object in the format asked for.
    pub(crate) fn tell(&self, context: &Context, target: &Target, done: &str, object: &Value) -> Result<()> {
        match self.chosen()? {
            None => context.line(format_args!("{target} {done}")),
            Some(Format::Name) => context.line(target),
            Some(format) => self.show(context, &format, object),
        }
    }

    /// One object in the format asked for.
    pub(crate) fn show(&self, context: &Context, format: &Format, object: &Value) -> Result<()> {
        if format.is_table() {
            return Err(Failure::message("a table is not an output of this command"));
        }
        if self.show_managed_fields || !format.hides_managed_fields() {
            return context.document(format, object);
        }
        let mut object = object.clone();
        without_managed_fields(&mut object);
        context.document(format, &object)
    }
}

#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct Output {
    #[command(flatten)]
    pub(crate) printing: Printing,
    /// none, client (print what would be sent) or server (ask without writing)
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "none", default_missing_value = "unchanged", value_parser = dry_run)]
    pub(crate) dry_run: DryRun,
}

impl DryRun {
    /// The query parameter of a write.
    pub(crate) fn query(self) -> (&'static str, &'static str) {
        ("dryRun", if self == DryRun::Server { "All" } else { "" })
    }

    /// What is said behind what was done.
    pub(crate) fn suffix(self) -> &'static str {
        match self {
            DryRun::None => "",
            DryRun::Client => " (dry run)",
            DryRun::Server => " (server dry run)",
        }
    }
}

pub(crate) fn dry_run(text: &str) -> Result<DryRun, String> {
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
        self.dry_run.query()
    }

    pub(crate) fn is_client_dry_run(&self) -> bool {
        self.dry_run == DryRun::Client
    }

    pub(crate) fn format(&self) -> Result<Option<Format>> {
        self.printing.chosen()
    }

    pub(crate) fn suffix(&self) -> &'static str {
        self.dry_run.suffix()
    }

    /// `deployment.apps/web created`, or the object in the format asked for.
    pub(crate) fn tell(&self, context: &Context, target: &Target, done: &str, object: &Value) -> Result<()> {
        self.printing.tell(context, target, &format!("{done}{}", self.suffix()), object)
    }
}

/// As whom fields are managed.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct Manager {
    /// The name under which fields are managed
    #[arg(long, default_value = "", hide_default_value = true)]
    field_manager: String,
}

impl Manager {
    pub(crate) fn query<'a>(&'a self, default: &'a str) -> (&'static str, &'a str) {
        ("fieldManager", if self.field_manager.is_empty() { default } else { &self.field_manager })
    }
}

/// Flags of commands that make one new object.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct Creation {
    #[command(flatten)]
    pub(crate) output: Output,
    #[command(flatten)]
    manager: Manager,
    /// strict, warn or ignore unknown fields
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "strict", default_missing_value = "strict")]
    validate: String,
    /// Keep the object as it is made in an annotation, for a later apply
    #[arg(long)]
    save_config: bool,
}

impl Creation {
    /// A flag that cannot be understood is refused before anything is done.
    pub(crate) fn check(&self) -> Result<()> {
        field_validation(&self.validate).map(|_| ())
    }

    /// Creates `object` in the namespace at hand and says so.
    pub(crate) async fn create(
        &self,
        context: &Context,
        manager: &str,
        def: &'static ResourceDef,
        object: Value,
    ) -> Result<()> {
        self.create_as(context, manager, def, object, "created").await
    }

    /// As `create`, in another word.
    pub(crate) async fn create_as(
        &self,
        context: &Context,
        manager: &str,
        def: &'static ResourceDef,
        object: Value,
        done: &str,
    ) -> Result<()> {
        let (mut target, object) = self.prepare(context, def, object);
        if self.output.is_client_dry_run() {
            return self.output.tell(context, &target, done, &object);
        }
        let created = self.post(context, manager, &target, &object).await?;
        // A generated name is known only now.
        name_of(&created).clone_into(&mut target.name);
        self.output.tell(context, &target, done, &created)
    }

    /// A namespace is written into the object only where the command line names one.
    pub(crate) fn prepare(&self, context: &Context, def: &'static ResourceDef, mut object: Value) -> (Target, Value) {
        let namespace = if def.namespaced() { context.namespace.clone() } else { String::new() };
        if def.namespaced() && context.namespace_is_named {
            object["metadata"]["namespace"] = namespace.clone().into();
        }
        let target = Target { def, namespace, name: name_of(&object).to_owned() };
        (target, if self.save_config { with_last_applied(object) } else { object })
    }

    pub(crate) async fn post(
        &self,
        context: &Context,
        manager: &str,
        target: &Target,
        object: &Value,
    ) -> Result<Value> {
        let query = [
            self.manager.query(manager),
            ("fieldValidation", field_validation(&self.validate)?),
            self.output.dry_run_query(),
        ];
        context.create(At::collection(target.def, &target.namespace), object, &query).await
    }
}

/// The one argument of a command that takes one, as upstream asks for it.
pub(crate) fn exactly_one<'a>(names: &'a [String], command: &str) -> Result<&'a str> {
    match names {
        [name] => Ok(name),
        other => Err(Failure::message(format!(
            "exactly one NAME is required, got {}\nSee 'kubectl {command} -h' for help and examples",
            other.len()
        ))),
    }
}
