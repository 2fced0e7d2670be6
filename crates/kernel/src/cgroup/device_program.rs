//! Device rules for the v2 tree: a small program that the kernel asks at every open and mknod.
//!
//! The kernel hands it `{access << 16 | kind, major, minor}` (`bpf_cgroup_dev_ctx`); it answers 1 to allow.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use super::{Cgroup, DeviceRule};
use crate::{Error, Result};

const PROG_LOAD: libc::c_int = 5;
const PROG_ATTACH: libc::c_int = 8;
const PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const ATTACH_TYPE_CGROUP_DEVICE: u32 = 6;
/// Other programs, as systemd's, stay; every one of them must allow.
const ALLOW_MULTI: u32 = 2;

const KIND_BLOCK: i32 = 1;
const KIND_CHARACTER: i32 = 2;
const ACCESS_MKNOD: i32 = 1;
const ACCESS_READ: i32 = 2;
const ACCESS_WRITE: i32 = 4;
const ACCESS_ALL: i32 = ACCESS_MKNOD | ACCESS_READ | ACCESS_WRITE;

/// `struct bpf_insn`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Instruction {
    code: u8,
    registers: u8,
    offset: i16,
    immediate: i32,
}

/// The first fields of `union bpf_attr` for `BPF_PROG_LOAD`; the kernel takes missing ones as zero.
#[repr(C)]
struct Load {
    program_type: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
}

/// The first fields of `union bpf_attr` for `BPF_PROG_ATTACH`.
#[repr(C)]
struct Attach {
    target: u32,
    program: u32,
    attach_type: u32,
    flags: u32,
}

/// Lets the group use only the devices that `rules` allow.
pub(super) fn attach(group: &Cgroup, rules: &[DeviceRule]) -> Result<()> {
    let missing = || Error::call("limit devices without a v1 or v2 hierarchy")(io::ErrorKind::Unsupported.into());
    let directory = group.unified_directory().ok_or_else(missing)?;
    let target = File::open(&directory).map_err(Error::file("open", &directory))?;
    let program = load(&compile(rules)).map_err(Error::call("load a device program"))?;
    let attributes = Attach {
        target: target.as_raw_fd() as u32,
        program: program.as_raw_fd() as u32,
        attach_type: ATTACH_TYPE_CGROUP_DEVICE,
        flags: ALLOW_MULTI,
    };
    bpf(PROG_ATTACH, &attributes).map(drop).map_err(Error::file("attach a device program to", &directory))
}

fn load(program: &[Instruction]) -> io::Result<OwnedFd> {
    let attributes = Load {
        program_type: PROG_TYPE_CGROUP_DEVICE,
        count: program.len() as u32,
        instructions: program.as_ptr() as u64,
        license: c"Apache-2.0".as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log: 0,
    };
    let fd = bpf(PROG_LOAD, &attributes)?;
    // SAFETY: the kernel has just returned this descriptor to us alone.
    #[allow(unsafe_code)]
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

#[allow(unsafe_code)]
fn bpf<T>(command: libc::c_int, attributes: &T) -> io::Result<RawFd> {
    let size = std::mem::size_of::<T>();
    // SAFETY: `attributes` is a live `repr(C)` prefix of `union bpf_attr` of the size given; the addresses in it
    // belong to values that the callers keep borrowed during the call.
    let answer = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attributes), size) };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(answer as RawFd) }
}

fn compile(rules: &[DeviceRule]) -> Vec<Instruction> {
    let op = |code, target: u8, source: u8, offset, immediate| Instruction {
        code,
        registers: source << 4 | target,
        offset,
        immediate,
    };
    // r2 = kind, r3 = access, r4 = major, r5 = minor, r6 is scratch.
    let mut program = vec![
        op(0x61, 2, 1, 0, 0),
        op(0xbf, 3, 2, 0, 0),
        op(0x54, 2, 0, 0, 0xffff),
        op(0x74, 3, 0, 0, 16),
        op(0x61, 4, 1, 4, 0),
        op(0x61, 5, 1, 8, 0),
    ];
    for rule in rules {
        let mut block = Vec::new();
        match rule.kind {
            'b' => block.push(op(0x55, 2, 0, 0, KIND_BLOCK)),
            'c' => block.push(op(0x55, 2, 0, 0, KIND_CHARACTER)),
            _ => {}
        }
        let flags = [(rule.read, ACCESS_READ), (rule.write, ACCESS_WRITE), (rule.mknod, ACCESS_MKNOD)];
        let allowed = flags.iter().filter(|(on, _)| *on).fold(0, |mask, (_, bit)| mask | bit);
        if allowed != ACCESS_ALL {
            block.extend([op(0xbf, 6, 3, 0, 0), op(0x54, 6, 0, 0, ACCESS_ALL & !allowed), op(0x55, 6, 0, 0, 0)]);
        }
        for (register, number) in [(4, rule.major), (5, rule.minor)] {
            block.extend(number.map(|number| op(0x55, register, 0, 0, number as i32)));
        }
        block.extend([op(0xb7, 0, 0, 0, 1), op(0x95, 0, 0, 0, 0)]);
        let length = block.len();
        for (at, instruction) in block.iter_mut().enumerate().filter(|(_, instruction)| instruction.code == 0x55) {
            // A mismatch jumps behind this rule's block.
            instruction.offset = (length - at - 1) as i16;
        }
        program.extend(block);
    }
    program.extend([op(0xb7, 0, 0, 0, 0), op(0x95, 0, 0, 0, 0)]);
    program
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Runs on v2 and on hybrid machines: the program works in any v2 tree.
    #[test]
    fn a_group_opens_only_what_is_allowed() {
        let group = Cgroup::at(format!("/kernel-test-devices-{}", std::process::id())).unwrap();
        let (true, Some(directory)) = (nix::unistd::geteuid().is_root(), group.unified_directory()) else {
            eprintln!("SKIPPED: needs root and a cgroup2 mount");
            return;
        };
        std::fs::create_dir(&directory).unwrap();
        let null = DeviceRule { kind: 'c', major: Some(1), minor: Some(3), read: true, write: false, mknod: false };
        attach(&group, &[DeviceRule { kind: 'b', major: Some(9), ..null }, null]).unwrap();
        let script = format!(
            "echo 0 > {}/cgroup.procs; (: < /dev/null) && echo read; (: > /dev/null) || echo kept; (: < /dev/zero) || echo kept",
            directory.display()
        );
        let output = Command::new("sh").args(["-c", &script]).output().unwrap();
        std::fs::remove_dir(&directory).unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "read\nkept\nkept\n");
    }
}
