//! ServiceCIDR: a range from which services get their addresses.

use crate::check::{self, Errors};
use crate::core::columns;
use crate::field::{FieldError, FieldPath};
use crate::kind::{Kind, status_apart};
use crate::resource::{Column, ResourceDef, Scope, Subresource};
use crate::table::Cell;
use k8s_openapi::api::networking::v1::ServiceCIDR;
use k8s_openapi::jiff::Timestamp;

/// One of each family.
const RANGES_MAX: usize = 2;

impl Kind for ServiceCIDR {
    const DEF: ResourceDef = ResourceDef {
        subresources: &[Subresource::Status],
        columns: &[Column::NAME, Column::text("CIDRs").about("The ranges."), Column::AGE],
        unattended: true,
        ..ResourceDef::new(
            "networking.k8s.io",
            "v1",
            "ServiceCIDR",
            "servicecidrs",
            "servicecidr",
            Scope::Cluster,
            "k8s.io.api.networking.v1.ServiceCIDR",
        )
    };

    fn defaults(&mut self) {
        self.spec.get_or_insert_default();
        self.status.get_or_insert_default();
    }

    status_apart!(ServiceCIDR);

    fn validate(&self) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let path = FieldPath::new("spec").child("cidrs");
        let ranges = ranges(self);
        if ranges.is_empty() {
            errors.push(FieldError::required(path, "at least one CIDR required"));
            return errors;
        }
        if ranges.len() > RANGES_MAX {
            errors.push(FieldError::invalid(path, &self.spec, "may only hold up to 2 values"));
            return errors;
        }
        for (index, range) in ranges.iter().enumerate() {
            check::cidr(&mut errors, &path.index(index), range);
        }
        let is_v6 = |range: &String| range.parse::<ipnet::IpNet>().ok().map(|range| range.addr().is_ipv6());
        if let [first, second] = ranges
            && is_v6(first).is_some()
            && is_v6(first) == is_v6(second)
        {
            let detail = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64";
            errors.push(FieldError::invalid(path, ranges, detail));
        }
        errors
    }

    /// A second family may be added; nothing else changes.
    fn validate_update(&self, old: &ServiceCIDR) -> Vec<FieldError> {
        const IMMUTABLE: &str = "field is immutable";
        let mut errors = Errors::new();
        let path = FieldPath::new("spec").child("cidrs");
        let (new, old) = (ranges(self), ranges(old));
        if new.len() != old.len() && (old.len(), new.len()) != (1, 2) {
            errors.push(FieldError::invalid(path, new, IMMUTABLE));
            return errors;
        }
        for (index, (new, old)) in new.iter().zip(old).enumerate() {
            if new != old {
                errors.push(FieldError::invalid(path.index(index), new, IMMUTABLE));
            }
        }
        errors
    }

    fn row(&self, now: Timestamp) -> Vec<Cell> {
        vec![columns::name(&self.metadata), Cell::Text(ranges(self).join(",")), columns::created(&self.metadata, now)]
    }
}

fn ranges(cidr: &ServiceCIDR) -> &[String] {
    cidr.spec.as_ref().and_then(|spec| spec.cidrs.as_deref()).unwrap_or_default()
}
