//! The terminal while the screen has it: raw, on its second page, without a cursor.
//!
//! Invariant: it is set back when the value is dropped and when the program panics, also where a panic aborts; a signal
//! ends the loop that owns the value.

use crate::failure::{Failure, Result};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use std::fs::OpenOptions;
use std::io::{ErrorKind, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::{Mutex, Once, PoisonError};
use tokio::net::unix::pipe::Receiver;

/// The second page, hidden cursor.
const ENTER: &[u8] = b"\x1b[?1049h\x1b[?25l\x1b[2J";
const LEAVE: &[u8] = b"\x1b[0m\x1b[?25h\x1b[?1049l";

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::message(format!("the terminal: {error}"))
}

/// Refuses what is no terminal.
pub(super) fn check() -> Result<()> {
    if std::io::stdin().is_terminal() && std::io::stdout().is_terminal() {
        return Ok(());
    }
    Err(Failure::message(
        "the full-screen view needs a terminal, and standard input or output is none; use 'get' or 'get -w' there",
    ))
}

/// How the terminal was before it was ours; `None` while it is not.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);
static HOOK: Once = Once::new();

pub(super) struct Tty {
    /// What can be waited for as a pipe can.
    input: Receiver,
}

impl Tty {
    pub(super) fn enter() -> Result<Tty> {
        // Opened anew: what others read from standard input must not stop blocking.
        let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).map_err(failed)?;
        let input = OpenOptions::new().read(true).custom_flags(nonblocking).open("/dev/tty").map_err(failed)?;
        let before = tcgetattr(&input).map_err(failed)?;
        let mut raw = before.clone();
        raw.make_raw();
        HOOK.call_once(restore_on_panic);
        *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
        let tty = Tty { input: Receiver::from_file_unchecked(input).map_err(failed)? };
        tcsetattr(&tty.input, OptionalActions::Now, &raw).map_err(failed)?;
        write(ENTER).map_err(failed)?;
        Ok(tty)
    }

    /// What the user typed.
    pub(super) async fn read(&self) -> Result<Vec<u8>> {
        let mut buffer = [0; 1024];
        loop {
            self.input.readable().await.map_err(failed)?;
            match self.input.try_read(&mut buffer) {
                Ok(0) => return Err(failed("it is closed")),
                Ok(count) => return Ok(buffer[..count].to_vec()),
                // It was not ready after all.
                Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => {}
                Err(error) => return Err(failed(error)),
            }
        }
    }
}

fn restore_on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        restore();
        report(panic);
    }));
}

fn write(bytes: &[u8]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}

/// Sets back what is ours; there is nobody to tell of a failure but the user.
fn restore() {
    let Some(before) = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
    let shown = write(LEAVE);
    let set = tcsetattr(std::io::stdin(), OptionalActions::Now, &before).map_err(std::io::Error::from);
    if let Err(error) = shown.and(set) {
        eprintln!("setting the terminal back: {error}");
    }
}

impl Drop for Tty {
    fn drop(&mut self) {
        restore();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    use std::io::Read;
    use std::process::{Command, Stdio};

    const NAME: &str = "commands::screen::tty::tests::a_panic_is_reported_on_the_terminal_as_it_was";
    const INNER: &str = "KUBECTL_TEST_PANICS";

    /// The test runs itself once more on a terminal of its own, and panics there.
    #[test]
    fn a_panic_is_reported_on_the_terminal_as_it_was() {
        if std::env::var_os(INNER).is_some() {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let _tty = runtime.block_on(async { Tty::enter() }).unwrap();
            panic!("in the middle of it");
        }
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let slave = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let before = tcgetattr(&master).unwrap();
        let mut child = {
            let no_terminal = i32::try_from(rustix::fs::OFlags::NOCTTY.bits()).unwrap();
            let open = || OpenOptions::new().read(true).write(true).custom_flags(no_terminal).open(&slave).unwrap();
            let mut command = Command::new("setsid");
            command.arg("--ctty").arg(std::env::current_exe().unwrap()).args(["--exact", NAME, "--nocapture"]);
            command.env(INNER, "1").stdin(open()).stdout(open()).stderr(Stdio::from(open())).spawn().unwrap()
        };
        let mut said = Vec::new();
        // It ends with an error once nobody has the terminal open any more.
        let ended = std::fs::File::from(master.try_clone().unwrap()).read_to_end(&mut said);
        assert!(ended.is_err() && !child.wait().unwrap().success());
        let said = String::from_utf8_lossy(&said).into_owned();
        let place = |text: &[u8]| said.find(&*String::from_utf8_lossy(text)).unwrap_or_else(|| panic!("{said:?}"));
        let places = [place(ENTER), place(LEAVE), place(b"in the middle of it")];
        assert!(places.is_sorted(), "the page is left before the panic is reported: {said:?}");
        let after = tcgetattr(&master).unwrap();
        assert_eq!(format!("{:?}", after.local_modes), format!("{:?}", before.local_modes));
        assert_eq!(format!("{:?}", after.output_modes), format!("{:?}", before.output_modes));
    }
}
