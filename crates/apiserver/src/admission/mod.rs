//! The judges of every write, one file and one table row each.
