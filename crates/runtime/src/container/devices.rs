//! Device nodes of a container, and what its cgroup lets it open.

use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use ::shim::protocol::DeviceSpec;
use cri::v1;
use kernel::cgroup::DeviceRule;
use tonic::Status;

use super::internal;

/// Nodes that every container has: `(path, major, minor)`, all readable and writable by everybody.
const NODES: [(&str, u32, u32); 6] = [
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
    ("/dev/tty", 5, 0),
];

/// Directories below a node's `/dev` that a privileged container has of its own.
const OWN_DIRECTORIES: [&str; 5] = ["pts", "shm", "mqueue", "fd", ".lxc"];

/// How deep a directory of devices is followed.
const DEPTH_MAX: usize = 4;

/// Nodes and rules of a container.
pub(super) fn devices(
    config: &v1::ContainerConfig,
    privileged: bool,
) -> Result<(Vec<DeviceSpec>, Vec<DeviceRule>), Status> {
    let mut nodes: Vec<DeviceSpec> = NODES.iter().map(|node| common(node.0, node.1, node.2)).collect();
    let mut rules = default_rules();
    if privileged {
        walk(Path::new("/dev"), Path::new("/dev"), 0, &mut |path, metadata| {
            nodes.extend(node(path, metadata));
        })?;
        rules = vec![DeviceRule { kind: 'a', major: None, minor: None, read: true, write: true, mknod: true }];
    }
    for device in &config.devices {
        add(device, &mut nodes, &mut rules)?;
    }
    Ok((nodes, rules))
}

fn common(path: &str, major: u32, minor: u32) -> DeviceSpec {
    DeviceSpec { path: path.into(), mode: libc::S_IFCHR | 0o666, major, minor, uid: 0, gid: 0 }
}

/// Making any node is allowed, opening one is not: a container may carry a `/dev` in an archive.
fn default_rules() -> Vec<DeviceRule> {
    let rule = |kind, major, minor, open| DeviceRule { kind, major, minor, read: open, write: open, mknod: true };
    let mut rules = vec![rule('c', None, None, false), rule('b', None, None, false)];
    rules.extend(NODES.iter().map(|(_, major, minor)| rule('c', Some(*major), Some(*minor), true)));
    // Terminals: the container's own devpts, and /dev/ptmx.
    rules.extend([
        rule('c', Some(136), None, true),
        rule('c', Some(5), Some(2), true),
        rule('c', Some(5), Some(1), true),
    ]);
    rules
}

/// One device, or a directory of them, that the pod asks for.
fn add(device: &v1::Device, nodes: &mut Vec<DeviceSpec>, rules: &mut Vec<DeviceRule>) -> Result<(), Status> {
    let allowed = |letter| device.permissions.is_empty() || device.permissions.contains(letter);
    let (source, target) = (Path::new(&device.host_path), Path::new(&device.container_path));
    let before = nodes.len();
    let metadata = std::fs::metadata(source).map_err(|error| internal(&format!("find {}", source.display()), error))?;
    if metadata.is_dir() {
        walk(source, target, 0, &mut |path, metadata| nodes.extend(node(path, metadata)))?;
    } else {
        nodes.extend(node(target, &metadata));
    }
    if nodes.len() == before {
        return Err(Status::invalid_argument(format!("{} is not a device", device.host_path)));
    }
    rules.extend(nodes[before..].iter().map(|node| DeviceRule {
        kind: if node.mode & libc::S_IFMT == libc::S_IFBLK { 'b' } else { 'c' },
        major: Some(node.major),
        minor: Some(node.minor),
        read: allowed('r'),
        write: allowed('w'),
        mknod: allowed('m'),
    }));
    Ok(())
}

fn walk(
    source: &Path,
    target: &Path,
    depth: usize,
    found: &mut dyn FnMut(&Path, &std::fs::Metadata),
) -> Result<(), Status> {
    let failed = |error| internal(&format!("list {}", source.display()), error);
    for entry in std::fs::read_dir(source).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        // Not through links: what they point to is listed itself.
        let Ok(metadata) = entry.metadata() else { continue };
        let name = entry.file_name();
        let own = source == Path::new("/dev") && OWN_DIRECTORIES.iter().any(|own| name == *own);
        if metadata.is_dir() && !own && depth < DEPTH_MAX {
            walk(&entry.path(), &target.join(&name), depth + 1, found)?;
        } else {
            found(&target.join(&name), &metadata);
        }
    }
    Ok(())
}

/// A node like one of the host's; `None` when it is no device. The console is the container's own.
fn node(path: &Path, metadata: &std::fs::Metadata) -> Option<DeviceSpec> {
    let kind = metadata.file_type();
    if !(kind.is_char_device() || kind.is_block_device()) || path == Path::new("/dev/console") {
        return None;
    }
    Some(DeviceSpec {
        path: path.to_string_lossy().into_owned(),
        mode: metadata.mode(),
        major: libc::major(metadata.rdev()),
        minor: libc::minor(metadata.rdev()),
        uid: metadata.uid(),
        gid: metadata.gid(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asked_devices_come_with_their_rules() {
        let device =
            v1::Device { container_path: "/dev/mine".into(), host_path: "/dev/null".into(), permissions: "r".into() };
        let config = v1::ContainerConfig { devices: vec![device], ..Default::default() };
        let (nodes, rules) = devices(&config, false).unwrap();
        let node = nodes.last().unwrap();
        assert_eq!((node.path.as_str(), node.major, node.minor), ("/dev/mine", 1, 3));
        assert_eq!(
            rules.last().unwrap(),
            &DeviceRule { kind: 'c', major: Some(1), minor: Some(3), read: true, write: false, mknod: false }
        );
        let no_device = v1::Device { host_path: "/etc/passwd".into(), ..Default::default() };
        let config = v1::ContainerConfig { devices: vec![no_device], ..Default::default() };
        assert!(devices(&config, false).is_err());
    }
}
