//! Job: runs pods until enough of them finish.

use super::{status, validate};
use crate::check::{self, Errors};
use crate::core::{columns, pod};
use crate::field::{FieldError, FieldPath};
use crate::kind::{FieldValues, Kind};
use crate::resource::{Column, ResourceDef, Scope, Subresource};
use crate::selector;
use crate::table::{Cell, duration};
use k8s_openapi::api::batch::v1::{Job, JobSpec, JobStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::jiff::Timestamp;

const RETRIES: i32 = 6;
/// By which a job's pods are told from others', and the labels' names of before 1.27.
const CONTROLLER_UID: &str = "batch.kubernetes.io/controller-uid";
const JOB_NAME: &str = "batch.kubernetes.io/job-name";
const OLD_CONTROLLER_UID: &str = "controller-uid";
const OLD_JOB_NAME: &str = "job-name";

impl Kind for Job {
    const DEF: ResourceDef = ResourceDef {
        categories: &["all"],
        subresources: &[Subresource::Status],
        columns: &[
            Column::NAME,
            Column::text("Status").about("What has become of it."),
            Column::text("Completions").about("How many of its pods have finished, of how many."),
            Column::text("Duration").about("How long it took, or takes so far."),
            Column::AGE,
            columns::CONTAINERS,
            columns::IMAGES,
            columns::SELECTOR,
        ],
        selectable: &["status.successful"],
        unattended: true,
        ..ResourceDef::new("batch", "v1", "Job", "jobs", "job", Scope::Namespaced, "k8s.io.api.batch.v1.Job")
    };

    fn defaults(&mut self) {
        let spec = self.spec.get_or_insert_default();
        self::spec_defaults(spec);
        super::policies::defaults(spec);
        if self.metadata.labels.as_ref().is_none_or(|labels| labels.is_empty()) {
            self.metadata.labels = spec.template.metadata.as_ref().and_then(|meta| meta.labels.clone());
        }
        self.status.get_or_insert_default();
    }

    /// Unless its author chose a selector, a job's pods are those that carry its uid.
    fn prepare_create(&mut self) {
        self.status = None;
        let spec = self.spec.get_or_insert_default();
        if spec.manual_selector == Some(true) {
            return;
        }
        let (name, uid) =
            (self.metadata.name.clone().unwrap_or_default(), self.metadata.uid.clone().unwrap_or_default());
        let labels = spec.template.metadata.get_or_insert_default().labels.get_or_insert_default();
        // The job takes over the labels that its author gave the pods, without those of this one job.
        if self.metadata.labels.as_ref().is_none_or(|own| own.is_empty()) && !labels.is_empty() {
            self.metadata.labels = Some(labels.clone());
        }
        for (label, value) in
            [(JOB_NAME, &name), (OLD_JOB_NAME, &name), (CONTROLLER_UID, &uid), (OLD_CONTROLLER_UID, &uid)]
        {
            labels.entry(label.to_owned()).or_insert_with(|| value.clone());
        }
        let selected = spec.selector.get_or_insert_default().match_labels.get_or_insert_default();
        selected.entry(CONTROLLER_UID.to_owned()).or_insert(uid);
    }

    fn prepare_update(&mut self, old: &Job) {
        self.status.clone_from(&old.status);
    }

    fn prepare_status(&mut self, old: &Job) {
        self.spec.clone_from(&old.spec);
    }

    fn validate(&self) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let (path, spec) = (FieldPath::new("spec"), self.spec.clone().unwrap_or_default());
        validate::spec(&mut errors, &path, &spec);
        validate::selector(&mut errors, &path, &spec);
        errors
    }

    fn validate_create(&self) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let Some(spec) = self.spec.as_ref().filter(|spec| spec.manual_selector != Some(true)) else { return errors };
        let uid = self.metadata.uid.clone().unwrap_or_default();
        let generated =
            LabelSelector { match_labels: Some([(CONTROLLER_UID.to_owned(), uid)].into()), match_expressions: None };
        if spec.selector.as_ref() != Some(&generated) {
            let path = FieldPath::new("spec").child("selector");
            errors.push(FieldError::invalid(path, &spec.selector, "`selector` not auto-generated"));
        }
        errors
    }

    fn validate_update(&self, old: &Job) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let is_waiting = |job: &Job| {
            let started = job.status.as_ref().is_some_and(|status| status.start_time.is_some());
            job.spec.as_ref().is_some_and(|spec| spec.suspend == Some(true)) && !started
        };
        let (spec, before) = (self.spec.clone().unwrap_or_default(), old.spec.clone().unwrap_or_default());
        validate::update(&mut errors, &FieldPath::new("spec"), &spec, &before, is_waiting(old));
        status::update(&mut errors, self, old);
        errors
    }

    const GENERATION: bool = true;

    fn spec_differs(&self, old: &Job) -> bool {
        !check::same(&self.spec, &old.spec)
    }

    fn fields(&self) -> FieldValues {
        let succeeded = self.status.as_ref().and_then(|status| status.succeeded).unwrap_or_default();
        std::iter::once(("status.successful", succeeded.to_string())).collect()
    }

    fn row(&self, now: Timestamp) -> Vec<Cell> {
        let (no_spec, no_status) = (JobSpec::default(), JobStatus::default());
        let spec = self.spec.as_ref().unwrap_or(&no_spec);
        let status = self.status.as_ref().unwrap_or(&no_status);
        let [names, images] = columns::containers(Some(&spec.template));
        let took = status.start_time.as_ref().map(|start| {
            let end = status.completion_time.as_ref().map_or(now, |end| end.0);
            duration(end.as_second() - start.0.as_second())
        });
        vec![
            columns::name(&self.metadata),
            Cell::from(state(self, status)),
            Cell::Text(completions(spec, status)),
            Cell::Text(took.unwrap_or_default()),
            columns::created(&self.metadata, now),
            names,
            images,
            Cell::Text(selector::printed(spec.selector.as_ref())),
        ]
    }
}

/// Also of the jobs that a CronJob makes.
pub(super) fn spec_defaults(spec: &mut JobSpec) {
    if spec.completions.is_none() && spec.parallelism.is_none() {
        spec.completions = Some(1);
    }
    spec.parallelism.get_or_insert(1);
    let retries = if spec.backoff_limit_per_index.is_some() { i32::MAX } else { RETRIES };
    spec.backoff_limit.get_or_insert(retries);
    spec.completion_mode.get_or_insert_with(|| "NonIndexed".to_owned());
    spec.suspend.get_or_insert(false);
    spec.manual_selector.get_or_insert(false);
    let replacement = if spec.pod_failure_policy.is_some() { "Failed" } else { "TerminatingOrFailed" };
    spec.pod_replacement_policy.get_or_insert_with(|| replacement.to_owned());
    pod::defaults::template(&mut spec.template);
}

fn state(job: &Job, status: &JobStatus) -> &'static str {
    let holds = |kind: &str| {
        status.conditions.iter().flatten().any(|condition| condition.type_ == kind && condition.status == "True")
    };
    match job.metadata.deletion_timestamp {
        _ if holds("Complete") => "Complete",
        _ if holds("Failed") => "Failed",
        Some(_) => "Terminating",
        None if holds("Suspended") => "Suspended",
        None if holds("FailureTarget") => "FailureTarget",
        None if holds("SuccessCriteriaMet") => "SuccessCriteriaMet",
        None => "Running",
    }
}

fn completions(spec: &JobSpec, status: &JobStatus) -> String {
    let succeeded = status.succeeded.unwrap_or_default();
    match (spec.completions, spec.parallelism.unwrap_or_default()) {
        (Some(completions), _) => format!("{succeeded}/{completions}"),
        (None, parallelism) if parallelism > 1 => format!("{succeeded}/1 of {parallelism}"),
        (None, _) => format!("{succeeded}/1"),
    }
}
