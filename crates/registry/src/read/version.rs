//! What `resourceVersion` and `resourceVersionMatch` of a read ask for.

use api::field::{FieldError, FieldErrorKind, FieldPath};
use api::{Reason, ResourceDef, Status};
use store::Revision;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadVersion {
    /// At least everything acknowledged before the read.
    Latest,
    /// Whatever is at hand.
    Any,
    NotOlderThan(Revision),
    Exact(Revision),
}

impl ReadVersion {
    /// A revision as clients write it.
    pub fn parse(def: &ResourceDef, text: &str) -> Result<Revision, Status> {
        text.parse().map(Revision).map_err(|_| {
            let detail = format!("strconv.ParseUint: parsing {text:?}: invalid syntax");
            let error = FieldError::invalid(FieldPath::new("resourceVersion"), text, detail);
            Status::invalid(def, "", &[error])
        })
    }

    /// Of a get.
    pub fn of_get(def: &ResourceDef, resource_version: &str) -> Result<ReadVersion, Status> {
        match resource_version {
            "" => Ok(ReadVersion::Latest),
            "0" => Ok(ReadVersion::Any),
            other => ReadVersion::parse(def, other).map(ReadVersion::NotOlderThan),
        }
    }

    /// Of a list. Without a match, a revision is a lower bound for a whole list and exact for one in pages.
    pub fn of_list(
        def: &ResourceDef,
        resource_version: &str,
        version_match: &str,
        continues: bool,
        limited: bool,
    ) -> Result<ReadVersion, Status> {
        check_list(resource_version, version_match, continues)?;
        match (resource_version, version_match) {
            ("", _) => Ok(ReadVersion::Latest),
            ("0", _) => Ok(ReadVersion::Any),
            (other, "NotOlderThan") => ReadVersion::parse(def, other).map(ReadVersion::NotOlderThan),
            (other, "Exact") => ReadVersion::parse(def, other).map(ReadVersion::Exact),
            (other, _) if limited => ReadVersion::parse(def, other).map(ReadVersion::Exact),
            (other, _) => ReadVersion::parse(def, other).map(ReadVersion::NotOlderThan),
        }
    }
}

/// Refused list options, in upstream's words.
pub(crate) fn options_invalid(errors: &[FieldError]) -> Status {
    let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
    let list = if let [one] = texts.as_slice() { one.clone() } else { format!("[{}]", texts.join(", ")) };
    Status::new(Reason::Invalid, format!("ListOptions.meta.k8s.io \"\" is invalid: {list}"))
}

fn check_list(resource_version: &str, version_match: &str, continues: bool) -> Result<(), Status> {
    if continues && !matches!(resource_version, "" | "0") {
        return Err(Status::bad_request("specifying resource version is not allowed when using continue"));
    }
    if version_match.is_empty() {
        return Ok(());
    }
    let path = || FieldPath::new("resourceVersionMatch");
    let mut errors = Vec::new();
    if resource_version.is_empty() {
        let why = "resourceVersionMatch is forbidden unless resourceVersion is provided";
        errors.push(FieldError::forbidden(path(), why));
    }
    if continues {
        let why = "resourceVersionMatch is forbidden when continue is provided";
        errors.push(FieldError::forbidden(path(), why));
    }
    if !matches!(version_match, "Exact" | "NotOlderThan") {
        let detail = "supported values: \"Exact\", \"NotOlderThan\", \"\"".to_owned();
        let value = Some(format!("{version_match:?}"));
        errors.push(FieldError { path: path(), kind: FieldErrorKind::NotSupported, value, detail });
    }
    if version_match == "Exact" && resource_version == "0" {
        let why = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
        errors.push(FieldError::forbidden(path(), why));
    }
    if errors.is_empty() { Ok(()) } else { Err(options_invalid(&errors)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::Kind;
    use k8s_openapi::api::core::v1::Pod;

    fn check(version: &str, version_match: &str, continues: bool, limited: bool) -> Result<ReadVersion, String> {
        ReadVersion::of_list(&Pod::DEF, version, version_match, continues, limited).map_err(|status| status.message)
    }

    #[test]
    fn versions_of_a_list_mean_what_upstream_says() {
        assert_eq!(check("", "", false, false), Ok(ReadVersion::Latest));
        assert_eq!(check("0", "", false, true), Ok(ReadVersion::Any));
        assert_eq!(check("7", "", false, false), Ok(ReadVersion::NotOlderThan(Revision(7))));
        assert_eq!(check("7", "", false, true), Ok(ReadVersion::Exact(Revision(7))));
        assert_eq!(check("7", "NotOlderThan", false, true), Ok(ReadVersion::NotOlderThan(Revision(7))));
        assert_eq!(check("7", "Exact", false, false), Ok(ReadVersion::Exact(Revision(7))));
    }

    #[test]
    fn contradictory_options_are_refused() {
        let refused = |text: &str| Err(format!("ListOptions.meta.k8s.io \"\" is invalid: {text}"));
        assert_eq!(
            check("", "Exact", false, false),
            refused(
                "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided"
            )
        );
        assert_eq!(
            check("0", "Exact", false, false),
            refused(
                "resourceVersionMatch: Forbidden: resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\""
            )
        );
        assert_eq!(
            check("1", "Sloppy", false, false),
            refused(
                "resourceVersionMatch: Unsupported value: \"Sloppy\": supported values: \"Exact\", \"NotOlderThan\", \"\""
            )
        );
        assert_eq!(
            check("5", "", true, true),
            Err("specifying resource version is not allowed when using continue".to_owned())
        );
    }
}
