//! (being written by the second engineer)
