//! The kinds of the events group.
