//! Whom a process runs as, and what it may do.

use shim::protocol::{CapabilitySpec, Identity, ProcessSpec};

use super::{During, Failure, Step};
use crate::sys;

/// How much of `/etc/passwd` or `/etc/group` is read: both come from an image that nobody vouches for.
const DATABASE_BYTES_MAX: u64 = 4 << 20;
/// The kernel's own limit on a process's groups.
const GROUPS_MAX: usize = 65_536;
/// Capability numbers that a mask can hold.
const CAPABILITIES: u32 = 64;

/// A user with the home that the container's `/etc/passwd` gives.
pub(super) struct User {
    pub(super) identity: Identity,
    pub(super) home: String,
}

/// Finds user and groups in the container's databases. Inside the container's root.
pub(super) fn resolve(process: &ProcessSpec) -> Step<User> {
    let passwd = read_database("/etc/passwd")?;
    let group = read_database("/etc/group")?;
    find(process, &passwd, &group)
}

/// An image without the database has an empty one.
fn read_database(path: &str) -> Step<String> {
    use std::io::Read;
    use std::os::unix::fs::OpenOptionsExt;
    // A named pipe in the image would block us forever.
    let options = std::fs::File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    let mut bytes = Vec::new();
    match options.and_then(|file| file.take(DATABASE_BYTES_MAX).read_to_end(&mut bytes)) {
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR)) => Ok(String::new()),
        result => result.during(|| format!("read {path}")).map(|_| String::from_utf8_lossy(&bytes).into_owned()),
    }
}

fn find(process: &ProcessSpec, passwd: &str, group: &str) -> Step<User> {
    let (user, wanted_group) = match process.user.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (process.user.as_str(), None),
    };
    let number = if user.is_empty() { Some(0) } else { user.parse::<u32>().ok() };
    let entry = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|fields| {
        let id = fields.get(2).and_then(|id| id.parse::<u32>().ok());
        fields.len() >= 6 && id.is_some() && (number.is_some() && id == number || number.is_none() && fields[0] == user)
    });
    let field = |at: usize| entry.as_ref().and_then(|fields| fields.get(at)).copied();
    let id = |at: usize| field(at).and_then(|id| id.parse::<u32>().ok());
    let uid = number
        .or_else(|| id(2))
        .ok_or_else(|| Failure(format!("unable to find user {user}: no matching entries in passwd file")))?;
    let gid = match wanted_group {
        Some(name) => find_group(name, group)?,
        None => id(3).unwrap_or(0),
    };
    let mut groups = process.groups.clone();
    if process.image_groups
        && let Some(name) = field(0)
    {
        groups.extend(groups_of(name, group));
    }
    // containerd lists the primary group among the further ones.
    groups.push(gid);
    groups.sort_unstable();
    groups.dedup();
    groups.truncate(GROUPS_MAX);
    let home = field(5).filter(|home| !home.is_empty()).unwrap_or("/").to_owned();
    Ok(User { identity: Identity { uid, gid, groups }, home })
}

fn find_group(name: &str, group: &str) -> Step<u32> {
    let by_name = || group.lines().find_map(|line| entry_of(line).filter(|entry| entry.0 == name));
    name.parse()
        .ok()
        .or_else(|| by_name().map(|entry| entry.1))
        .ok_or_else(|| Failure(format!("unable to find group {name}: no matching entries in group file")))
}

fn groups_of<'a>(user: &'a str, group: &'a str) -> impl Iterator<Item = u32> + 'a {
    let entries = group.lines().filter_map(entry_of);
    entries.filter(move |entry| entry.2.split(',').any(|member| member == user)).map(|entry| entry.1)
}

/// A line of the group database as name, number and members.
fn entry_of(line: &str) -> Option<(&str, u32, &str)> {
    let mut fields = line.split(':');
    let name = fields.next()?;
    Some((name, fields.nth(1)?.parse().ok()?, fields.next().unwrap_or_default()))
}

/// Becomes that user with these capabilities under these filters. Nothing privileged is possible after it.
pub(super) fn assume(process: &ProcessSpec, identity: &Identity) -> Step<()> {
    if !process.no_new_privileges {
        // Loading a filter needs CAP_SYS_ADMIN now; the default filter allows all calls still to come.
        filter(process)?;
    }
    let capabilities = &process.capabilities;
    for number in (0..CAPABILITIES).filter(|number| capabilities.bounding >> number & 1 == 0) {
        if !sys::drop_bounding(number).during(|| "drop a capability".into())? {
            break;
        }
    }
    sys::keep_capabilities().during(|| "keep capabilities".into())?;
    sys::set_identity(identity.uid, identity.gid, &identity.groups)
        .during(|| format!("become user {} group {}", identity.uid, identity.gid))?;
    set_capabilities(capabilities)?;
    if process.no_new_privileges {
        sys::set_no_new_privileges().during(|| "set no_new_privs".into())?;
        filter(process)?;
    }
    Ok(())
}

fn set_capabilities(sets: &CapabilitySpec) -> Step<()> {
    sys::set_capabilities(sets.effective, sets.permitted, sets.inheritable).during(|| "set capabilities".into())?;
    for number in (0..CAPABILITIES).filter(|number| sets.ambient >> number & 1 == 1) {
        sys::raise_ambient(number).during(|| "raise an ambient capability".into())?;
    }
    Ok(())
}

fn filter(process: &ProcessSpec) -> Step<()> {
    process
        .seccomp
        .iter()
        .try_for_each(|filter| sys::add_seccomp_filter(filter).during(|| "load the seccomp filter".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nweb:x:33:34:w:/srv:/bin/sh\nbroken\n";
    const GROUP: &str = "root:x:0:\nweb:x:34:\naudio:x:63:web,other\nvideo:x:44:other,web\n";

    fn check(user: &str, image_groups: bool) -> Result<(u32, u32, Vec<u32>, String), String> {
        let process = ProcessSpec { user: user.into(), image_groups, groups: vec![7], ..ProcessSpec::default() };
        let user = find(&process, PASSWD, GROUP).map_err(|failure| failure.to_string())?;
        Ok((user.identity.uid, user.identity.gid, user.identity.groups, user.home))
    }

    #[test]
    fn users_are_found_by_name_and_number() {
        assert_eq!(check("", true), Ok((0, 0, vec![0, 7], "/root".into())));
        assert_eq!(check("web", true), Ok((33, 34, vec![7, 34, 44, 63], "/srv".into())));
        assert_eq!(check("33", true), Ok((33, 34, vec![7, 34, 44, 63], "/srv".into())));
        assert_eq!(check("33:audio", false), Ok((33, 63, vec![7, 63], "/srv".into())));
        assert_eq!(check("1000", true), Ok((1000, 0, vec![0, 7], "/".into())));
        assert_eq!(check("1000:2000", true), Ok((1000, 2000, vec![7, 2000], "/".into())));
        assert!(check("nobody", true).unwrap_err().contains("unable to find user nobody"));
        assert!(check("web:none", true).unwrap_err().contains("unable to find group none"));
    }
}
