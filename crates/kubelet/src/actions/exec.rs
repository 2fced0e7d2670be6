//! Commands in containers, run to their end.

use cri::Runtime;
use cri::v1::ExecSyncRequest;
use std::time::Duration;
use tonic::Code;

/// Output that is kept, as upstream.
const OUTPUT_BYTES_MAX: usize = 10 << 10;

pub(crate) struct Done {
    pub(crate) code: i32,
    /// What it printed, both streams, cut.
    pub(crate) output: String,
}

pub(crate) enum Failure {
    TimedOut,
    /// It could not be run at all.
    Impossible(String),
}

/// `timeout` of zero is none.
pub(crate) async fn run(
    runtime: &dyn Runtime,
    id: &str,
    command: &[String],
    timeout: Duration,
) -> Result<Done, Failure> {
    let seconds = i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX);
    let request = ExecSyncRequest { container_id: id.to_owned(), cmd: command.to_vec(), timeout: seconds };
    match runtime.exec_sync(request).await {
        Ok(answer) => {
            let mut bytes = answer.stdout;
            bytes.extend_from_slice(&answer.stderr);
            bytes.truncate(OUTPUT_BYTES_MAX);
            Ok(Done { code: answer.exit_code, output: String::from_utf8_lossy(&bytes).into_owned() })
        }
        Err(status) if status.code() == Code::DeadlineExceeded => Err(Failure::TimedOut),
        Err(status) => Err(Failure::Impossible(status.message().to_owned())),
    }
}
