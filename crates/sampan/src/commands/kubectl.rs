//! `kubectl`: our own client; without a kubeconfig named, the admin's of this machine's cluster.

use std::ffi::OsString;
use std::process::ExitCode;

pub(crate) fn kubectl(arguments: Vec<OsString>) -> ExitCode {
    let data_dir = std::env::var_os("SAMPAN_DATA_DIR").unwrap_or_else(|| "/var/lib/sampan".into());
    kubectl::main(arguments, &std::path::Path::new(&data_dir).join("admin.kubeconfig"))
}
