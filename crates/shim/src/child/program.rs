//! The program of a process: found as a shell would, run with its arguments and environment.

use std::ffi::CString;

use shim::protocol::ProcessSpec;

use super::identity::User;
use super::{During, Failure, Step};
use crate::sys;

/// What is searched when the environment has no `PATH`.
const PATH_DEFAULT: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Everything `execve` needs, made ready while allocation is harmless.
pub(super) struct Program {
    name: String,
    cwd: String,
    args: Vec<CString>,
    env: Vec<CString>,
    /// Where it may be, in order.
    candidates: Vec<String>,
}

impl Program {
    pub(super) fn find(process: &ProcessSpec, user: &User) -> Step<Program> {
        let name = process.args.first().ok_or_else(|| Failure("no command specified".into()))?.clone();
        let mut env = process.env.clone();
        if !env.iter().any(|entry| entry.starts_with("HOME=")) {
            env.push(format!("HOME={}", user.home));
        }
        let path = env.iter().rev().find_map(|entry| entry.strip_prefix("PATH=")).unwrap_or(PATH_DEFAULT);
        let candidates = match name.contains('/') {
            true => vec![name.clone()],
            false => path.split(':').filter(|part| !part.is_empty()).map(|part| format!("{part}/{name}")).collect(),
        };
        let strings = |list: &[String], what: &str| -> Step<Vec<CString>> {
            list.iter().map(|text| sys::c_string(text).during(|| format!("{what} with a zero byte"))).collect()
        };
        Ok(Program {
            args: strings(&process.args, "argument")?,
            env: strings(&env, "environment")?,
            cwd: if process.cwd.is_empty() { "/".into() } else { process.cwd.clone() },
            name,
            candidates,
        })
    }

    /// Becomes the program; returns only to say why not, in runc's words, which users know.
    pub(super) fn run(self) -> Failure {
        // As the user, who may not be allowed in.
        if let Err(failure) = sys::change_directory(&self.cwd).during(|| format!("chdir to cwd (\"{}\")", self.cwd)) {
            return failure;
        }
        if let Err(failure) = sys::reset_signals().during(|| "reset signals".into()) {
            return failure;
        }
        let mut denied = None;
        for path in &self.candidates {
            let error = sys::execute(path, &self.args, &self.env);
            match error.raw_os_error() {
                Some(libc::ENOENT | libc::ENOTDIR) => {}
                // A shell goes on to the next directory, and remembers.
                Some(libc::EACCES) => denied = Some(error),
                _ => return self.failure(error),
            }
        }
        match denied {
            Some(error) => self.failure(error),
            None if self.name.contains('/') => self.failure(std::io::Error::from_raw_os_error(libc::ENOENT)),
            None => Failure(format!("exec: \"{}\": executable file not found in $PATH", self.name)),
        }
    }

    fn failure(&self, error: std::io::Error) -> Failure {
        let reason = error.to_string();
        let reason = reason.split(" (os error").next().unwrap_or(&reason).to_lowercase();
        Failure(format!("exec: \"{}\": {reason}", self.name))
    }
}
