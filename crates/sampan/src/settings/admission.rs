//! Which admission plugins judge and what they are told, as flags name it in upstream's names.

use crate::cli::Flags;
use crate::settings::Roles;
use anyhow::{Context, Result, bail};
use apiserver::admission::AdmissionOptions;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The flags as they were given, paths absolute.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Admission {
    enable: Vec<String>,
    disable: Vec<String>,
    config_file: Option<PathBuf>,
}

impl Admission {
    pub(super) fn from_flags(flags: &Flags, roles: &Roles) -> Result<Admission> {
        let file = flags.admission_control_config_file.as_ref().map(std::path::absolute).transpose();
        let admission = Admission {
            enable: flags.enable_admission_plugins.clone().unwrap_or_default(),
            disable: flags.disable_admission_plugins.clone().unwrap_or_default(),
            config_file: file.context("the path of --admission-control-config-file")?,
        };
        if admission != Admission::default() && !roles.server() {
            bail!("--*-admission-plugins and --admission-control-config-file are for servers");
        }
        // What is wrong with them is said at once, not in the server's log.
        admission.options().read()?;
        Ok(admission)
    }

    pub(crate) fn options(&self) -> AdmissionOptions {
        AdmissionOptions {
            enable: self.enable.clone(),
            disable: self.disable.clone(),
            config_file: self.config_file.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(flags: &Flags, roles: &Roles) -> Result<Admission, String> {
        Admission::from_flags(flags, roles).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_wrong_is_said_before_anything_starts() {
        let names = |names: &[&str]| Some(names.iter().map(|&name| name.to_owned()).collect());
        let off = Flags { disable_admission_plugins: names(&["PodSecurity"]), ..Flags::default() };
        assert_eq!(check(&off, &Roles::Server).unwrap().options().disable, ["PodSecurity"]);
        let node = Roles::Node(vec!["https://192.0.2.1:6443".to_owned()]);
        assert!(check(&off, &node).unwrap_err().contains("for servers"));
        let unknown = Flags { enable_admission_plugins: names(&["Nonsense"]), ..Flags::default() };
        let says = "enable-admission-plugins plugin \"Nonsense\" is unknown";
        assert_eq!(check(&unknown, &Roles::Server).unwrap_err(), says);
        let missing = Flags { admission_control_config_file: Some("/nowhere.yaml".into()), ..Flags::default() };
        assert!(check(&missing, &Roles::Server).unwrap_err().starts_with("reading /nowhere.yaml: "));
    }
}
