//! The node as the API sees it: its object, its heartbeat, its conditions.

pub(crate) mod lease;
pub(crate) mod machine;
pub(crate) mod pressure;
pub(crate) mod registration;
pub(crate) mod status;
pub(crate) mod thresholds;
