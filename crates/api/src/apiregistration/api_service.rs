//! APIService: who serves a group version: this server, or a service behind it.

use crate::check::{self, Errors};
use crate::core::columns;
use crate::field::{FieldError, FieldPath};
use crate::kind::Kind;
use crate::labels;
use crate::resource::{Column, ResourceDef, Scope, Subresource};
use crate::table::Cell;
use k8s_openapi::jiff::Timestamp;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::{APIService, APIServiceCondition, APIServiceSpec};

const GROUP_PRIORITY_MAX: i32 = 20_000;
const VERSION_PRIORITY_MAX: i32 = 1_000;
const AVAILABLE: &str = "Available";

impl Kind for APIService {
    const DEF: ResourceDef = ResourceDef {
        unconditional_update: false,
        categories: &["api-extensions"],
        subresources: &[Subresource::Status],
        columns: &[
            Column::NAME,
            Column::text("Service").about("Who serves it."),
            Column::text("Available").about("Whether it answers."),
            Column::AGE,
        ],
        ..ResourceDef::new(
            "apiregistration.k8s.io",
            "v1",
            "APIService",
            "apiservices",
            "apiservice",
            Scope::Cluster,
            "k8s.io.kube-aggregator.pkg.apis.apiregistration.v1.APIService",
        )
    };

    fn defaults(&mut self) {
        if let Some(service) = self.spec.get_or_insert_default().service.as_mut() {
            service.port.get_or_insert(443);
        }
        self.status.get_or_insert_default();
    }

    fn prepare_create(&mut self) {
        self.status = None;
        if self.spec.as_ref().is_none_or(|spec| spec.service.is_none()) {
            let available = APIServiceCondition {
                type_: AVAILABLE.to_owned(),
                status: "True".to_owned(),
                reason: Some("Local".to_owned()),
                message: Some("Local APIServices are always available".to_owned()),
                ..APIServiceCondition::default()
            };
            self.status.get_or_insert_default().conditions = Some(vec![available]);
        }
    }

    fn prepare_update(&mut self, old: &APIService) {
        self.status.clone_from(&old.status);
    }

    fn prepare_status(&mut self, old: &APIService) {
        self.spec.clone_from(&old.spec);
    }

    fn validate(&self) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let spec = self.spec.clone().unwrap_or_default();
        let (group, version) = (spec.group.as_deref().unwrap_or_default(), spec.version.as_deref().unwrap_or_default());
        let required = format!("{version}.{group}");
        let name = self.metadata.name.as_deref().unwrap_or_default();
        if name != required {
            let detail = format!("must be `spec.version+\".\"+spec.group`: {required:?}");
            errors.push(FieldError::invalid(FieldPath::new("metadata").child("name"), name, detail));
        }
        let path = FieldPath::new("spec");
        if group.is_empty() && version != "v1" {
            let detail = "only v1 may have an empty group and it better be legacy kube";
            errors.push(FieldError::required(path.child("group"), detail));
        }
        if !group.is_empty() {
            check::dns1123_subdomain(&mut errors, &path.child("group"), group);
        }
        check::each(&mut errors, &path.child("version"), version, labels::dns1035_label(version, false));
        for (field, value, most) in [
            ("groupPriorityMinimum", spec.group_priority_minimum, GROUP_PRIORITY_MAX),
            ("versionPriority", spec.version_priority, VERSION_PRIORITY_MAX),
        ] {
            if !(1..=most).contains(&value) {
                let detail = format!("must be positive and less than {most}");
                errors.push(FieldError::invalid(path.child(field), &value, detail));
            }
        }
        service(&mut errors, &path, &spec);
        let conditions = self.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
        for (index, condition) in conditions.iter().enumerate() {
            let path = FieldPath::new("status").child("conditions").index(index).child("status");
            check::supported_if_set(&mut errors, &path, Some(&condition.status), &["True", "False", "Unknown"]);
        }
        errors
    }

    fn row(&self, now: Timestamp) -> Vec<Cell> {
        let service = self.spec.as_ref().and_then(|spec| spec.service.as_ref());
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let service = service.map(|service| format!("{}/{}", text(&service.namespace), text(&service.name)));
        let conditions = self.status.iter().flat_map(|status| status.conditions.iter().flatten());
        let available = conditions.into_iter().find(|condition| condition.type_ == AVAILABLE);
        let available = available.map(|condition| match condition.reason.as_deref().unwrap_or_default() {
            reason if !reason.is_empty() && condition.status != "True" => format!("{} ({reason})", condition.status),
            _ => condition.status.clone(),
        });
        vec![
            columns::name(&self.metadata),
            Cell::Text(service.unwrap_or_else(|| "Local".to_owned())),
            Cell::Text(available.unwrap_or_else(|| "Unknown".to_owned())),
            columns::created(&self.metadata, now),
        ]
    }

    fn validate_name(name: &str, prefix_only: bool) -> Vec<String> {
        labels::path_segment(name, prefix_only)
    }
}

fn service(errors: &mut Errors, path: &FieldPath, spec: &APIServiceSpec) {
    let bundle = spec.ca_bundle.as_ref().map_or(0, |bundle| bundle.0.len());
    let insecure = spec.insecure_skip_tls_verify.unwrap_or_default();
    let Some(service) = &spec.service else {
        if bundle > 0 {
            let detail = "local APIServices may not have a caBundle";
            errors.push(FieldError::invalid(path.child("caBundle"), &format!("{bundle} bytes"), detail));
        }
        if insecure {
            let detail = "local APIServices may not have insecureSkipTLSVerify";
            errors.push(FieldError::invalid(path.child("insecureSkipTLSVerify"), &insecure, detail));
        }
        return;
    };
    let own = path.child("service");
    check::present(errors, own.child("namespace"), service.namespace.as_deref());
    check::present(errors, own.child("name"), service.name.as_deref());
    let port = service.port.unwrap_or_default();
    let complaints = labels::port_number(port);
    if !complaints.is_empty() {
        let detail = format!("port is not valid: {}", complaints.join(", "));
        errors.push(FieldError::invalid(own.child("port"), &port, detail));
    }
    if insecure && bundle > 0 {
        let detail = "may not be true if caBundle is present";
        errors.push(FieldError::invalid(path.child("insecureSkipTLSVerify"), &insecure, detail));
    }
}
