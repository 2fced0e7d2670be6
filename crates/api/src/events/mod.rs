//! The kinds of the events group.

mod event;
