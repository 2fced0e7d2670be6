//! The kinds of the autoscaling group.

mod columns;
mod horizontal_pod_autoscaler;
mod horizontal_pod_autoscaler_v1;
mod metrics_v1;
mod scale;
mod validate;
