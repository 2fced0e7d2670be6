//! What policies and match conditions came to, in upstream's names.
//!
//! Bound: one series per policy, binding and outcome, or per owner of conditions and operation; that of `Series` in all.

use super::expressions::{Conditions, Met};
use cel::Activation;
use exposition::{Family, Series};
use registry::Operation;
use std::time::{Duration, Instant};

const CHECKS_SECONDS: &[f64] = &[0.000_000_5, 0.001, 0.01, 0.1, 1.0];
const CONDITIONS_SECONDS: &[f64] = &[0.001, 0.005, 0.01, 0.025, 0.1, 0.2, 0.25];

/// How often something was done, and how long that took.
type Counted = [Family; 2];

static VALIDATING: Counted = [
    Family::counter("apiserver_validating_admission_policy_check_total", "Validations by policies."),
    Family::histogram(
        "apiserver_validating_admission_policy_check_duration_seconds",
        "How long expressions of policies took.",
        CHECKS_SECONDS,
    ),
];
static MUTATING: Counted = [
    Family::counter("apiserver_mutating_admission_policy_check_total", "Mutations by policies."),
    Family::histogram(
        "apiserver_mutating_admission_policy_check_duration_seconds",
        "How long expressions of policies took.",
        CHECKS_SECONDS,
    ),
];
static CONDITIONS: Family = Family::histogram(
    "apiserver_admission_match_condition_evaluation_seconds",
    "How long match conditions took.",
    CONDITIONS_SECONDS,
);
static CONDITION_ERRORS: Family = Family::counter(
    "apiserver_admission_match_condition_evaluation_errors_total",
    "Match conditions that could not be evaluated.",
);
static EXCLUSIONS: Family =
    Family::counter("apiserver_admission_match_condition_exclusions_total", "Writes that match conditions excluded.");

/// Why an expression gave no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    None,
    Compiling,
    Evaluating,
    Budget,
}

impl Trouble {
    fn name(self) -> &'static str {
        match self {
            Trouble::None => "no_error",
            Trouble::Compiling => "compile_error",
            Trouble::Evaluating => "invalid_error",
            Trouble::Budget => "out_of_budget",
        }
    }
}

/// Whose conditions are asked, of what.
#[derive(Clone, Copy)]
pub(super) struct Owner<'a> {
    pub(super) name: &'a str,
    /// `webhook` or `policy`.
    pub(super) kind: &'static str,
    pub(super) may_change: bool,
    pub(super) operation: Operation,
}

#[derive(Default)]
pub(crate) struct Measures {
    series: Series,
}

impl Measures {
    /// One expression of a policy, and what was done about its answer.
    pub(super) fn validated(&self, policy: &str, binding: &str, trouble: Trouble, action: &str, took: Duration) {
        let labels = [
            ("enforcement_action", action),
            ("error_type", trouble.name()),
            ("policy", policy),
            ("policy_binding", binding),
        ];
        self.counted(&VALIDATING, &labels, took);
    }

    pub(super) fn mutated(&self, policy: &str, binding: &str, trouble: Trouble, took: Duration) {
        let labels = [("error_type", trouble.name()), ("policy", policy), ("policy_binding", binding)];
        self.counted(&MUTATING, &labels, took);
    }

    fn counted(&self, [count, duration]: &'static Counted, labels: &[(&str, &str)], took: Duration) {
        self.series.count(count, labels);
        self.series.took(duration, labels, took);
    }

    /// Asks the conditions, if there are any.
    pub(super) fn met(&self, owner: Owner<'_>, conditions: &Conditions, activation: &Activation<'_>) -> Met {
        if conditions.is_empty() {
            return Met::Yes;
        }
        let begun = Instant::now();
        let met = conditions.judge(activation);
        let Owner { name, kind, may_change, operation } = owner;
        let sort = if may_change { "admit" } else { "validating" };
        let labels = [("kind", kind), ("name", name), ("operation", operation.name()), ("type", sort)];
        match met {
            Met::Yes => {}
            Met::No(_) => self.series.count(&EXCLUSIONS, &labels),
            Met::Failed(_) => self.series.count(&CONDITION_ERRORS, &labels),
        }
        self.series.took(&CONDITIONS, &labels, begun.elapsed());
        met
    }

    /// Appends everything, as text.
    pub(crate) fn write(&self, out: &mut String) -> std::fmt::Result {
        let [validations, validated] = &VALIDATING;
        let [mutations, mutated] = &MUTATING;
        let families = [validations, validated, mutations, mutated, &CONDITIONS, &CONDITION_ERRORS, &EXCLUSIONS];
        self.series.write(&families, out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_told_apart() {
        let measures = Measures::default();
        measures.validated("p", "b", Trouble::None, "deny", Duration::from_millis(20));
        measures.validated("p", "b", Trouble::None, "deny", Duration::from_millis(2));
        measures.mutated("m", "b", Trouble::Budget, Duration::from_secs(2));
        let mut text = String::new();
        measures.write(&mut text).unwrap();
        let own = "enforcement_action=\"deny\",error_type=\"no_error\",policy=\"p\",policy_binding=\"b\"";
        for line in [
            format!("apiserver_validating_admission_policy_check_total{{{own}}} 2\n"),
            format!("validating_admission_policy_check_duration_seconds_bucket{{{own},le=\"0.01\"}} 1\n"),
            format!("validating_admission_policy_check_duration_seconds_bucket{{{own},le=\"0.1\"}} 2\n"),
            "mutating_admission_policy_check_total{error_type=\"out_of_budget\",policy=\"m\",policy_binding=\"b\"} 1\n"
                .to_owned(),
        ] {
            assert!(text.contains(&line), "{line} in {text}");
        }
    }
}
