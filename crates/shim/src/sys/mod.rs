//! System calls behind safe functions. All `unsafe` of the shim is below this module.
//!
//! Invariant: the process is single-threaded, so that a clone may go on as any program would.

mod epoll;
mod fd;
mod mount;
mod process;
mod socket;
mod tty;

pub(crate) use epoll::{Epoll, READABLE, WRITABLE};
pub(crate) use fd::*;
pub(crate) use mount::*;
pub(crate) use process::*;
pub(crate) use socket::*;
pub(crate) use tty::*;

use std::ffi::CString;
use std::io;

/// A system call's answer, with `errno` when it is -1.
fn check(answer: libc::c_int) -> io::Result<libc::c_int> {
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(answer) }
}

fn check_long(answer: libc::c_long) -> io::Result<libc::c_long> {
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(answer) }
}

/// A string for the kernel; one with a zero byte in it is refused.
pub(crate) fn c_string(text: &str) -> io::Result<CString> {
    CString::new(text).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}
