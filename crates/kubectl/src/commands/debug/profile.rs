//! What a debugging container may.

use crate::failure::{Failure, Result};
use serde_json::{Value, json};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Profile {
    Legacy,
    General,
    Baseline,
    Restricted,
    NetAdmin,
    SysAdmin,
}

const NAMES: [(&str, Profile); 6] = [
    ("legacy", Profile::Legacy),
    ("general", Profile::General),
    ("baseline", Profile::Baseline),
    ("restricted", Profile::Restricted),
    ("netadmin", Profile::NetAdmin),
    ("sysadmin", Profile::SysAdmin),
];

impl Profile {
    pub(super) fn parse(text: &str) -> Result<Profile> {
        let found = NAMES.iter().find(|(name, _)| *name == text).map(|(_, profile)| *profile);
        found.ok_or_else(|| Failure::message(format!("unknown profile: {text}")))
    }

    /// Of a container beside others.
    pub(super) fn of_container(self, container: &mut Value) {
        let security = match self {
            Profile::Legacy | Profile::Baseline => return,
            Profile::General => json!({"capabilities": {"add": ["SYS_PTRACE"]}}),
            Profile::NetAdmin => json!({"capabilities": {"add": ["NET_ADMIN", "NET_RAW"]}}),
            Profile::SysAdmin => json!({"privileged": true}),
            Profile::Restricted => json!({
                "allowPrivilegeEscalation": false, "runAsNonRoot": true,
                "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"},
            }),
        };
        container["securityContext"] = security;
    }

    /// Of a pod that looks at its node.
    pub(super) fn of_node(self, spec: &mut Value, container: &mut Value) {
        let sees_files = matches!(self, Profile::Legacy | Profile::General | Profile::SysAdmin);
        if sees_files {
            spec["volumes"] = json!([{"name": "host-root", "hostPath": {"path": "/", "type": ""}}]);
            container["volumeMounts"] = json!([{"name": "host-root", "mountPath": "/host"}]);
        }
        if sees_files || self == Profile::NetAdmin {
            for key in ["hostNetwork", "hostPID"] {
                spec[key] = true.into();
            }
        }
        if sees_files {
            spec["hostIPC"] = true.into();
        }
        // A node's processes can be traced without more.
        if !matches!(self, Profile::General) {
            self.of_container(container);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_give_what_they_say() {
        let of = |name: &str| {
            let mut container = json!({});
            Profile::parse(name).unwrap().of_container(&mut container);
            container["securityContext"].clone()
        };
        assert_eq!(of("baseline"), Value::Null);
        assert_eq!(of("general")["capabilities"]["add"][0], "SYS_PTRACE");
        assert_eq!(of("sysadmin")["privileged"], true);
        let (mut spec, mut container) = (json!({}), json!({}));
        Profile::Restricted.of_node(&mut spec, &mut container);
        assert!(spec.get("volumes").is_none() && container["securityContext"]["runAsNonRoot"] == true);
        assert!(Profile::parse("root").is_err());
    }
}
