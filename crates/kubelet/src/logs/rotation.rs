//! Rotates logs that have grown: at most `FILES_MAX` of `FILE_BYTES_MAX` for each container instance.

use crate::context::Context;
use cri::v1::ReopenContainerLogRequest;
use std::io;
use std::path::{Path, PathBuf};

pub(crate) const FILE_BYTES_MAX: u64 = 10 << 20;
const FILES_MAX: usize = 5;

/// A running instance's log.
#[derive(Clone, Debug)]
pub(crate) struct Live {
    pub(crate) id: String,
    pub(crate) file: PathBuf,
}

/// Looks at every live log once.
pub(crate) async fn rotate_all(context: &Context, logs: Vec<Live>, now: jiff::Timestamp) {
    for live in logs {
        let grown = tokio::fs::metadata(&live.file).await.is_ok_and(|meta| meta.len() >= FILE_BYTES_MAX);
        if !grown {
            continue;
        }
        if let Err(error) = rotate(context, &live, now).await {
            tracing::warn!(id = live.id, error, "a log was not rotated");
        }
    }
}

async fn rotate(context: &Context, live: &Live, now: jiff::Timestamp) -> Result<(), String> {
    let to = rotated_name(&live.file, now);
    let failed = |error: io::Error| error.to_string();
    tokio::fs::rename(&live.file, &to).await.map_err(failed)?;
    let request = ReopenContainerLogRequest { container_id: live.id.clone() };
    if let Err(status) = context.runtime.reopen_container_log(request).await {
        // The runtime goes on writing to the old file: it keeps its name.
        tokio::fs::rename(&to, &live.file).await.map_err(failed)?;
        return Err(status.message().to_owned());
    }
    let file = live.file.clone();
    let pruned = tokio::task::spawn_blocking(move || prune(&file)).await;
    pruned.map_err(|error| error.to_string())?.map_err(failed)
}

fn rotated_name(file: &Path, now: jiff::Timestamp) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(now.strftime(".%Y%m%d-%H%M%S").to_string());
    name.into()
}

/// Removes the oldest beyond the bound, the live file counted.
fn prune(file: &Path) -> io::Result<()> {
    let (Some(directory), Some(name)) = (file.parent(), file.file_name().and_then(|name| name.to_str())) else {
        return Ok(());
    };
    let mut old: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let is_old =
            entry.file_name().to_str().and_then(|own| own.strip_prefix(name)).is_some_and(|rest| rest.starts_with('.'));
        if is_old {
            old.push(entry.path());
        }
    }
    // The time in the name sorts as it passes.
    old.sort();
    let excess = old.len().saturating_sub(FILES_MAX - 1);
    old.iter().take(excess).try_for_each(std::fs::remove_file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_first() {
        let dir = tempfile::tempdir().unwrap();
        let live = dir.path().join("0.log");
        let names = ["0.log", "0.log.20260101-000001", "0.log.20260101-000002", "0.log.20260101-000003"];
        let more = ["0.log.20260101-000004", "0.log.20260101-000005", "10.log"];
        for name in names.iter().chain(&more) {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        prune(&live).unwrap();
        let mut left: Vec<_> =
            std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        left.sort();
        assert_eq!(left.len(), 6);
        assert!(!left.contains(&names[1].to_owned()) && left.contains(&"10.log".to_owned()));
    }

    #[test]
    fn the_time_is_in_the_name() {
        let now: jiff::Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        assert_eq!(rotated_name(Path::new("/l/0.log"), now), Path::new("/l/0.log.20260102-030405"));
    }
}
