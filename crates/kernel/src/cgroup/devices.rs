//! Which device nodes a group may open or make.
//!
//! A container's root may make device nodes (CAP_MKNOD is in the default set), so this, not `/dev`, is what keeps
//! it off the host's disks. v1 has a list; v2 wants a program, which `device_program` writes.

use super::Cgroup;
use crate::Result;

/// One permission: all of a kind, a major number, or one device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceRule {
    /// `b` (block), `c` (character) or `a` (both).
    pub kind: char,
    /// Major number; `None` is any.
    pub major: Option<u32>,
    /// Minor number; `None` is any.
    pub minor: Option<u32>,
    /// May read.
    pub read: bool,
    /// May write.
    pub write: bool,
    /// May make a node of it.
    pub mknod: bool,
}

impl DeviceRule {
    fn line(&self) -> String {
        let number = |value: Option<u32>| value.map_or("*".to_owned(), |value| value.to_string());
        let flags = [(self.read, 'r'), (self.write, 'w'), (self.mknod, 'm')];
        let access: String = flags.iter().filter(|(on, _)| *on).map(|(_, letter)| *letter).collect();
        format!("{} {}:{} {access}", self.kind, number(self.major), number(self.minor))
    }
}

impl Cgroup {
    /// Allows exactly what `rules` say, for processes of this group from now on.
    pub fn allow_devices(&self, rules: &[DeviceRule]) -> Result<()> {
        if self.layout.with("devices").is_none() {
            return super::device_program::attach(self, rules);
        }
        self.set("devices", "devices.deny", "a")?;
        for rule in rules {
            self.set("devices", "devices.allow", &rule.line())?;
        }
        Ok(())
    }
}
