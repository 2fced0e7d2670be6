//! Image names as pods write them.

/// The name with its tag; the error is upstream's. `busybox` means `busybox:latest`.
pub(crate) fn with_tag(name: &str) -> Result<String, String> {
    let (path, digest) = match name.split_once('@') {
        Some((path, digest)) => (path, Some(digest)),
        None => (name, None),
    };
    let last = path.rsplit('/').next().unwrap_or_default();
    let tag = last.split_once(':').map(|(_, tag)| tag);
    let repository = path.strip_suffix(&tag.map(|tag| format!(":{tag}")).unwrap_or_default()).unwrap_or(path);
    if !is_repository(repository)
        || tag.is_some_and(|tag| !is_tag(tag))
        || digest.is_some_and(|digest| !is_digest(digest))
    {
        return Err(format!(
            "Failed to apply default image tag {name:?}: couldn't parse image name {name:?}: invalid reference format"
        ));
    }
    Ok(if tag.is_none() && digest.is_none() { format!("{name}:latest") } else { name.to_owned() })
}

fn is_repository(text: &str) -> bool {
    let (host, path) = match text.split_once('/') {
        // Only the first part may be a host, which may have a port and capitals.
        Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => (Some(first), rest),
        _ => (None, text),
    };
    let in_host = |char: char| char.is_ascii_alphanumeric() || "-.:[]".contains(char);
    let in_path = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit() || "._-".contains(char);
    let part = |part: &str| {
        let edge = |char: Option<char>| char.is_some_and(|char| char.is_ascii_alphanumeric());
        edge(part.chars().next()) && edge(part.chars().last()) && part.chars().all(in_path)
    };
    host.is_none_or(|host| host.chars().all(in_host)) && path.split('/').all(part)
}

fn is_tag(tag: &str) -> bool {
    let word = |char: char| char.is_ascii_alphanumeric() || char == '_';
    (1..=128).contains(&tag.len())
        && tag.starts_with(word)
        && tag.chars().all(|char| word(char) || char == '.' || char == '-')
}

fn is_digest(digest: &str) -> bool {
    let (algorithm, hex) = digest.split_once(':').unwrap_or_default();
    !algorithm.is_empty() && hex.len() >= 32 && hex.chars().all(|char| char.is_ascii_hexdigit())
}

/// The registry's host: `docker.io` for names without one.
pub(crate) fn registry(name: &str) -> &str {
    match name.split_once('/') {
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => first,
        _ => "docker.io",
    }
}

/// What `imagePullPolicy` means where it is not said.
pub(crate) fn default_policy(name: &str) -> &'static str {
    if with_tag(name).is_ok_and(|name| name.ends_with(":latest")) { "Always" } else { "IfNotPresent" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_get_their_tag() {
        let check = |name: &str, wanted: &str| assert_eq!(with_tag(name).as_deref(), Ok(wanted));
        check("busybox", "busybox:latest");
        check("busybox:1.35", "busybox:1.35");
        check("127.0.0.1:5000/a/b", "127.0.0.1:5000/a/b:latest");
        check("r.example/a:v1", "r.example/a:v1");
        let digest = format!("a@sha256:{}", "0".repeat(64));
        check(&digest, &digest);
        for bad in ["", "UPPER", "a b", "a:", "a/", "http://x/y", "a@sha256:zz", "/a"] {
            assert!(with_tag(bad).unwrap_err().ends_with("invalid reference format"), "{bad}");
        }
    }

    #[test]
    fn the_registry_is_the_first_part_that_looks_like_a_host() {
        let names = ["busybox", "library/busybox", "r.example/a", "localhost/a", "127.0.0.1:5000/a/b"];
        assert_eq!(names.map(registry), ["docker.io", "docker.io", "r.example", "localhost", "127.0.0.1:5000"]);
        assert_eq!(["a", "a:1", "a:latest"].map(default_policy), ["Always", "IfNotPresent", "Always"]);
    }
}
