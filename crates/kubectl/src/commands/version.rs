//! `version`: the client's and the server's.

use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::print::{pretty, yaml};
use crate::server::Ask;
use serde_json::json;

#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// Without asking the server
    #[arg(long)]
    client: bool,
    /// json or yaml
    #[arg(short = 'o', long, default_value = "")]
    output: String,
}

pub(crate) async fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    let (major, minor, git_version) = api::KUBERNETES_VERSION;
    let mut versions = json!({"clientVersion": {
        "major": major, "minor": minor, "gitVersion": git_version, "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
    }});
    if !arguments.client {
        versions["serverVersion"] = context.ask(Ask::get("/version".to_owned())).await?;
    }
    match arguments.output.as_str() {
        "json" => context.line(pretty(&versions)),
        "yaml" => context.print(yaml(&versions)),
        "" => {
            context.line(format_args!("Client Version: {git_version}"))?;
            match versions.pointer("/serverVersion/gitVersion").and_then(|version| version.as_str()) {
                Some(server) => context.line(format_args!("Server Version: {server}")),
                None => Ok(()),
            }
        }
        _ => Err(Failure::message("--output must be 'yaml' or 'json'")),
    }
}
