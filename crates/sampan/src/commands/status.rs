//! `status`: what runs in a data directory.

use crate::cli::StatusArgs;
use crate::instance::Status;
use anyhow::{Context, Result, bail};

pub(crate) fn status(args: &StatusArgs) -> Result<()> {
    let data_dir = &args.data_dir.data_dir;
    let Some(status) = Status::of(data_dir)? else { bail!("nothing runs in {}", data_dir.display()) };
    if args.output == "json" {
        println!("{}", serde_json::to_string_pretty(&status).context("encoding the status")?);
        return Ok(());
    }
    println!("sampan {} is {}", status.version, if status.ready { "ready" } else { "not ready" });
    println!("address     {}", status.address);
    println!("supervisor  pid {}", status.pid);
    for (name, process) in [("server", &status.server), ("node", &status.node)] {
        if let Some(process) = process {
            let ready = if process.ready { "" } else { ", not ready" };
            println!("{name:<11} pid {}, restarted {} times{ready}", process.pid, process.restarts);
        }
    }
    Ok(())
}
