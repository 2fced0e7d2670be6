//! The kinds of the policy group.

mod pod_disruption_budget;
