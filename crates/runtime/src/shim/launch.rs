//! Starts a pod's shim.

use std::process::Stdio;
use std::time::Duration;

use ::shim::protocol::{Encode, PodSpec};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use super::{Binary, ClientError};

/// How long a shim may take to make its namespaces; a few milliseconds on a machine that is not overloaded.
const READY_TIMEOUT: Duration = Duration::from_secs(30);

/// What a shim says is one line; a longer one is cut.
const ANSWER_BYTES_MAX: u64 = 4096;

/// Starts a shim for `spec` and waits until it serves. It is nobody's child by then.
pub(crate) async fn launch(binary: &Binary, spec: &PodSpec) -> Result<(), ClientError> {
    match tokio::time::timeout(READY_TIMEOUT, start(binary, spec)).await {
        Ok(Ok(answer)) if answer == "ok\n" => Ok(()),
        Ok(Ok(answer)) => Err(ClientError::Launch(answer.trim().to_owned())),
        Ok(Err(source)) => Err(ClientError::Launch(source.to_string())),
        Err(_) => Err(ClientError::Launch("timed out".into())),
    }
}

async fn start(binary: &Binary, spec: &PodSpec) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    spec.encode(&mut bytes);
    // Its arguments are for those who read `ps`.
    let mut command = Command::new(binary.path());
    command.arg0("sampan-shim").arg(&spec.id).env_clear().current_dir("/");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(&bytes).await?;
    }
    let mut answer = String::new();
    if let Some(stdout) = child.stdout.take() {
        // Until the end of the pipe: the daemon closes its copy when it serves.
        stdout.take(ANSWER_BYTES_MAX).read_to_string(&mut answer).await?;
    }
    child.wait().await?;
    Ok(answer)
}
