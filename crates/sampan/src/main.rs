//! The one binary: roles, their flags and their wiring.
fn main() {}
