//! The kinds of the resource group: devices, and claims on them.

mod allocation;
mod checks;
mod device;
mod device_class;
mod device_taint_rule;
mod requests;
mod resource_claim;
mod resource_claim_template;
mod resource_slice;
mod selectors;

pub use checks::EXPRESSION_BYTES_MAX;
pub use selectors::expressions;
