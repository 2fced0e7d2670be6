//! The client alone: the same as `sampan kubectl`, for machines without a cluster and for the tests of this crate.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    kubectl::main(std::env::args_os().skip(1).collect(), Path::new("/var/lib/sampan/admin.kubeconfig"))
}
