//! Lease: who holds something, and until when.

use crate::kind::Kind;
use crate::resource::{ResourceDef, Scope};
use k8s_openapi::api::coordination::v1::Lease;

impl Kind for Lease {
    const DEF: ResourceDef = ResourceDef::new(
            "coordination.k8s.io",
            "v1",
            "Lease",
            "leases",
            "lease",
            Scope::Namespaced,
            "k8s.io.api.coordination.v1.Lease",
        );
}
