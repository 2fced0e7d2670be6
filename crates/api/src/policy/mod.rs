//! The kinds of the policy group.

mod eviction;
mod pod_disruption_budget;
