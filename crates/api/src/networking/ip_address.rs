//! IPAddress: an address that is taken, and by whom.

use crate::check::{self, Errors};
use crate::core::columns;
use crate::field::{FieldError, FieldPath};
use crate::kind::Kind;
use crate::labels;
use crate::resource::{Column, ResourceDef, Scope};
use crate::table::Cell;
use k8s_openapi::api::networking::v1::IPAddress;
use k8s_openapi::jiff::Timestamp;

impl Kind for IPAddress {
    const DEF: ResourceDef = ResourceDef {
        short_names: &["ip"],
        columns: &[Column::NAME, Column::text("ParentRef").about("Who has it.")],
        unattended: true,
        ..ResourceDef::new(
            "networking.k8s.io",
            "v1",
            "IPAddress",
            "ipaddresses",
            "ipaddress",
            Scope::Cluster,
            "k8s.io.api.networking.v1.IPAddress",
        )
    };

    /// An empty text is none, so that an unchanged parent is the same in every form.
    fn defaults(&mut self) {
        let parent = &mut self.spec.parent_ref;
        for field in [&mut parent.group, &mut parent.namespace] {
            if field.as_deref() == Some("") {
                *field = None;
            }
        }
    }

    fn validate(&self) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let parent = &self.spec.parent_ref;
        let path = FieldPath::new("spec").child("parentRef");
        let optional = |text: &Option<String>| text.clone().unwrap_or_default();
        let group = optional(&parent.group);
        if !group.is_empty() {
            check::dns1123_subdomain(&mut errors, &path.child("group"), &group);
        }
        for (field, value) in [("resource", &parent.resource), ("name", &parent.name)] {
            check::present(&mut errors, path.child(field), Some(value));
            check::each(&mut errors, &path.child(field), value, labels::path_segment(value, false));
        }
        let namespace = optional(&parent.namespace);
        check::each(&mut errors, &path.child("namespace"), &namespace, labels::path_segment(&namespace, false));
        errors
    }

    fn validate_update(&self, old: &IPAddress) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let path = FieldPath::new("spec").child("parentRef");
        check::immutable(&mut errors, path, &self.spec.parent_ref, &old.spec.parent_ref);
        errors
    }

    fn row(&self, _now: Timestamp) -> Vec<Cell> {
        let parent = &self.spec.parent_ref;
        let filled = |text: &Option<String>, before: &str| {
            text.as_deref().filter(|text| !text.is_empty()).map(|text| format!("{before}{text}")).unwrap_or_default()
        };
        let group = filled(&parent.group, ".");
        let namespace = filled(&parent.namespace, "/");
        vec![
            columns::name(&self.metadata),
            Cell::Text(format!("{}{group}{namespace}/{}", parent.resource, parent.name)),
        ]
    }

    /// The address itself, in its one written form.
    fn validate_name(name: &str, _prefix_only: bool) -> Vec<String> {
        let mut complaints = labels::ip(name);
        if let Ok(address) = name.parse::<std::net::IpAddr>()
            && address.to_string() != name
        {
            complaints.push(format!("must be in canonical form ({:?})", address.to_string()));
        }
        complaints
    }
}
