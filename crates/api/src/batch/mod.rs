//! The kinds of the batch group.

mod cron_job;
mod indexes;
mod job;
mod policies;
mod schedule;
mod status;
mod validate;
