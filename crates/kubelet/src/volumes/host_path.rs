//! Checks what a hostPath volume says it expects, and creates what it says to create.

use k8s_openapi::api::core::v1::HostPathVolumeSource;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;

pub(crate) fn check(source: &HostPathVolumeSource) -> Result<(), String> {
    let path = Path::new(&source.path);
    if !path.is_absolute() || path.components().any(|part| part == std::path::Component::ParentDir) {
        return Err(format!("hostPath {:?} must be absolute and without '..'", source.path));
    }
    let failed = |error: io::Error| format!("hostPath type check failed: {}: {error}", source.path);
    let (what, is): (&str, fn(&Metadata) -> bool) = match source.type_.as_deref().unwrap_or_default() {
        "" => return Ok(()),
        "DirectoryOrCreate" => {
            if !path.exists() {
                fs::create_dir_all(path).map_err(failed)?;
                fs::set_permissions(path, fs::Permissions::from_mode(0o755)).map_err(failed)?;
            }
            ("directory", Metadata::is_dir)
        }
        "FileOrCreate" => {
            if !path.exists() {
                fs::File::create_new(path).map_err(failed)?;
                fs::set_permissions(path, fs::Permissions::from_mode(0o644)).map_err(failed)?;
            }
            ("file", Metadata::is_file)
        }
        "Directory" => ("directory", Metadata::is_dir),
        "File" => ("file", Metadata::is_file),
        "Socket" => ("socket file", |meta| meta.file_type().is_socket()),
        "CharDevice" => ("character device", |meta| meta.file_type().is_char_device()),
        "BlockDevice" => ("block device", |meta| meta.file_type().is_block_device()),
        other => return Err(format!("{other} is an invalid volume type")),
    };
    match fs::metadata(path) {
        Ok(meta) if is(&meta) => Ok(()),
        _ => Err(format!("hostPath type check failed: {} is not a {what}", source.path)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_checked_or_created() {
        let dir = tempfile::tempdir().unwrap();
        let run = |path: &Path, kind: &str| {
            check(&HostPathVolumeSource { path: path.to_string_lossy().into_owned(), type_: Some(kind.into()) })
        };
        let (made, file) = (dir.path().join("made/deep"), dir.path().join("file"));
        assert_eq!(run(&made, ""), Ok(()));
        assert!(run(&made, "Directory").unwrap_err().ends_with("is not a directory"));
        assert_eq!(run(&made, "DirectoryOrCreate"), Ok(()));
        assert_eq!(run(&made, "Directory"), Ok(()));
        assert_eq!(run(&file, "FileOrCreate"), Ok(()));
        assert_eq!(run(&file, "File"), Ok(()));
        assert!(run(&file, "Socket").unwrap_err().ends_with("is not a socket file"));
        assert_eq!(run(Path::new("/dev/null"), "CharDevice"), Ok(()));
        assert!(run(Path::new("/dev/../etc"), "").is_err());
    }
}
