//! `service`: the systemd unit of a data directory.
//!
//! The unit runs `resume`: what the directory ran, with the flags it had. `KillMode=process`, because containers are
//! not the service's to end.

use crate::cli::{DataDir, Flags, ServiceCommand, UnitArgs, UpArgs};
use crate::files;
use crate::instance::{self, Status};
use crate::settings::{Roles, Settings};
use anyhow::{Context, Result, bail};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) fn service(command: &ServiceCommand) -> Result<()> {
    match command {
        ServiceCommand::Install { unit, flags, config } => install(unit, flags, config.as_deref()),
        ServiceCommand::Uninstall { unit } => uninstall(unit),
    }
}

fn install(args: &UnitArgs, flags: &Flags, config: Option<&Path>) -> Result<()> {
    let data_dir = std::path::absolute(&args.data_dir.data_dir).context("the data directory's path")?;
    let program = std::env::current_exe().context("finding our own program")?;
    let path = unit_path(args)?;
    if args.root.is_none() {
        needs_systemd(&program, &data_dir)?;
    }
    settle_settings(&data_dir, flags, config)?;
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))?;
    }
    let mut draft = files::Draft::create(&path, 0o644)?;
    draft
        .file
        .write_all(unit(&program, &data_dir).as_bytes())
        .with_context(|| format!("writing {}", path.display()))?;
    draft.publish()?;
    println!("{}", path.display());
    if args.root.is_none() {
        systemctl(&["daemon-reload"])?;
        hand_over(&data_dir)?;
        systemctl(&["enable", "--now", &args.name])?;
    }
    Ok(())
}

fn uninstall(args: &UnitArgs) -> Result<()> {
    let path = unit_path(args)?;
    if !path.exists() {
        bail!("{} does not exist: nothing to do", path.display());
    }
    if args.root.is_none() && systemd_runs() {
        systemctl(&["disable", "--now", &args.name])?;
    }
    files::remove_if_there(&path)?;
    if args.root.is_none() && systemd_runs() {
        systemctl(&["daemon-reload"])?;
    }
    println!("containers run on: `sampan reset --data-dir {}` ends them", args.data_dir.data_dir.display());
    Ok(())
}

fn unit_path(args: &UnitArgs) -> Result<PathBuf> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if args.name.is_empty() || !args.name.chars().all(plain) {
        bail!("--name {:?} may have letters, digits, '-', '_' and '.' only", args.name);
    }
    let root = args.root.as_deref().unwrap_or(Path::new("/"));
    Ok(root.join("etc/systemd/system").join(format!("{}.service", args.name)))
}

/// As sd_booted(3) finds out.
fn systemd_runs() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

fn needs_systemd(program: &Path, data_dir: &Path) -> Result<()> {
    if !systemd_runs() {
        bail!(
            "systemd does not run this machine. Have what does run start `{} resume --data-dir {}` in the foreground, and \
             end only that process with SIGTERM, not its children; or write the unit for another machine with --root DIR",
            program.display(),
            data_dir.display()
        );
    }
    Ok(())
}

/// What the unit resumes: what ran here, or from the flags what `up` would.
fn settle_settings(data_dir: &Path, flags: &Flags, config: Option<&Path>) -> Result<()> {
    let given = config.is_some() || *flags != Flags::default();
    if data_dir.join("settings.json").exists() {
        if given {
            bail!("{} has its flags already: the service resumes what ran there", data_dir.display());
        }
        return Ok(());
    }
    let up = UpArgs {
        data_dir: DataDir { data_dir: data_dir.to_owned() },
        flags: flags.clone(),
        config: config.map(Path::to_owned),
        detach: false,
    };
    let settings = Settings::from_up(&up, Roles::ServerAndNode)?;
    files::private_dir(data_dir)?;
    settings.save()
}

/// What runs already ends, and its containers wait for the service to take them over.
fn hand_over(data_dir: &Path) -> Result<()> {
    let Some(running) = Status::of(data_dir)?.filter(|status| !status.managed) else { return Ok(()) };
    match running.process()? {
        Some(supervisor) => instance::stop(&supervisor, data_dir),
        None => Ok(()),
    }
}

fn systemctl(arguments: &[&str]) -> Result<()> {
    let status = Command::new("systemctl").args(arguments).status().context("running systemctl")?;
    if !status.success() {
        bail!("`systemctl {}` failed: `journalctl -u` tells more", arguments.join(" "));
    }
    Ok(())
}

fn unit(program: &Path, data_dir: &Path) -> String {
    format!(
        "[Unit]
Description=Sampan, Kubernetes in one binary
Wants=network-online.target
After=network-online.target

[Service]
Type=notify
ExecStart={} resume --data-dir {}
# Another build, or the same anew, under the same pid.
ExecReload=/bin/kill -USR2 $MAINPID
# Containers live on when the service ends, and what they use is not the service's.
KillMode=process
Delegate=yes
Restart=always
RestartSec=1
# A recovery takes as long as it takes.
TimeoutStartSec=infinity
TimeoutStopSec=60
LimitNOFILE=1048576
LimitNPROC=infinity
LimitCORE=infinity
TasksMax=infinity
OOMScoreAdjust=-999

[Install]
WantedBy=multi-user.target
",
        quoted(program),
        quoted(data_dir)
    )
}

/// One word of a command line, as systemd.service(5) reads it.
fn quoted(path: &Path) -> String {
    let mut word = String::from("\"");
    for character in path.to_string_lossy().chars() {
        match character {
            '"' | '\\' => word.extend(['\\', character]),
            '%' | '$' => word.extend([character, character]),
            other => word.push(other),
        }
    }
    word.push('"');
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(root: &Path, data_dir: &str) -> UnitArgs {
        let data_dir = DataDir { data_dir: root.join(data_dir) };
        UnitArgs { data_dir, name: "sampan-test".to_owned(), root: Some(root.to_owned()) }
    }

    #[test]
    fn a_unit_is_written_and_removed() {
        let root = tempfile::tempdir().unwrap();
        let args = args(root.path(), "a cluster");
        let flags = Flags { max_pods: Some(7), node_ip: Some([192, 0, 2, 1].into()), ..Flags::default() };
        install(&args, &flags, None).unwrap();
        assert_eq!(Settings::load(&args.data_dir.data_dir).unwrap().max_pods, 7);
        let path = root.path().join("etc/systemd/system/sampan-test.service");
        let text = std::fs::read_to_string(&path).unwrap();
        let line = |key: &str| text.lines().find(|line| line.starts_with(key)).unwrap().to_owned();
        assert!(line("ExecStart=").ends_with(&format!("resume --data-dir \"{}/a cluster\"", root.path().display())));
        assert_eq!(
            (line("Type="), line("KillMode="), line("Delegate=")),
            ("Type=notify".into(), "KillMode=process".into(), "Delegate=yes".into())
        );
        verify(&path);
        let error = install(&args, &flags, None).unwrap_err().to_string();
        assert!(error.contains("has its flags already"), "{error}");
        install(&args, &Flags::default(), None).unwrap();
        uninstall(&args).unwrap();
        assert!(!path.exists());
        assert!(uninstall(&args).is_err());
    }

    /// By systemd's own reader, where there is one.
    fn verify(path: &Path) {
        match Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(path).output() {
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                let about_it: Vec<&str> = said.lines().filter(|line| line.contains("sampan-test")).collect();
                assert!(about_it.is_empty(), "{said}");
            }
            Err(error) => eprintln!("SKIPPED: systemd-analyze: {error}"),
        }
    }

    #[test]
    fn words_are_quoted_as_systemd_reads_them() {
        assert_eq!(quoted(Path::new("/a b/%n$x\"")), r#""/a b/%%n$$x\"""#);
    }

    #[test]
    fn a_name_cannot_lead_elsewhere() {
        let args = UnitArgs { name: "../x".to_owned(), ..args(Path::new("/nowhere"), "x") };
        assert!(unit_path(&args).is_err());
    }
}
