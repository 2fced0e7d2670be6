//! A descriptor handed from a program to the one that it executes in its own place.

use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};

use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};

use crate::{Error, Result};

/// Lets `fd` live on through `execve`, and gives its number. Children started meanwhile would have it too.
pub fn pass_on(fd: &impl AsFd) -> Result<RawFd> {
    fcntl_setfd(fd, FdFlags::empty()).map_err(|errno| Error::call("keep a descriptor open")(errno.into()))?;
    Ok(fd.as_fd().as_raw_fd())
}

/// Takes over the descriptor that the program before this one passed on, and does not pass it on again.
///
/// To be called once, before this process has opened anything of its own under that number.
#[allow(unsafe_code)]
pub fn inherit(fd: RawFd) -> Result<OwnedFd> {
    // The standard streams belong to the standard library.
    if fd <= 2 {
        return Err(Error::call("take over a descriptor")(std::io::ErrorKind::InvalidInput.into()));
    }
    // SAFETY: whether it is open is asked of the kernel next; nobody else in this process knows of it.
    let owned = unsafe { std::mem::ManuallyDrop::new(OwnedFd::from_raw_fd(fd)) };
    fcntl_getfd(&*owned)
        .and_then(|flags| fcntl_setfd(&*owned, flags | FdFlags::CLOEXEC))
        .map_err(|errno| Error::call("take over a descriptor")(errno.into()))?;
    Ok(std::mem::ManuallyDrop::into_inner(owned))
}

/// Programs that this process starts get none of its descriptors but the standard three: whoever started us may have
/// left theirs open (a lock, a pipe), and a program that outlives us would hold them.
#[allow(unsafe_code)]
pub fn keep_to_ourselves() -> Result<()> {
    const STANDARD: u32 = 3;
    // SAFETY: takes no pointers, and closes nothing in this process.
    let answer = unsafe { libc::syscall(libc::SYS_close_range, STANDARD, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    match answer {
        0 => Ok(()),
        _ => Err(Error::call("mark descriptors as our own")(std::io::Error::last_os_error())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::IntoRawFd;

    #[test]
    fn a_descriptor_is_passed_on_and_taken_over() {
        let (ours, _theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        assert!(fcntl_getfd(&ours).unwrap().contains(FdFlags::CLOEXEC));
        let number = pass_on(&ours).unwrap();
        assert!(!fcntl_getfd(&ours).unwrap().contains(FdFlags::CLOEXEC));
        assert_eq!(ours.into_raw_fd(), number);
        let taken = inherit(number).unwrap();
        assert!(fcntl_getfd(&taken).unwrap().contains(FdFlags::CLOEXEC));
        assert!(inherit(1).is_err());
        assert!(inherit(1 << 20).is_err());
    }

    #[test]
    fn what_was_left_open_is_kept_from_programs_that_we_start() {
        let (left, _theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        pass_on(&left).unwrap();
        keep_to_ourselves().unwrap();
        assert!(fcntl_getfd(&left).unwrap().contains(FdFlags::CLOEXEC));
    }
}
