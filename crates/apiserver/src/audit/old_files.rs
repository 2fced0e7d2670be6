//! Audit logs that are full: named by when they were put aside, packed, and removed in time.
//!
//! Invariant: only files whose names have this form are touched.

use super::log_file::Rotation;
use flate2::Compression;
use flate2::write::GzEncoder;
use k8s_openapi::jiff::civil::DateTime;
use k8s_openapi::jiff::tz::TimeZone;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

const TIME_FORMAT: &str = "%Y-%m-%dT%H-%M-%S%.3f";
const PACKED: &str = ".gz";

#[derive(Clone, Debug)]
pub(super) struct OldFiles {
    current: PathBuf,
    folder: PathBuf,
    /// `audit-` and `.log`.
    prefix: String,
    suffix: String,
}

struct OldFile {
    path: PathBuf,
    when: Timestamp,
    packed: bool,
}

impl OldFiles {
    pub(super) fn of(path: &Path) -> OldFiles {
        let text = |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
        let extension = text(path.extension());
        OldFiles {
            current: path.to_owned(),
            folder: path.parent().map_or_else(PathBuf::new, Path::to_owned),
            prefix: format!("{}-", text(path.file_stem())),
            suffix: if extension.is_empty() { extension } else { format!(".{extension}") },
        }
    }

    /// Names the current file by the time; of two in one millisecond the later has the next.
    pub(super) fn put_aside(&self) -> io::Result<()> {
        let mut when = Timestamp::now();
        loop {
            let name = format!("{}{}{}", self.prefix, when.strftime(TIME_FORMAT), self.suffix);
            let aside = self.folder.join(&name);
            if !aside.exists() && !self.folder.join(format!("{name}{PACKED}")).exists() {
                return std::fs::rename(&self.current, aside);
            }
            when += SignedDuration::from_millis(1);
        }
    }

    /// Removes what is too old or too much, and packs the rest where that is wanted.
    pub(super) fn tidy(&self, rotation: Rotation) {
        let mut files = match self.list() {
            Ok(files) => files,
            Err(error) => return tracing::error!(folder = %self.folder.display(), %error, "listing old audit logs"),
        };
        files.sort_by_key(|file| std::cmp::Reverse(file.when));
        let oldest = i64::try_from(rotation.days_max)
            .ok()
            .filter(|days| *days > 0)
            .and_then(|days| Timestamp::now().checked_sub(SignedDuration::from_hours(24 * days)).ok());
        for (index, file) in files.iter().enumerate() {
            let too_many = rotation.files_max > 0 && index >= rotation.files_max;
            let done = if too_many || oldest.is_some_and(|oldest| file.when < oldest) {
                std::fs::remove_file(&file.path)
            } else if rotation.compress && !file.packed {
                pack(&file.path)
            } else {
                Ok(())
            };
            if let Err(error) = done {
                tracing::error!(file = %file.path.display(), %error, "tidying an old audit log");
            }
        }
    }

    fn list(&self) -> io::Result<Vec<OldFile>> {
        let folder = if self.folder.as_os_str().is_empty() { Path::new(".") } else { &self.folder };
        let mut files = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            let plain = name.strip_suffix(PACKED);
            let packed = plain.is_some();
            let time =
                plain.unwrap_or(name).strip_prefix(&self.prefix).and_then(|rest| rest.strip_suffix(&self.suffix));
            let when = time.and_then(|time| DateTime::strptime(TIME_FORMAT, time).ok());
            let Some(when) = when.and_then(|when| when.to_zoned(TimeZone::UTC).ok()) else { continue };
            files.push(OldFile { path: entry.path(), when: when.timestamp(), packed });
        }
        Ok(files)
    }
}

/// The packed file is there whole before the plain one goes.
fn pack(path: &Path) -> io::Result<()> {
    let named = |ending: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        PathBuf::from(name)
    };
    let (draft, packed) = (named(".gz.draft"), named(PACKED));
    let plain = File::open(path)?;
    let made = File::create(&draft)?;
    made.set_permissions(plain.metadata()?.permissions())?;
    let mut encoder = GzEncoder::new(made, Compression::default());
    io::copy(&mut &plain, &mut encoder)?;
    encoder.finish()?.sync_all()?;
    std::fs::rename(draft, packed)?;
    std::fs::remove_file(path)
}
