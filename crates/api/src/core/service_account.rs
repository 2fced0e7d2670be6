//! ServiceAccount: who a pod is to the API.

use crate::core::columns;
use crate::kind::Kind;
use crate::resource::{Column, ResourceDef, Scope, Subresource};
use crate::table::Cell;
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::jiff::Timestamp;

impl Kind for ServiceAccount {
    const DEF: ResourceDef = ResourceDef {
        short_names: &["sa"],
        subresources: &[Subresource::Token],
        columns: &[Column::NAME, Column::integer("Secrets").about("How many secrets its pods may use."), Column::AGE],
        ..ResourceDef::new(
            "",
            "v1",
            "ServiceAccount",
            "serviceaccounts",
            "serviceaccount",
            Scope::Namespaced,
            "k8s.io.api.core.v1.ServiceAccount",
        )
    };

    fn row(&self, now: Timestamp) -> Vec<Cell> {
        vec![
            columns::name(&self.metadata),
            Cell::Integer(self.secrets.as_ref().map_or(0, Vec::len) as i64),
            columns::created(&self.metadata, now),
        ]
    }
}
