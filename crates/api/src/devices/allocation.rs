//! What became of a claim: which devices it got, and who uses them.

use super::checks::{self, LIST_MAX};
use super::requests;
use crate::check::{self, Errors};
use crate::core::pod::scheduling;
use crate::field::{FieldError, FieldPath};
use k8s_openapi::api::resource::v1::{AllocatedDeviceStatus, AllocationResult, DeviceClaim, ResourceClaimStatus};

const RESERVED_FOR_MAX: usize = 256;

pub(super) fn status(errors: &mut Errors, path: &FieldPath, status: &ResourceClaimStatus, devices: &DeviceClaim) {
    let users = status.reserved_for.as_deref().unwrap_or_default();
    let own = path.child("reservedFor");
    checks::at_most(errors, &own, users.len(), RESERVED_FOR_MAX);
    checks::unique(errors, &own, users.iter().map(|user| user.uid.as_str()));
    for (index, user) in users.iter().enumerate() {
        let path = own.index(index);
        for (field, value) in [("resource", &user.resource), ("name", &user.name), ("uid", &user.uid)] {
            check::present(errors, path.child(field), Some(value));
        }
    }
    match &status.allocation {
        None if !users.is_empty() => {
            errors.push(FieldError::forbidden(own, "may not be specified when `allocated` is not set"));
        }
        None => {}
        Some(allocation) => self::allocation(errors, &path.child("allocation"), allocation, devices),
    }
    let devices = status.devices.as_deref().unwrap_or_default();
    for (index, device) in devices.iter().enumerate() {
        let path = path.child("devices").index(index);
        checks::driver(errors, &path.child("driver"), &device.driver);
        checks::pool(errors, &path.child("pool"), &device.pool);
        check::dns1123_label(errors, &path.child("device"), &device.device);
        let same = |other: &AllocatedDeviceStatus| {
            (&device.driver, &device.pool, &device.device, &device.share_id)
                == (&other.driver, &other.pool, &other.device, &other.share_id)
        };
        if devices[..index].iter().any(same) {
            errors.push(FieldError::duplicate(path, &format!("{}/{}/{}", device.driver, device.pool, device.device)));
        }
    }
}

fn allocation(errors: &mut Errors, path: &FieldPath, allocation: &AllocationResult, devices: &DeviceClaim) {
    let result = allocation.devices.clone().unwrap_or_default();
    let own = path.child("devices");
    let results = result.results.as_deref().unwrap_or_default();
    checks::at_most(errors, &own.child("results"), results.len(), LIST_MAX);
    for (index, result) in results.iter().enumerate() {
        let path = own.child("results").index(index);
        requests::reference(errors, &path.child("request"), &result.request, devices);
        checks::driver(errors, &path.child("driver"), &result.driver);
        checks::pool(errors, &path.child("pool"), &result.pool);
        check::dns1123_label(errors, &path.child("device"), &result.device);
        for (index, toleration) in result.tolerations.iter().flatten().enumerate() {
            checks::toleration(errors, &path.child("tolerations").index(index), toleration);
        }
    }
    // The class's and the claim's together.
    let settings = result.config.as_deref().unwrap_or_default();
    checks::at_most(errors, &own.child("config"), settings.len(), 2 * LIST_MAX);
    for (index, setting) in settings.iter().enumerate() {
        let path = own.child("config").index(index);
        check::supported(errors, &path.child("source"), Some(&setting.source), &["FromClaim", "FromClass"]);
        for (index, name) in setting.requests.iter().flatten().enumerate() {
            requests::reference(errors, &path.child("requests").index(index), name, devices);
        }
        checks::opaque(errors, &path, setting.opaque.as_ref());
    }
    if let Some(selector) = &allocation.node_selector {
        scheduling::node_selector(errors, &path.child("nodeSelector"), selector);
    }
}
