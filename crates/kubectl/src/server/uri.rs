//! Paths and queries of the API, escaped.

use api::ResourceDef;

fn escape(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(byte.into());
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    escape(text, &mut out);
    out
}

/// A collection's path, an object's or a subresource's; empty texts are left out.
pub(crate) fn resource_path(def: &ResourceDef, namespace: &str, name: &str, subresource: &str) -> String {
    let part = |text: &str| Some(escaped(text)).filter(|text| !text.is_empty());
    def.path(part(namespace).as_deref(), part(name).as_deref(), part(subresource).as_deref())
}

/// Appends the parameters whose values are not empty.
pub(crate) fn with_query(mut path: String, query: &[(&str, &str)]) -> String {
    let mut separator = if path.contains('?') { '&' } else { '?' };
    for (name, value) in query.iter().filter(|(_, value)| !value.is_empty()) {
        path.push(separator);
        separator = '&';
        path.push_str(name);
        path.push('=');
        escape(value, &mut path);
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::Kind;
    use k8s_openapi::api::core::v1::Pod;

    #[test]
    fn paths_are_escaped() {
        let path =
            with_query(resource_path(&Pod::DEF, "n", "a/b", "log"), &[("follow", ""), ("labelSelector", "a in (b)")]);
        assert_eq!(path, "/api/v1/namespaces/n/pods/a%2Fb/log?labelSelector=a%20in%20%28b%29");
    }
}
