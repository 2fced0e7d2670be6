//! A program on a terminal of its own, whose screen is read as a person reads it.
//!
//! Invariant: nothing is looked at once: every expectation waits until the screen shows it, with a deadline.

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Termios, Winsize, tcgetattr, tcsetwinsize};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};
use vt100::{Color, Parser, Screen};

const PATIENCE: Duration = Duration::from_secs(60);

/// What came, and that something came.
type Shared = Arc<(Mutex<Parser>, Condvar)>;

pub(crate) struct Pty {
    child: Child,
    master: File,
    slave: OwnedFd,
    before: Termios,
    shared: Shared,
}

fn size(columns: u16, rows: u16) -> Winsize {
    Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 }
}

fn cells(count: u16) -> NonZeroU16 {
    NonZeroU16::new(count).unwrap()
}

impl Pty {
    /// A terminal of 80 columns and 24 lines, which the program controls.
    pub(crate) fn start(program: &str, arguments: &[&str], variables: &[(&str, &OsStr)]) -> Pty {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        tcsetwinsize(&master, size(80, 24)).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let options = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY | rustix::fs::OFlags::CLOEXEC;
        let slave = rustix::fs::open(&name, options, rustix::fs::Mode::empty()).unwrap();
        let before = tcgetattr(&slave).unwrap();
        let of_slave = || slave.try_clone().unwrap();
        let mut command = Command::new("setsid");
        command.arg("--ctty").arg(program).args(arguments).env("TERM", "xterm");
        command.env_remove("NO_COLOR").envs(variables.iter().copied());
        let child = command.stdin(of_slave()).stdout(of_slave()).stderr(of_slave()).spawn().unwrap();
        let master = File::from(master);
        let shared: Shared = Arc::new((Mutex::new(Parser::new(cells(24), cells(80), 0)), Condvar::new()));
        let (mut output, screen) = (master.try_clone().unwrap(), shared.clone());
        // It ends when the terminal's last user is gone.
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut buffer) {
                screen.0.lock().unwrap().process(&buffer[..count]);
                screen.1.notify_all();
            }
        });
        Pty { child, master, slave, before, shared }
    }

    pub(crate) fn pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(&self.child)
    }

    pub(crate) fn keys(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).unwrap();
    }

    pub(crate) fn resize(&mut self, columns: u16, rows: u16) {
        self.shared.0.lock().unwrap().screen_mut().set_size(cells(rows), cells(columns));
        tcsetwinsize(&self.master, size(columns, rows)).unwrap();
    }

    /// Waits until the screen is as it should be, and answers its text.
    pub(crate) fn until(&self, what: &str, is: impl Fn(&Screen) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut parser = self.shared.0.lock().unwrap();
        while !is(parser.screen()) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "never seen: {what}; the screen is\n{}", parser.screen().contents());
            parser = self.shared.1.wait_timeout(parser, left).unwrap().0;
        }
        parser.screen().contents()
    }

    /// Waits until the screen shows a text.
    pub(crate) fn shows(&self, text: &str) -> String {
        self.until(text, |screen| screen.contents().contains(text))
    }

    /// The screen's text as it is at this moment, for what is tried again.
    pub(crate) fn now(&self) -> String {
        self.shared.0.lock().unwrap().screen().contents()
    }

    pub(crate) fn hides(&self, text: &str) -> String {
        self.until(&format!("no {text}"), |screen| !screen.contents().contains(text))
    }

    /// How the program ended, once it has; its terminal is as it was found.
    pub(crate) fn ended(mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > deadline {
                self.child.kill().unwrap();
                self.child.wait().unwrap();
                panic!("did not end; the screen is\n{}", self.shared.0.lock().unwrap().screen().contents());
            }
            std::thread::yield_now();
        };
        self.until("the first page with its cursor", |screen| !screen.alternate_screen() && !screen.hide_cursor());
        let after = tcgetattr(&self.slave).unwrap();
        assert_eq!(format!("{:?}", after.local_modes), format!("{:?}", self.before.local_modes));
        assert_eq!(format!("{:?}", after.input_modes), format!("{:?}", self.before.input_modes));
        assert_eq!(format!("{:?}", after.output_modes), format!("{:?}", self.before.output_modes));
        status
    }
}

/// Whether any cell has a colour.
pub(crate) fn is_colored(screen: &Screen) -> bool {
    let (rows, columns) = screen.size();
    let mut cells =
        (0..rows.get()).flat_map(|row| (0..columns.get()).filter_map(move |column| screen.cell(row, column)));
    cells.any(|cell| cell.fgcolor() != Color::Default || cell.bgcolor() != Color::Default)
}

/// The column of the screen where a text begins.
pub(crate) fn column_of(screen: &Screen, text: &str) -> Option<u16> {
    let (rows, columns) = screen.size();
    let at = |row: u16, column: u16| screen.cell(row, column).map(|cell| cell.contents().to_owned());
    let places = (0..rows.get()).flat_map(|row| (0..columns.get()).map(move |column| (row, column)));
    let begins = |(row, column): &(u16, u16)| {
        // The second half of a wide character, and a cell never written, hold nothing.
        let first = at(*row, *column).unwrap_or_default();
        let rest: String = (*column..columns.get()).filter_map(|column| at(*row, column)).collect();
        !first.is_empty() && rest.starts_with(text)
    };
    places.into_iter().find(begins).map(|(_, column)| column)
}
