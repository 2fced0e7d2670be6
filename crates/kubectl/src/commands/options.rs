//! `options`: the flags of every command.

use crate::failure::{Failure, Result};
use std::io::Write;

#[derive(clap::Args)]
pub(crate) struct Arguments {}

pub(crate) fn run() -> Result<()> {
    let definition = crate::cli::definition();
    let mut out = "The following options can be passed to any command:\n".to_owned();
    let mut flags: Vec<&clap::Arg> =
        definition.get_arguments().filter(|flag| flag.get_long().is_some_and(|long| long != "help")).collect();
    flags.sort_by_key(|flag| flag.get_long());
    for flag in flags {
        let short = flag.get_short().map(|short| format!("-{short}, ")).unwrap_or_default();
        let default = flag.get_default_values().first().map(|value| value.to_string_lossy()).unwrap_or_default();
        let help = flag.get_help().map(ToString::to_string).unwrap_or_default();
        let long = flag.get_long().unwrap_or_default();
        out.push_str(&format!("\n    {short}--{long}={default:?}:\n\t{help}\n"));
    }
    std::io::stdout().write_all(out.as_bytes()).map_err(|_| Failure::Closed)
}
