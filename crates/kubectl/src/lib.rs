//! The client, ours.

/// Runs a command line; `fallback` is the kubeconfig used when none is named.
pub fn main(_arguments: Vec<std::ffi::OsString>, _fallback: &std::path::Path) -> std::process::ExitCode {
    std::process::ExitCode::FAILURE
}
