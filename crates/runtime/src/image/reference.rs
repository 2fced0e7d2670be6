//! Image names, parsed and completed as Docker and containerd do, with their errors.
//!
//! A [`Reference`] is always complete: registry, repository, and either a tag or a digest.

use std::fmt;
use std::str::FromStr;

use super::digest::Digest;

const DOCKER_DOMAIN: &str = "docker.io";
/// Docker Hub's API answers on another host than the one in its images' names.
const DOCKER_HOST: &str = "registry-1.docker.io";
const LEGACY_DOCKER_DOMAIN: &str = "index.docker.io";
const OFFICIAL_PREFIX: &str = "library/";
const DEFAULT_TAG: &str = "latest";
/// `NameTotalLengthMax` of distribution's grammar.
const NAME_LENGTH_MAX: usize = 255;
const TAG_LENGTH_MAX: usize = 128;

/// A complete image name: `docker.io/library/busybox:latest`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    domain: String,
    path: String,
    target: Target,
}

/// What a name picks in its repository.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// Whatever the tag points at now.
    Tag(String),
    /// One manifest, for ever.
    Digest(Digest),
}

/// Why a string is no image name, in upstream's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("couldn't parse image name {name:?}: {reason}")]
pub struct ReferenceError {
    name: String,
    reason: String,
}

impl Reference {
    /// The registry as written in names: `docker.io`, `localhost:5000`.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// Host and port that the registry's API is on.
    pub fn registry(&self) -> &str {
        if self.domain == DOCKER_DOMAIN { DOCKER_HOST } else { &self.domain }
    }

    /// The repository within the registry: `library/busybox`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Tag or digest.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The same repository's image of this digest.
    pub fn with_digest(&self, digest: Digest) -> Reference {
        Reference { target: Target::Digest(digest), ..self.clone() }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}{}", self.domain, self.path, self.target)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Tag(tag) => write!(f, ":{tag}"),
            Target::Digest(digest) => write!(f, "@{digest}"),
        }
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    /// A name with tag and digest means the digest, as in containerd.
    fn from_str(name: &str) -> Result<Reference, ReferenceError> {
        parse(name).map_err(|reason| ReferenceError { name: name.to_owned(), reason })
    }
}

fn parse(name: &str) -> Result<Reference, String> {
    if name.len() == 64 && name.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(format!("invalid repository name ({name}), cannot specify 64-byte hexadecimal strings"));
    }
    let (domain, remainder) = split_domain(name);
    let remote_name = remainder.split(':').next().unwrap_or_default();
    if remote_name.bytes().any(|b| b.is_ascii_uppercase()) {
        return Err(format!("invalid reference format: repository name ({remote_name}) must be lowercase"));
    }
    let (rest, digest) = match remainder.split_once('@') {
        Some((rest, digest)) => (rest.to_owned(), Some(digest)),
        None => (remainder, None),
    };
    let (path, tag) = match rest.split_once(':') {
        Some((path, tag)) => (path.to_owned(), Some(tag)),
        None => (rest, None),
    };
    let well_formed = is_domain(&domain)
        && path.split('/').all(is_path_component)
        && tag.is_none_or(is_tag)
        && digest.is_none_or(looks_like_digest);
    if !well_formed {
        return Err("invalid reference format".to_owned());
    }
    if domain.len() + 1 + path.len() > NAME_LENGTH_MAX {
        return Err(format!("repository name must not be more than {NAME_LENGTH_MAX} characters"));
    }
    let target = match (digest, tag) {
        (Some(digest), _) => Target::Digest(digest.parse().map_err(|error| format!("{error}"))?),
        (None, Some(tag)) => Target::Tag(tag.to_owned()),
        (None, None) => Target::Tag(DEFAULT_TAG.to_owned()),
    };
    Ok(Reference { domain, path, target })
}

/// A first component is a registry only if it cannot be a Docker Hub user.
fn split_domain(name: &str) -> (String, String) {
    let (domain, remainder) = match name.split_once('/') {
        Some((first, rest))
            if first.contains(['.', ':']) || first == "localhost" || first.bytes().any(|b| b.is_ascii_uppercase()) =>
        {
            (first, rest)
        }
        _ => (DOCKER_DOMAIN, name),
    };
    let domain = if domain == LEGACY_DOCKER_DOMAIN { DOCKER_DOMAIN } else { domain };
    let official = domain == DOCKER_DOMAIN && !remainder.contains('/');
    let prefix = if official { OFFICIAL_PREFIX } else { "" };
    (domain.to_owned(), format!("{prefix}{remainder}"))
}

fn is_domain(domain: &str) -> bool {
    let (host, port) = match domain.strip_prefix('[') {
        Some(literal) => match literal.split_once(']') {
            Some((address, rest)) => {
                let address_ok = !address.is_empty() && address.bytes().all(|b| b.is_ascii_hexdigit() || b == b':');
                return address_ok && (rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port));
            }
            None => return false,
        },
        None => match domain.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (domain, None),
        },
    };
    host.split('.').all(is_domain_component) && port.is_none_or(is_port)
}

fn is_domain_component(component: &str) -> bool {
    !component.is_empty()
        && !component.starts_with('-')
        && !component.ends_with('-')
        && component.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// The grammar allows any number of digits; one that is no port would fail later, less clearly.
fn is_port(port: &str) -> bool {
    port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok()
}

/// Lower-case words, with one `.`, one or two `_`, or any number of `-` between.
fn is_path_component(component: &str) -> bool {
    let mut separator = String::new();
    let mut seen_word = false;
    for c in component.chars() {
        match c {
            'a'..='z' | '0'..='9' => {
                let legal = matches!(separator.as_str(), "" | "." | "_" | "__") || separator.chars().all(|c| c == '-');
                if !legal {
                    return false;
                }
                separator.clear();
                seen_word = true;
            }
            '.' | '_' | '-' if seen_word => separator.push(c),
            _ => return false,
        }
    }
    seen_word && separator.is_empty()
}

fn is_tag(tag: &str) -> bool {
    let mut bytes = tag.bytes();
    tag.len() <= TAG_LENGTH_MAX
        && bytes.next().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

fn looks_like_digest(digest: &str) -> bool {
    digest.split_once(':').is_some_and(|(algorithm, hex)| {
        algorithm.split(['-', '_', '+', '.']).all(|word| {
            word.starts_with(|c: char| c.is_ascii_alphabetic()) && word.bytes().all(|b| b.is_ascii_alphanumeric())
        }) && hex.len() >= 32
            && hex.bytes().all(|b| b.is_ascii_hexdigit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[track_caller]
    fn check(name: &str, expected: &str) {
        let got = match name.parse::<Reference>() {
            Ok(reference) => reference.to_string(),
            Err(error) => error.to_string(),
        };
        assert_eq!(got, expected, "{name}");
    }

    #[test]
    fn completes_short_names() {
        check("user-center:v1.0", "docker.io/library/user-center:v1.0");
        check("busybox", "docker.io/library/busybox:latest");
        check("library/busybox", "docker.io/library/busybox:latest");
        check("team/app:1", "docker.io/team/app:1");
        check("index.docker.io/busybox", "docker.io/library/busybox:latest");
        check("docker.io/busybox", "docker.io/library/busybox:latest");
        check("localhost/x", "localhost/x:latest");
        check("localhost:5000/x", "localhost:5000/x:latest");
        check("127.0.0.1:5000/a/b/c:t", "127.0.0.1:5000/a/b/c:t");
        check("[::1]:5000/x", "[::1]:5000/x:latest");
        check("Registry.example/a__b--c.d", "Registry.example/a__b--c.d:latest");
        check("gcr.io/x:a_B.c-1", "gcr.io/x:a_B.c-1");
        check("cafe", "docker.io/library/cafe:latest");
    }

    #[test]
    fn a_digest_wins_over_a_tag() {
        check(&format!("busybox@{DIGEST}"), &format!("docker.io/library/busybox@{DIGEST}"));
        check(&format!("h:1/busybox:1@{DIGEST}"), &format!("h:1/busybox@{DIGEST}"));
    }

    #[test]
    fn refuses_with_upstreams_words() {
        for name in [
            "", ":v1", "a:", "a::b", "a//b", "a/", "-a", "a..b", "a___b", "a b", "a:b:c", "h:x/a", "a@b", "é", "a/../b",
        ] {
            check(name, &format!("couldn't parse image name {name:?}: invalid reference format"));
        }
        check(
            "Busybox",
            r#"couldn't parse image name "Busybox": invalid reference format: repository name (library/Busybox) must be lowercase"#,
        );
        check(
            "a@sha512:0123456789abcdef0123456789abcdef",
            r#"couldn't parse image name "a@sha512:0123456789abcdef0123456789abcdef": unsupported digest algorithm"#,
        );
        let long = "a".repeat(256);
        check(
            &long,
            &format!("couldn't parse image name {long:?}: repository name must not be more than 255 characters"),
        );
        let hex = "ab".repeat(32);
        check(
            &hex,
            &format!(
                "couldn't parse image name {hex:?}: invalid repository name ({hex}), cannot specify 64-byte hexadecimal strings"
            ),
        );
        assert!("a:".to_owned().parse::<Reference>().is_err());
        assert!(format!("a:{}", "t".repeat(129)).parse::<Reference>().is_err());
    }

    #[test]
    fn docker_hub_answers_on_its_own_host() {
        let registry = |name: &str| name.parse::<Reference>().unwrap().registry().to_owned();
        assert_eq!(registry("busybox"), "registry-1.docker.io");
        assert_eq!(registry("localhost:5000/x"), "localhost:5000");
    }
}
