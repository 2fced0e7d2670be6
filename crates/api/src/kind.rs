//! How one kind behaves: the methods that its own file fills in; all have bodies that do nothing.

use crate::field::FieldError;
use crate::resource::{ResourceDef, Subresource};
use crate::table::Cell;
use k8s_openapi::Metadata;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A selectable field beside `metadata.name` and `metadata.namespace`: its path and this object's value.
pub type FieldValues = smallvec::SmallVec<[(&'static str, String); 4]>;

/// A built-in kind over its `k8s-openapi` struct.
///
/// The registry's write order: decode, `prepare_*`, `defaults`, admission, `validate*`, commit.
pub trait Kind:
    Metadata<Ty = ObjectMeta> + Serialize + DeserializeOwned + Clone + PartialEq + Send + Sync + std::fmt::Debug + 'static
{
    const DEF: ResourceDef;

    /// Fills what the writer left out, as upstream's defaulting functions do.
    fn defaults(&mut self) {}

    /// On create: drops what a creator may not set (nearly always `status`).
    fn prepare_create(&mut self) {}

    /// On update of the object itself: restores what this path may not change (nearly always `status`).
    fn prepare_update(&mut self, _old: &Self) {}

    /// On update of a subresource that shares the object's body (`status`): takes over `old`'s everything else.
    fn prepare_status(&mut self, _old: &Self) {}

    /// As `prepare_status`, for the other subresources that share the object's body (`approval`, `finalize`, ...).
    fn prepare_subresource(&mut self, _subresource: Subresource, old: &Self) {
        self.prepare_status(old);
    }

    /// All errors of the object as it stands.
    fn validate(&self) -> Vec<FieldError> {
        Vec::new()
    }

    /// Errors of a new object only. `validate` runs as well.
    fn validate_create(&self) -> Vec<FieldError> {
        Vec::new()
    }

    /// Errors of the change only (immutable fields, forbidden transitions). `validate` runs as well.
    fn validate_update(&self, _old: &Self) -> Vec<FieldError> {
        Vec::new()
    }

    /// Errors of a change through a subresource that picks its fields itself (`binding`, `ephemeralcontainers`, ...).
    /// Asked instead of `validate_update`; `validate` runs as well.
    fn validate_subresource(&self, _subresource: Subresource, old: &Self) -> Vec<FieldError> {
        self.validate_update(old)
    }

    /// Whether `metadata.generation` is kept for this kind (those with a spec that a controller follows).
    const GENERATION: bool = false;

    /// Whether the desired state differs from `old`'s; asked only where `GENERATION`.
    fn spec_differs(&self, _old: &Self) -> bool {
        false
    }

    /// Selectable fields beside name and namespace.
    fn fields(&self) -> FieldValues {
        FieldValues::new()
    }

    /// The cells of its table row, one per column of `DEF`.
    fn row(&self, now: Timestamp) -> Vec<Cell> {
        let meta = self.metadata();
        vec![
            Cell::from(meta.name.as_deref().unwrap_or_default()),
            crate::table::age(meta.creation_timestamp.as_ref(), now),
        ]
    }

    /// The grace that a delete without one gets; `None`: deleted at once. Only pods differ from `None`.
    fn default_grace_seconds(&self) -> Option<i64> {
        None
    }

    /// Whether a delete with this grace may remove the object at once (a pod that no node has, or that has ended).
    fn deletes_at_once(&self, grace_seconds: i64) -> bool {
        grace_seconds == 0
    }

    /// The rule for its name: RFC 1123 subdomain unless the kind is stricter (Service, Namespace) or laxer (RBAC).
    fn validate_name(name: &str, prefix_only: bool) -> Vec<String> {
        crate::labels::dns1123_subdomain(name, prefix_only)
    }
}

/// For kinds whose spec and status are written apart, by the object's path and by its `status` subresource.
macro_rules! status_apart {
    ($kind:ty) => {
        fn prepare_create(&mut self) {
            self.status = None;
        }

        fn prepare_update(&mut self, old: &$kind) {
            self.status.clone_from(&old.status);
        }

        fn prepare_status(&mut self, old: &$kind) {
            self.spec.clone_from(&old.spec);
        }
    };
}

/// For kinds whose generation counts the changes of their spec.
macro_rules! generation_of_spec {
    ($kind:ty) => {
        const GENERATION: bool = true;

        fn spec_differs(&self, old: &$kind) -> bool {
            !$crate::check::same(&self.spec, &old.spec)
        }
    };
}

pub(crate) use {generation_of_spec, status_apart};
