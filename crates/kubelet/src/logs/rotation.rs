//! Rotates logs that have grown: at most `FILES_MAX` of `FILE_BYTES_MAX` for each container instance.
//!
//! Where a runtime lets a container write as fast as it can, a file is larger when it is looked at: then it is looked at
//! again soon, and the rotated ones that wait for the archive have at most `ROTATED_BYTES_MAX`.

use crate::context::Context;
use ::logs::{Part, Rotation};
use cri::v1::ReopenContainerLogRequest;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(crate) const FILE_BYTES_MAX: u64 = 10 << 20;
const FILES_MAX: usize = 5;
/// Of an instance's rotated files: as much as the embedded runtime's rate can make of them.
const ROTATED_BYTES_MAX: u64 = 256 << 20;
/// Between two looks, and while a log grows by several files from one to the next.
const LOOK: Duration = Duration::from_secs(2);
const LOOK_HURRIED: Duration = Duration::from_millis(500);

/// A running instance's log.
#[derive(Clone, Debug)]
pub(crate) struct Live {
    pub(crate) id: String,
    pub(crate) file: PathBuf,
}

/// Looks at every live log once; answers when to look again.
pub(crate) async fn rotate_all(context: &Context, logs: Vec<Live>, now: jiff::Timestamp) -> Duration {
    let looked = tokio::task::spawn_blocking(move || grown(logs)).await;
    let (large, largest) = looked.unwrap_or_else(|error| {
        tracing::error!(%error, "logs were not looked at");
        (Vec::new(), 0)
    });
    let mut rotated = false;
    for live in large {
        match rotate(context, &live, now).await {
            Ok(()) => rotated = true,
            Err(error) => tracing::warn!(id = live.id, error, "a log was not rotated"),
        }
    }
    if let Some(archive) = context.archive.as_ref().filter(|_| rotated) {
        archive.look();
    }
    next_look(largest)
}

/// Those that are to be rotated, and the length of the longest. All in one go, as most have not grown.
fn grown(mut logs: Vec<Live>) -> (Vec<Live>, u64) {
    let mut largest = 0;
    logs.retain(|live| {
        let length = std::fs::metadata(&live.file).map_or(0, |about| about.len());
        largest = largest.max(length);
        length >= FILE_BYTES_MAX
    });
    (logs, largest)
}

/// A file that is no larger than two in one look's time comes often enough into its bounds.
fn next_look(largest: u64) -> Duration {
    if largest > 2 * FILE_BYTES_MAX { LOOK_HURRIED } else { LOOK }
}

/// The file gets its last name only when the runtime has another: what has that name is written no more.
async fn rotate(context: &Context, live: &Live, now: jiff::Timestamp) -> Result<(), String> {
    let failed = |error: io::Error| error.to_string();
    let between = beside(&live.file, ROTATING);
    // One that is there already is of a node that ended at this place; the runtime writes to it, or to a new one.
    if !between.exists() {
        tokio::fs::rename(&live.file, &between).await.map_err(failed)?;
    }
    let request = ReopenContainerLogRequest { container_id: live.id.clone() };
    if let Err(status) = context.runtime.reopen_container_log(request).await {
        // The runtime goes on writing to the old file: it gets its name back, unless there is a new one.
        if !live.file.exists() {
            tokio::fs::rename(&between, &live.file).await.map_err(failed)?;
        }
        return Err(status.message().to_owned());
    }
    let (file, archive) = (live.file.clone(), context.archive.clone());
    let done = tokio::task::spawn_blocking(move || {
        let number = match &archive {
            Some(archive) => archive.claim_rotation(&file),
            None => ::logs::claim_rotation(&file),
        };
        std::fs::rename(between, rotated_name(&file, number?, now))?;
        prune(&file)
    });
    done.await.map_err(|error| error.to_string())?.map_err(failed)
}

const ROTATING: &str = ".rotating";

fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// The number keeps the order when the clock does not.
fn rotated_name(file: &Path, number: u64, now: jiff::Timestamp) -> PathBuf {
    beside(file, &format!(".{number:06}-{}", now.strftime("%Y%m%d-%H%M%S")))
}

/// Removes the oldest beyond the bound, the live file counted. Where logs are archived, that is far behind.
fn prune(file: &Path) -> io::Result<()> {
    let (Some(directory), Some(name)) = (file.parent(), file.file_name().and_then(|name| name.to_str())) else {
        return Ok(());
    };
    let attempt = name.trim_end_matches(".log");
    let mut old: Vec<(Part, PathBuf, u64)> = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let own = entry.file_name();
        let own = own.to_str().filter(|own| own.split('.').next() == Some(attempt));
        let part =
            own.and_then(|own| Part::of_log("", own)).filter(|part| matches!(part.rotation, Rotation::Number(_)));
        if let Some(part) = part {
            // Archived meanwhile is as good as nothing.
            old.push((part, entry.path(), entry.metadata().map_or(0, |about| about.len())));
        }
    }
    old.sort();
    let (mut files, mut bytes) = (old.len(), old.iter().map(|(.., length)| length).sum::<u64>());
    for (_, path, length) in &old {
        if files < FILES_MAX && bytes <= ROTATED_BYTES_MAX {
            break;
        }
        (files, bytes) = (files - 1, bytes - length);
        match std::fs::remove_file(path) {
            // Archived meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
            Ok(()) => {
                tracing::warn!(path = %path.display(), "a log grew faster than it was archived; its oldest part is gone")
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_first() {
        let dir = tempfile::tempdir().unwrap();
        let live = dir.path().join("0.log");
        let names =
            ["0.log", "0.log.000002-20260101-000009", "0.log.000003-20260101-000002", "0.log.000010-20260101-000003"];
        let more = ["0.log.20260101-000004", "0.log.20260102-000005", "10.log", "0.rotations"];
        for name in names.iter().chain(&more) {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        prune(&live).unwrap();
        let mut left: Vec<_> =
            std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        left.sort();
        assert_eq!(left.len(), 7);
        assert!(!left.contains(&names[1].to_owned()) && left.contains(&"10.log".to_owned()));
    }

    #[test]
    fn files_that_grew_too_fast_are_bounded_by_their_bytes() {
        let dir = tempfile::tempdir().unwrap();
        for number in 1..=3 {
            let file = std::fs::File::create(dir.path().join(format!("0.log.{number:06}-x"))).unwrap();
            // Sparse: they take no room.
            file.set_len(100 << 20).unwrap();
        }
        prune(&dir.path().join("0.log")).unwrap();
        assert!(!dir.path().join("0.log.000001-x").exists());
        assert!(dir.path().join("0.log.000002-x").exists() && dir.path().join("0.log.000003-x").exists());
    }

    #[test]
    fn a_log_that_grows_fast_is_looked_at_again_soon() {
        assert_eq!([0, FILE_BYTES_MAX, 2 * FILE_BYTES_MAX].map(next_look), [LOOK; 3]);
        assert_eq!(next_look(500 << 20), LOOK_HURRIED);
    }

    #[test]
    fn number_and_time_are_in_the_name() {
        let now: jiff::Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        assert_eq!(rotated_name(Path::new("/l/0.log"), 3, now), Path::new("/l/0.log.000003-20260102-030405"));
    }
}
