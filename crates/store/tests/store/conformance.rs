//! The embedded engine under the suite that every engine must pass.

use store::{Embedded, Options};
use tempfile::TempDir;

async fn embedded() -> (Embedded, TempDir) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    (Embedded::open(dir.path(), Options::default()).expect("an empty store opens"), dir)
}

conformance!(embedded:
    revisions_begin_at_one_and_are_dense,
    a_key_keeps_when_it_was_created_until_it_is_deleted,
    a_failed_check_changes_nothing_and_shows_the_states,
    a_transaction_happens_whole_or_not_at_all,
    what_changes_nothing_takes_no_revision,
    ranges_are_ordered_pages_of_a_prefix,
    an_old_revision_reads_as_it_was,
    pages_of_one_list_agree_while_others_write,
    a_watch_gives_every_event_after_its_revision,
    a_watch_waits_for_what_comes,
    events_of_a_revision_come_in_one_batch,
    large_revisions_come_whole,
    a_slow_watch_still_gets_everything,
    the_future_is_refused,
    compaction_forgets_what_was_before,
    a_watch_that_missed_nothing_outlives_compaction,
    large_and_empty_values_and_odd_keys_are_kept,
);
