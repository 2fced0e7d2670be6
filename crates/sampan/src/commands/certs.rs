//! `certs`: when the certificates of the cluster's server end, and new ones before that.

use crate::cli::CertsCommand;
use crate::instance::Status;
use anyhow::{Context, Result, bail};
use apiserver::pki::{Kept, forget_leaves, kept};
use std::path::Path;

const DAY_SECONDS: i64 = 24 * 60 * 60;

pub(crate) fn certs(command: &CertsCommand) -> Result<()> {
    match command {
        CertsCommand::Show { data_dir } => show(&data_dir.data_dir),
        CertsCommand::Rotate { data_dir } => rotate(&data_dir.data_dir),
    }
}

/// All that the directory has; one that has none is no server's.
fn all(data_dir: &Path) -> Result<Vec<Kept>> {
    let all = kept(&data_dir.join("pki"))?;
    if all.is_empty() {
        bail!("{} has no certificates: no server has run in it", data_dir.display());
    }
    Ok(all)
}

fn show(data_dir: &Path) -> Result<()> {
    let now = jiff::Timestamp::now().as_second();
    print!("{}", table(&all(data_dir)?, now)?);
    Ok(())
}

fn table(all: &[Kept], now: i64) -> Result<String> {
    let mut text = format!("{:<26} {:<21} {:<10} {}\n", "CERTIFICATE", "EXPIRES", "LEFT", "AUTHORITY");
    for own in all {
        let expires = jiff::Timestamp::from_second(own.not_after).context("reading a certificate's end")?.to_string();
        let left = match own.not_after - now {
            left if left <= 0 => "expired".to_owned(),
            left => format!("{}d", left / DAY_SECONDS),
        };
        let authority = if own.is_authority { "yes" } else { "no" };
        text.push_str(&format!("{:<26} {expires:<21} {left:<10} {authority}\n", own.name));
    }
    Ok(text)
}

fn rotate(data_dir: &Path) -> Result<()> {
    all(data_dir)?;
    let runs = Status::of(data_dir)?.is_some();
    let forgotten = forget_leaves(&data_dir.join("pki"))?;
    let names = if forgotten.is_empty() { "nothing".to_owned() } else { forgotten.join(", ") };
    let when = if runs { "within seconds, and connections go on" } else { "when the server starts" };
    println!("to be made anew {when}: {names}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_says_how_long_each_holds() {
        let kept = |name, is_authority, not_after| Kept { name, is_authority, not_after };
        let all = [kept("server-ca", true, 10 * DAY_SECONDS), kept("admin", false, 3)];
        assert_eq!(
            table(&all, 5).unwrap(),
            "CERTIFICATE                EXPIRES               LEFT       AUTHORITY\n\
             server-ca                  1970-01-11T00:00:00Z  9d         yes\n\
             admin                      1970-01-01T00:00:03Z  expired    no\n"
        );
    }
}
