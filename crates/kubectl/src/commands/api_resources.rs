//! `api-resources`: the kinds that the server serves.

use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::print::{Widths, grid};
use crate::resources::Served;

#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// Only kinds of this group
    #[arg(long)]
    api_group: Option<String>,
    /// Only kinds with (or without) namespaces
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    namespaced: Option<bool>,
    /// Only kinds with these verbs
    #[arg(long, value_delimiter = ',')]
    verbs: Vec<String>,
    /// Only kinds in these categories
    #[arg(long, value_delimiter = ',')]
    categories: Vec<String>,
    /// What is in memory: discovery is asked once per command in any case
    #[arg(long)]
    cached: bool,
    /// Kinds have no managed fields
    #[arg(long)]
    show_managed_fields: bool,
    #[arg(long)]
    no_headers: bool,
    /// wide or name
    #[arg(short = 'o', long, default_value = "")]
    output: String,
    /// name or kind
    #[arg(long, default_value = "")]
    sort_by: String,
}

pub(crate) async fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    if !matches!(arguments.output.as_str(), "" | "wide" | "name") {
        return Err(Failure::message(format!(
            "--output {:?} is not available in kubectl api-resources",
            arguments.output
        )));
    }
    if !matches!(arguments.sort_by.as_str(), "" | "name" | "kind") {
        return Err(Failure::message("--sort-by accepts only name or kind"));
    }
    let mut served: Vec<&Served> =
        context.resources.served().await?.iter().filter(|served| arguments.wants(served)).collect();
    served.sort_by_key(|served| match arguments.sort_by.as_str() {
        "name" => (String::new(), served.def.plural),
        "kind" => (String::new(), served.def.kind),
        _ => (served.def.group.to_owned(), served.def.plural),
    });
    if arguments.output == "name" {
        return served.iter().try_for_each(|served| context.line(served.def.group_resource()));
    }
    let wide = arguments.output == "wide";
    let mut lines = Vec::new();
    if !arguments.no_headers {
        let headers = ["NAME", "SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND"].map(str::to_owned).into_iter();
        lines.push(headers.chain(["VERBS", "CATEGORIES"].map(str::to_owned).into_iter().filter(|_| wide)).collect());
    }
    lines.extend(served.iter().map(|served| line(served, wide)));
    context.print(grid(&lines, &mut Widths::default()))
}

impl Arguments {
    fn wants(&self, served: &Served) -> bool {
        let def = served.def;
        self.api_group.as_ref().is_none_or(|group| def.group == group)
            && self.namespaced.is_none_or(|namespaced| def.namespaced() == namespaced)
            && self.verbs.iter().all(|verb| served.verbs.contains(verb))
            && self.categories.iter().all(|category| def.categories.contains(&category.as_str()))
    }
}

fn line(served: &Served, wide: bool) -> Vec<String> {
    let def = served.def;
    let mut cells = vec![
        def.plural.to_owned(),
        def.short_names.join(","),
        def.api_version(),
        def.namespaced().to_string(),
        def.kind.to_owned(),
    ];
    if wide {
        cells.extend([served.verbs.join(","), def.categories.join(",")]);
    }
    cells
}
