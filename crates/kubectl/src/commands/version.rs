//! `version`: the client's and the server's.

use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::kubeconfig::Kubeconfig;
use crate::print::{pretty, yaml};
use crate::server::Ask;
use serde_json::{Value, json};
use std::io::Write;

#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// Without asking the server
    #[arg(long)]
    client: bool,
    /// json or yaml
    #[arg(short = 'o', long, default_value = "")]
    output: String,
}

/// The client's own version needs no server; whether that was all that was asked for.
pub(crate) fn without_server(_: &Kubeconfig, arguments: &Arguments) -> Result<bool> {
    if arguments.client {
        let text = arguments.text(&client_version())?;
        std::io::stdout().write_all(text.as_bytes()).map_err(|_| Failure::Closed)?;
    }
    Ok(arguments.client)
}

pub(crate) async fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    let mut versions = client_version();
    versions["serverVersion"] = context.ask(Ask::get("/version".to_owned())).await?;
    context.print(arguments.text(&versions)?)
}

fn client_version() -> Value {
    let (major, minor, git_version) = api::KUBERNETES_VERSION;
    json!({"clientVersion": {
        "major": major, "minor": minor, "gitVersion": git_version, "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
    }})
}

impl Arguments {
    fn text(&self, versions: &Value) -> Result<String> {
        match self.output.as_str() {
            "json" => Ok(pretty(versions) + "\n"),
            "yaml" => Ok(yaml(versions)),
            "" => {
                let of = |side: &str| versions.pointer(&format!("/{side}/gitVersion")).and_then(Value::as_str);
                let line = |(title, side)| of(side).map(|version| format!("{title} Version: {version}\n"));
                Ok([("Client", "clientVersion"), ("Server", "serverVersion")].into_iter().filter_map(line).collect())
            }
            _ => Err(Failure::message("--output must be 'yaml' or 'json'")),
        }
    }
}
