//! Whether a container that ended starts again.

use super::containers::Role;
use k8s_openapi::api::core::v1::{Container, Pod};

/// By role, the container's own rules, its own policy, then the pod's.
pub(crate) fn should_restart(pod: &Pod, role: Role, container: &Container, exit_code: i32) -> bool {
    match role {
        Role::Sidecar => return true,
        Role::Ephemeral => return false,
        Role::Init | Role::Main => {}
    }
    for rule in container.restart_policy_rules.iter().flatten() {
        let Some(codes) = &rule.exit_codes else { continue };
        let listed = codes.values.iter().flatten().any(|code| *code == exit_code);
        let matches = if codes.operator == "NotIn" { !listed } else { listed };
        if matches && rule.action == "Restart" {
            return true;
        }
    }
    let policy = container.restart_policy.as_deref().or(super::spec(pod).restart_policy.as_deref());
    match policy.unwrap_or("Always") {
        "Never" => false,
        "OnFailure" => exit_code != 0,
        // An init container that succeeded is done whatever the policy.
        _ => role != Role::Init || exit_code != 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pod::containers::all;
    use crate::pod::tests::from_yaml;

    #[test]
    fn policies_and_rules_decide() {
        let check = |policy: &str, container: &str, code: i32, wanted: bool| {
            let pod = from_yaml(&format!("spec: {{restartPolicy: {policy}, containers: [{{name: a, {container}}}]}}"));
            let (role, container) = all(&pod).next().unwrap();
            assert_eq!(should_restart(&pod, role, &container, code), wanted, "{policy} {container:?} {code}");
        };
        check("Always", "", 0, true);
        check("OnFailure", "", 0, false);
        check("OnFailure", "", 1, true);
        check("Never", "", 1, false);
        check("Never", "restartPolicy: OnFailure", 1, true);
        let rule = |operator: &str| {
            format!("restartPolicyRules: [{{action: Restart, exitCodes: {{operator: {operator}, values: [42]}}}}]")
        };
        check("Never", &rule("In"), 42, true);
        check("Never", &rule("In"), 1, false);
        check("Never", &rule("NotIn"), 1, true);
    }

    #[test]
    fn an_init_container_that_succeeded_is_done() {
        let pod = from_yaml("spec: {restartPolicy: Always, initContainers: [{name: a}], containers: []}");
        let (role, container) = all(&pod).next().unwrap();
        assert!(!should_restart(&pod, role, &container, 0));
        assert!(should_restart(&pod, role, &container, 1));
    }
}
