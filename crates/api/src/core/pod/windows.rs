//! What a container of Windows may be: whom it runs as, and whether it is a process of the node itself.

use super::annotations::containers;
use crate::check::{self, Errors};
use crate::field::{FieldError, FieldPath};
use crate::labels;
use k8s_openapi::api::core::v1::{PodSpec, SecurityContext, WindowsSecurityContextOptions};

const CREDENTIAL_KIB_MAX: usize = 64;
const DOMAIN_BYTES_END: usize = 256;
const USER_BYTES_MAX: usize = 104;
const NETBIOS_CHARS_MAX: usize = 15;
const NOT_OF_NETBIOS: &[char] = &['\\', '/', ':', '*', '?', '"', '<', '>', '|'];
const NOT_OF_USERS: &[char] = &['"', '/', '\\', ':', ';', '|', '=', ',', '+', '*', '?', '<', '>', '@', '[', ']'];

pub(super) fn options(errors: &mut Errors, path: &FieldPath, options: Option<&WindowsSecurityContextOptions>) {
    let Some(options) = options else { return };
    if let Some(name) = &options.gmsa_credential_spec_name {
        check::dns1123_subdomain(errors, &path.child("gmsaCredentialSpecName"), name);
    }
    if let Some(credential) = &options.gmsa_credential_spec {
        let detail = match credential.len() {
            0 => Some("gmsaCredentialSpec cannot be an empty string".to_owned()),
            bytes if bytes > CREDENTIAL_KIB_MAX * 1024 => {
                Some(format!("gmsaCredentialSpec size must be under {CREDENTIAL_KIB_MAX} KiB"))
            }
            _ => None,
        };
        let path = path.child("gmsaCredentialSpec");
        errors.extend(detail.map(|detail| FieldError::invalid(path, credential, detail)));
    }
    if let Some(name) = &options.run_as_user_name {
        check::each(errors, &path.child("runAsUserName"), name, user_name(name));
    }
}

/// A user, or a domain, a backslash and a user.
fn user_name(name: &str) -> Vec<String> {
    let parts: Vec<&str> = name.split('\\').collect();
    let (domain, user) = match parts.as_slice() {
        _ if name.is_empty() => return vec!["runAsUserName cannot be an empty string".to_owned()],
        _ if name.chars().any(|letter| letter.is_ascii_control()) => {
            return vec!["runAsUserName cannot contain control characters".to_owned()];
        }
        [user] => (None, *user),
        [domain, user] => (Some(*domain), *user),
        _ => return vec!["runAsUserName cannot contain more than one backslash".to_owned()],
    };
    let mut complaints = Vec::new();
    if domain.is_some_and(|domain| domain.len() >= DOMAIN_BYTES_END) {
        complaints.push(format!("runAsUserName's Domain length must be under {DOMAIN_BYTES_END} characters"));
    }
    if domain.is_some_and(|domain| !is_netbios(domain) && !is_dns(domain)) {
        complaints.push("runAsUserName's Domain doesn't match the NetBios nor the DNS format".to_owned());
    }
    if user.is_empty() {
        complaints.push("runAsUserName's User cannot be empty".to_owned());
    } else if user.len() > USER_BYTES_MAX {
        complaints.push(format!("runAsUserName's User length must not be longer than {USER_BYTES_MAX} characters"));
    }
    if !user.is_empty() && user.chars().all(|letter| matches!(letter, '.' | ' ')) {
        complaints.push("runAsUserName's User cannot contain only periods or spaces".to_owned());
    }
    if user.contains(NOT_OF_USERS) {
        let detail = "runAsUserName's User cannot contain the following characters: \"/\\:;|=,+*?<>@[]";
        complaints.push(detail.to_owned());
    }
    complaints
}

fn is_netbios(domain: &str) -> bool {
    (1..=NETBIOS_CHARS_MAX).contains(&domain.chars().count())
        && !domain.starts_with('.')
        && !domain.contains(NOT_OF_NETBIOS)
}

fn is_dns(domain: &str) -> bool {
    domain.split('.').all(|label| labels::dns1123_label(&label.to_lowercase(), false).is_empty())
}

/// Containers that are processes of the node: all of a pod's are, or none, and such a pod is on the node's network.
pub(super) fn host_processes(errors: &mut Errors, path: &FieldPath, spec: &PodSpec) {
    let wish = |options: Option<&WindowsSecurityContextOptions>| options.and_then(|options| options.host_process);
    let of_pod = wish(spec.security_context.as_ref().and_then(|context| context.windows_options.as_ref()));
    let (mut all, mut of_node) = (0, 0);
    for (path, _, context) in containers(path, spec) {
        let own = wish(context.and_then(|context: &SecurityContext| context.windows_options.as_ref()));
        if let (Some(pod), Some(own)) = (of_pod, own)
            && pod != own
        {
            let detail = format!("pod hostProcess value must be identical if both are specified, was {pod}");
            let path = path.child("securityContext").child("windowsOptions").child("hostProcess");
            errors.push(FieldError::invalid(path, &own, detail));
        }
        all += 1;
        of_node += usize::from(own.or(of_pod) == Some(true));
    }
    if of_node == 0 {
        return;
    }
    if of_node != all {
        let detail = "If pod contains any hostProcess containers then all containers must be HostProcess containers";
        errors.push(FieldError::invalid(path.clone(), "", detail));
    }
    if spec.host_network != Some(true) {
        let detail = "hostNetwork must be true if pod contains any hostProcess containers";
        errors.push(FieldError::invalid(path.child("hostNetwork"), &false, detail));
    }
}
