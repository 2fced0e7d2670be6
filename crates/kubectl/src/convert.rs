//! Small readings of times and numbers that several commands print.

use jiff::Timestamp;

/// How long ago a time of the API was; `<unknown>` without one.
pub(crate) fn age(time: &str) -> String {
    match time.parse::<Timestamp>() {
        Ok(then) => api::table::duration(Timestamp::now().as_second() - then.as_second()),
        Err(_) => "<unknown>".to_owned(),
    }
}
