//! The kinds of the storagemigration group.

mod storage_version_migration;
