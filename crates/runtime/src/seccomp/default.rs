//! The profile for `RuntimeDefault`, which depends on a container's capabilities.

use std::collections::HashSet;
use std::sync::OnceLock;

use super::{Argument, Profile, Rule};

/// Call names by capability; see the file.
const NAMES: &str = include_str!("default.txt");

/// New namespaces: `CLONE_NEWNS | NEWCGROUP | NEWUTS | NEWIPC | NEWUSER | NEWPID | NEWNET`.
const CLONE_NAMESPACES: u64 = 0x7e02_0000;
/// `AF_VSOCK`, which reaches out of a virtual machine.
const FAMILY_VSOCK: u64 = 40;
/// Personalities that programs use: Linux, `ADDR_NO_RANDOMIZE`-less variants of it, and the query.
const PERSONALITIES: [u64; 5] = [0, 8, 0x2_0000, 0x2_0008, 0xffff_ffff];

/// What containerd lets a container with these bounding capabilities do.
pub(crate) fn default_profile(capabilities: u64) -> Profile {
    let has = |name: &str| kernel::capability::bit(name).is_some_and(|bit| capabilities & bit != 0);
    let mut syscalls = Vec::new();
    for (section, names) in sections() {
        if section == "all" || has(section) {
            syscalls.push(rule(names, "SCMP_ACT_ALLOW", Vec::new()));
        }
    }
    let on_first = |op: &str, value| vec![Argument { index: 0, value, value_two: 0, op: op.into() }];
    syscalls.push(rule(vec!["socket"], "SCMP_ACT_ALLOW", on_first("SCMP_CMP_NE", FAMILY_VSOCK)));
    for value in PERSONALITIES {
        syscalls.push(rule(vec!["personality"], "SCMP_ACT_ALLOW", on_first("SCMP_CMP_EQ", value)));
    }
    if !has("SYS_ADMIN") {
        syscalls.push(rule(vec!["clone"], "SCMP_ACT_ALLOW", on_first("SCMP_CMP_MASKED_EQ", CLONE_NAMESPACES)));
        // Its flags are behind a pointer, where no filter sees them. C libraries fall back to clone.
        let refused = rule(vec!["clone3"], "SCMP_ACT_ERRNO", Vec::new());
        syscalls.push(Rule { errno_ret: Some(libc::ENOSYS as u32), ..refused });
    }
    Profile { default_action: "SCMP_ACT_ERRNO".into(), default_errno_ret: None, syscalls }
}

fn rule(names: Vec<&str>, action: &str, args: Vec<Argument>) -> Rule {
    Rule { names: names.into_iter().map(str::to_owned).collect(), action: action.into(), errno_ret: None, args }
}

/// The file's sections with their words.
fn sections() -> Vec<(&'static str, Vec<&'static str>)> {
    let mut sections: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in NAMES.lines().filter(|line| !line.starts_with('#')) {
        match line.strip_suffix(':') {
            Some(section) => sections.push((section, Vec::new())),
            None => sections.iter_mut().last().into_iter().for_each(|(_, names)| names.extend(line.split_whitespace())),
        }
    }
    sections
}

/// Whether this architecture has a call of this name. Profiles name those of others too.
pub(super) fn is_known(name: &str) -> bool {
    // Only the compiler has the table, and it tells by failing. It is asked once per name of ours; names of
    // Localhost profiles that are not in the default one are asked each time.
    static KNOWN: OnceLock<HashSet<&'static str>> = OnceLock::new();
    let known = KNOWN.get_or_init(|| {
        sections().into_iter().flat_map(|(_, names)| names).filter(|name| compiler_knows(name)).collect()
    });
    known.contains(name) || compiler_knows(name)
}

fn compiler_knows(name: &str) -> bool {
    let text = serde_json::json!({ "main": {
        "mismatch_action": "allow", "match_action": "trap", "filter": [{ "syscall": name }],
    }});
    super::architecture().is_ok_and(|arch| seccompiler::compile_from_json(text.to_string().as_bytes(), arch).is_ok())
}
