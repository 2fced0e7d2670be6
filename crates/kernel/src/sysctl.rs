//! Kernel parameters below `/proc/sys`, by their dotted or slashed names.

use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// Reads a parameter of the calling thread's namespaces, trimmed.
pub fn read(name: &str) -> Result<String> {
    let path = file(name);
    let text = std::fs::read_to_string(&path).map_err(Error::file("read", &path))?;
    Ok(text.trim().to_owned())
}

/// Writes a parameter of the calling thread's namespaces.
pub fn write(name: &str, value: &str) -> Result<()> {
    let path = file(name);
    std::fs::write(&path, value).map_err(Error::file("write", &path))
}

/// `net.ipv4.conf.eth0/1.forwarding`: sysctl(8) lets a slash stand for a dot inside one name, as in interfaces
/// called `eth0.1`. A name that begins with a slash-separated path is taken as it is.
fn file(name: &str) -> PathBuf {
    let first = name.find(['.', '/']).map(|at| name.as_bytes()[at]);
    let path: String = match first {
        Some(b'/') => name.to_owned(),
        _ => name
            .chars()
            .map(|c| {
                if c == '.' {
                    '/'
                } else if c == '/' {
                    '.'
                } else {
                    c
                }
            })
            .collect(),
    };
    Path::new("/proc/sys").join(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_and_slashes_change_places() {
        assert_eq!(file("net.ipv4.conf.eth0/1.forwarding"), Path::new("/proc/sys/net/ipv4/conf/eth0.1/forwarding"));
        assert_eq!(file("net/ipv4/conf/eth0.1/forwarding"), Path::new("/proc/sys/net/ipv4/conf/eth0.1/forwarding"));
        assert_eq!(read("kernel.ostype").unwrap(), "Linux");
        assert!(read("kernel.nonsense").unwrap_err().to_string().contains("/proc/sys/kernel/nonsense"));
    }
}
