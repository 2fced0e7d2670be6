//! Filters for system calls: a profile in OCI's terms becomes programs that the shim loads.
//!
//! Invariant: of several programs the strictest answer counts, so a profile with more than two actions becomes one
//! program per action, each of which lets pass what is not its own.

mod default;

use std::collections::BTreeMap;
use std::path::Path;

use seccompiler::{BpfProgram, TargetArch};
use serde::{Deserialize, Serialize};

pub(crate) use default::default_profile;

/// A profile as the OCI runtime specification (`linux.seccomp`) has it, and as Localhost profiles are written.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Profile {
    pub(crate) default_action: String,
    #[serde(default)]
    pub(crate) default_errno_ret: Option<u32>,
    #[serde(default)]
    pub(crate) syscalls: Vec<Rule>,
}

/// Calls and what happens to them.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Rule {
    pub(crate) names: Vec<String>,
    pub(crate) action: String,
    #[serde(default)]
    pub(crate) errno_ret: Option<u32>,
    #[serde(default)]
    pub(crate) args: Vec<Argument>,
}

/// A condition on an argument; all of a rule must hold.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Argument {
    pub(crate) index: u8,
    pub(crate) value: u64,
    #[serde(default)]
    pub(crate) value_two: u64,
    pub(crate) op: String,
}

/// Why a profile became no filter.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProfileError {
    #[error("read seccomp profile {path}: {source}")]
    Read { path: String, source: std::io::Error },
    #[error("parse seccomp profile {path}: {source}")]
    Parse { path: String, source: serde_json::Error },
    #[error("seccomp: unsupported {what} {value:?}")]
    Unsupported { what: &'static str, value: String },
    #[error("compile seccomp profile: {0}")]
    Compile(#[from] seccompiler::Error),
    #[error("write seccomp rules: {0}")]
    Write(#[from] serde_json::Error),
}

/// Reads a Localhost profile.
pub(crate) fn read(path: &Path) -> Result<Profile, ProfileError> {
    let name = || path.display().to_string();
    let bytes = std::fs::read(path).map_err(|source| ProfileError::Read { path: name(), source })?;
    serde_json::from_slice(&bytes).map_err(|source| ProfileError::Parse { path: name(), source })
}

/// Compiles a profile into programs of `struct sock_filter`s.
pub(crate) fn compile(profile: &Profile) -> Result<Vec<Vec<u8>>, ProfileError> {
    let default = action(&profile.default_action, profile.default_errno_ret)?;
    let mut by_action: BTreeMap<String, Vec<&Rule>> = BTreeMap::new();
    for rule in &profile.syscalls {
        by_action.entry(action(&rule.action, rule.errno_ret)?.to_string()).or_default().push(rule);
    }
    let allow = serde_json::json!("allow");
    let mut programs = Vec::new();
    if default != allow {
        // Names with any action of their own pass here; that action's program judges them.
        programs.push(program(&default, &allow, profile.syscalls.iter())?);
    }
    for (name, rules) in by_action {
        let own: serde_json::Value = serde_json::from_str(&name)?;
        if own != allow && own != default {
            programs.push(program(&allow, &own, rules.into_iter())?);
        }
    }
    Ok(programs)
}

/// One program: `matching` for the calls of `rules`, `otherwise` for all others.
fn program<'a>(
    otherwise: &serde_json::Value,
    matching: &serde_json::Value,
    rules: impl Iterator<Item = &'a Rule>,
) -> Result<Vec<u8>, ProfileError> {
    let rules: Vec<&Rule> = rules.collect();
    // Most profiles name only calls of this architecture; those that do not are gone through name by name.
    match attempt(otherwise, matching, &rules, &|_| true) {
        Err(ProfileError::Compile(_)) => attempt(otherwise, matching, &rules, &default::is_known),
        result => result,
    }
}

fn attempt(
    otherwise: &serde_json::Value,
    matching: &serde_json::Value,
    rules: &[&Rule],
    is_known: &dyn Fn(&str) -> bool,
) -> Result<Vec<u8>, ProfileError> {
    let mut filter = Vec::new();
    for rule in rules {
        let conditions = rule.args.iter().map(condition).collect::<Result<Vec<_>, _>>()?;
        for name in rule.names.iter().filter(|name| is_known(name)) {
            filter.push(match conditions.is_empty() {
                true => serde_json::json!({ "syscall": name }),
                false => serde_json::json!({ "syscall": name, "args": conditions }),
            });
        }
    }
    let text = serde_json::json!({ "main": {
        "mismatch_action": otherwise, "match_action": matching, "filter": filter,
    }});
    let mut map = seccompiler::compile_from_json(text.to_string().as_bytes(), architecture()?)?;
    Ok(bytes(&map.remove("main").unwrap_or_default()))
}

fn architecture() -> Result<TargetArch, ProfileError> {
    let name = std::env::consts::ARCH;
    name.try_into().map_err(|_| ProfileError::Unsupported { what: "architecture", value: name.into() })
}

fn bytes(program: &BpfProgram) -> Vec<u8> {
    let encode = |one: &seccompiler::sock_filter| {
        let mut bytes = [0; 8];
        bytes[..2].copy_from_slice(&one.code.to_ne_bytes());
        bytes[2..4].copy_from_slice(&[one.jt, one.jf]);
        bytes[4..].copy_from_slice(&one.k.to_ne_bytes());
        bytes
    };
    program.iter().flat_map(encode).collect()
}

/// An OCI action in the compiler's words.
fn action(name: &str, errno: Option<u32>) -> Result<serde_json::Value, ProfileError> {
    Ok(match name {
        "SCMP_ACT_ALLOW" => serde_json::json!("allow"),
        "SCMP_ACT_LOG" => serde_json::json!("log"),
        "SCMP_ACT_TRAP" => serde_json::json!("trap"),
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => serde_json::json!("kill_thread"),
        "SCMP_ACT_KILL_PROCESS" => serde_json::json!("kill_process"),
        "SCMP_ACT_ERRNO" => serde_json::json!({ "errno": errno.unwrap_or(libc::EPERM as u32) }),
        _ => return Err(ProfileError::Unsupported { what: "action", value: name.into() }),
    })
}

fn condition(argument: &Argument) -> Result<serde_json::Value, ProfileError> {
    let (op, value) = match argument.op.as_str() {
        "SCMP_CMP_EQ" => (serde_json::json!("eq"), argument.value),
        "SCMP_CMP_NE" => (serde_json::json!("ne"), argument.value),
        "SCMP_CMP_LT" => (serde_json::json!("lt"), argument.value),
        "SCMP_CMP_LE" => (serde_json::json!("le"), argument.value),
        "SCMP_CMP_GT" => (serde_json::json!("gt"), argument.value),
        "SCMP_CMP_GE" => (serde_json::json!("ge"), argument.value),
        // The mask comes first, what the masked argument must be second.
        "SCMP_CMP_MASKED_EQ" => (serde_json::json!({ "masked_eq": argument.value }), argument.value_two),
        other => return Err(ProfileError::Unsupported { what: "comparison", value: other.into() }),
    };
    Ok(serde_json::json!({ "index": argument.index, "type": "qword", "op": op, "val": value }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_profile_becomes_two_programs_within_the_kernels_limit() {
        let programs = compile(&default_profile(0)).unwrap();
        // One for everything, one that answers ENOSYS to clone3.
        assert_eq!(programs.len(), 2);
        assert!(programs.iter().all(|program| program.len() % 8 == 0 && program.len() / 8 <= 4096));
        let admin = kernel::capability::bit("SYS_ADMIN").unwrap();
        assert_eq!(compile(&default_profile(admin)).unwrap().len(), 1);
    }

    #[test]
    fn local_profiles_are_understood_or_refused() {
        let check = |text: &str| compile(&serde_json::from_str(text).unwrap()).map(|programs| programs.len());
        let audit = r#"{"defaultAction":"SCMP_ACT_LOG"}"#;
        assert_eq!(check(audit).unwrap(), 1);
        let block = r#"{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86_64"],"syscalls":[
            {"names":["mkdir","arm_only_call"],"action":"SCMP_ACT_ERRNO","errnoRet":13},
            {"names":["ptrace"],"action":"SCMP_ACT_KILL"}]}"#;
        assert_eq!(check(block).unwrap(), 2);
        let odd = check(r#"{"defaultAction":"SCMP_ACT_NOTIFY"}"#).unwrap_err();
        assert!(odd.to_string().contains("SCMP_ACT_NOTIFY"), "{odd}");
    }
}
