//! PriorityLevelConfiguration: how many requests of a level are served at once, and what becomes of more.

use super::mandatory::{self, EXEMPT};
use super::rules;
use crate::check::{self, Errors};
use crate::core::columns;
use crate::field::{FieldError, FieldPath};
use crate::kind::{Kind, generation_of_spec, status_apart};
use crate::resource::{Column, ResourceDef, Scope, Subresource};
use crate::table::Cell;
use k8s_openapi::api::flowcontrol::v1::{
    LimitResponse, LimitedPriorityLevelConfiguration, PriorityLevelConfiguration, PriorityLevelConfigurationSpec,
    QueuingConfiguration,
};
use k8s_openapi::jiff::Timestamp;

const SHARES_DEFAULT: i32 = 30;
const QUEUES_MAX: i32 = 10_000_000;
/// Bits of the hash by which requests are dealt to queues.
const ENTROPY_BITS_MAX: i64 = 60;
const POSITIVE: &str = "must be positive";

impl Kind for PriorityLevelConfiguration {
    const DEF: ResourceDef = ResourceDef {
        subresources: &[Subresource::Status],
        columns: &[
            Column::NAME,
            Column::text("Type").about("Whether it is limited."),
            Column::text("NominalConcurrencyShares").about("Its part of the server's seats."),
            Column::text("Queues").about("How many queues it has."),
            Column::text("HandSize").about("How many queues a flow may use."),
            Column::text("QueueLengthLimit").about("How many requests may wait in a queue."),
            Column::AGE,
        ],
        ..ResourceDef::new(
            "flowcontrol.apiserver.k8s.io",
            "v1",
            "PriorityLevelConfiguration",
            "prioritylevelconfigurations",
            "prioritylevelconfiguration",
            Scope::Cluster,
            "k8s.io.api.flowcontrol.v1.PriorityLevelConfiguration",
        )
    };

    fn defaults(&mut self) {
        if let Some(exempt) = &mut self.spec.exempt {
            exempt.nominal_concurrency_shares.get_or_insert(0);
            exempt.lendable_percent.get_or_insert(0);
        }
        if let Some(limited) = &mut self.spec.limited {
            limited.nominal_concurrency_shares.get_or_insert(SHARES_DEFAULT);
            limited.lendable_percent.get_or_insert(0);
            if let Some(queuing) = &mut limited.limit_response.queuing {
                for (field, default) in
                    [(&mut queuing.hand_size, 8), (&mut queuing.queues, 64), (&mut queuing.queue_length_limit, 50)]
                {
                    *field = Some(field.filter(|value| *value != 0).unwrap_or(default));
                }
            }
        }
        self.status.get_or_insert_default();
    }

    status_apart!(PriorityLevelConfiguration);
    generation_of_spec!(PriorityLevelConfiguration);

    fn validate(&self) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let name = self.metadata.name.as_deref().unwrap_or_default();
        spec(&mut errors, name, &self.spec);
        fixed(&mut errors, name, &self.spec);
        let conditions = self.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
        rules::condition_types(&mut errors, conditions.iter().map(|condition| condition.type_.as_str()));
        errors
    }

    fn row(&self, now: Timestamp) -> Vec<Cell> {
        let limited = self.spec.limited.as_ref();
        let exempt = self.spec.exempt.as_ref();
        let shares = limited.map(|own| own.nominal_concurrency_shares.unwrap_or_default());
        let shares = shares.or_else(|| exempt.and_then(|own| own.nominal_concurrency_shares));
        let queuing = limited.and_then(|own| own.limit_response.queuing.as_ref());
        let number = |value: Option<i32>| value.map_or(Cell::from("<none>"), Cell::from);
        vec![
            columns::name(&self.metadata),
            Cell::from(self.spec.type_.as_str()),
            number(shares),
            number(queuing.and_then(|own| own.queues)),
            number(queuing.and_then(|own| own.hand_size)),
            number(queuing.and_then(|own| own.queue_length_limit)),
            columns::created(&self.metadata, now),
        ]
    }
}

fn spec(errors: &mut Errors, name: &str, spec: &PriorityLevelConfigurationSpec) {
    let path = FieldPath::new("spec");
    if (name == EXEMPT) != (spec.type_ == "Exempt") {
        let detail = "type must be 'Exempt' if and only if name is 'exempt'";
        errors.push(FieldError::invalid(path.child("type"), &spec.type_, detail));
    }
    match (spec.type_.as_str(), &spec.limited) {
        ("Exempt", Some(_)) => {
            let detail = "must be nil if the type is not Limited";
            errors.push(FieldError::forbidden(path.child("limited"), detail));
        }
        ("Limited", None) => {
            errors.push(FieldError::required(path.child("limited"), "must not be empty when type is Limited"));
        }
        ("Limited", Some(own)) => limited(errors, &path.child("limited"), own),
        ("Exempt", None) => {}
        (other, _) => errors.push(FieldError::not_supported(path.child("type"), other, &["Exempt", "Limited"])),
    }
    match &spec.exempt {
        Some(_) if spec.type_ == "Limited" => {
            let detail = "must be nil if the type is Limited";
            errors.push(FieldError::forbidden(path.child("exempt"), detail));
        }
        Some(own) => {
            shares(errors, &path.child("exempt"), own.nominal_concurrency_shares, own.lendable_percent);
        }
        None => {}
    }
}

/// That a level which no server can do without is as it must be.
fn fixed(errors: &mut Errors, name: &str, spec: &PriorityLevelConfigurationSpec) {
    let Some(fixed) = mandatory::level(name) else { return };
    let (rest, but) = match name {
        EXEMPT => (PriorityLevelConfigurationSpec { exempt: None, ..spec.clone() }, " except the 'spec.exempt' field"),
        _ => (spec.clone(), ""),
    };
    if !check::same(&rest, &fixed) {
        let detail = format!("spec of '{name}'{but} must equal the fixed value");
        errors.push(FieldError::invalid(FieldPath::new("spec"), spec, detail));
    }
}

fn shares(errors: &mut Errors, path: &FieldPath, nominal: Option<i32>, lendable: Option<i32>) {
    if let Some(nominal) = nominal.filter(|nominal| *nominal < 0) {
        let detail = "must be a non-negative integer";
        errors.push(FieldError::invalid(path.child("nominalConcurrencyShares"), &nominal, detail));
    }
    if let Some(percent) = lendable.filter(|percent| !(0..=100).contains(percent)) {
        let detail = "must be between 0 and 100, inclusive";
        errors.push(FieldError::invalid(path.child("lendablePercent"), &percent, detail));
    }
}

fn limited(errors: &mut Errors, path: &FieldPath, limited: &LimitedPriorityLevelConfiguration) {
    shares(errors, path, limited.nominal_concurrency_shares, limited.lendable_percent);
    if let Some(percent) = limited.borrowing_limit_percent.filter(|percent| *percent < 0) {
        let detail = "if specified, must be a non-negative integer";
        errors.push(FieldError::invalid(path.child("borrowingLimitPercent"), &percent, detail));
    }
    response(errors, &path.child("limitResponse"), &limited.limit_response);
}

fn response(errors: &mut Errors, path: &FieldPath, response: &LimitResponse) {
    match (response.type_.as_str(), &response.queuing) {
        ("Reject", Some(_)) => {
            let detail = "must be nil if limited.limitResponse.type is not Limited";
            errors.push(FieldError::forbidden(path.child("queuing"), detail));
        }
        ("Queue", None) => {
            let detail = "must not be empty if limited.limitResponse.type is Limited";
            errors.push(FieldError::required(path.child("queuing"), detail));
        }
        ("Queue", Some(own)) => queuing(errors, &path.child("queuing"), own),
        ("Reject", None) => {}
        (other, _) => check::supported(errors, &path.child("type"), Some(other), &["Queue", "Reject"]),
    }
}

fn queuing(errors: &mut Errors, path: &FieldPath, queuing: &QueuingConfiguration) {
    let value = |value: Option<i32>| value.unwrap_or_default();
    let (queues, hand, limit) = (value(queuing.queues), value(queuing.hand_size), value(queuing.queue_length_limit));
    if limit <= 0 {
        errors.push(FieldError::invalid(path.child("queueLengthLimit"), &limit, POSITIVE));
    }
    if queues <= 0 {
        errors.push(FieldError::invalid(path.child("queues"), &queues, POSITIVE));
    } else if queues > QUEUES_MAX {
        let detail = format!("must not be greater than {QUEUES_MAX}");
        errors.push(FieldError::invalid(path.child("queues"), &queues, detail));
    }
    let path = path.child("handSize");
    let bits = (f64::from(queues.max(1)).log2() * f64::from(hand)).ceil() as i64;
    if hand <= 0 {
        errors.push(FieldError::invalid(path, &hand, POSITIVE));
    } else if hand > queues {
        errors.push(FieldError::invalid(path, &hand, format!("should not be greater than queues ({queues})")));
    } else if bits > ENTROPY_BITS_MAX {
        let detail = format!(
            "required entropy bits of deckSize {queues} and handSize {hand} should not be greater than \
             {ENTROPY_BITS_MAX}"
        );
        errors.push(FieldError::invalid(path, &hand, detail));
    }
}
