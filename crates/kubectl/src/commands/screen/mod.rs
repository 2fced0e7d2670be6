//! `screen`: the cluster on a full screen, with k9s' keys; `sampan top` is this.
//!
//! Invariants: lists are followed by watch and never asked for again and again; what is kept is bounded; the terminal is
//! set back however the program ends; words of other parts, such as warnings, are shown in the last line instead of
//! being written over the screen.

mod app;
mod backend;
mod child;
mod draw;
mod feed;
mod filter;
mod job;
mod keys;
mod plain;
mod table;
mod text;
mod tty;
mod view;

use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::print::colors_are_wanted;
pub(super) use feed::{Feed, Source, Update};

use app::{Action, App};
use backend::Ansi;
use job::Outcome;
use keys::Keys;
use ratatui_core::terminal::Terminal;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::MissedTickBehavior;

#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// What to begin with: pods, deploy, svc
    #[arg(default_value = "pods", hide_default_value = true)]
    kind: String,
    /// In every namespace
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    #[command(flatten)]
    flags: child::Flags,
}

/// How long an escape waits for what would make it another key's.
const ESCAPE: Duration = Duration::from_millis(50);
/// Ages are shown in seconds.
const TICK: Duration = Duration::from_secs(1);
/// The last words of other parts that are kept.
const REMARKS_BYTES_MAX: usize = 4096;

type Job = Pin<Box<dyn Future<Output = Result<Outcome>>>>;

pub(crate) async fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    tty::check()?;
    let def = context.resources.named(&arguments.kind).await?;
    let remarks = Remarks::default();
    let own = Context::new(context.server.clone(), context.connection.clone(), Some(context.namespace.clone()))
        .speaking_to(Box::new(remarks.clone()), Box::new(remarks.clone()));
    let namespace = if arguments.all_namespaces { "" } else { &context.namespace };
    let mut app = App::new(Arc::new(own), def, namespace);
    loop {
        match screen(&mut app, &remarks).await? {
            Some(line) => {
                app.suspend();
                child::run(&arguments.flags, &line).await?;
                app.reopen();
            }
            None => return Ok(()),
        }
    }
}

/// What happens next on the screen.
enum Next {
    Typed(Vec<u8>),
    Updates(Vec<feed::Update>),
    Done(Box<Result<Outcome>>),
    Signal(i32),
    /// Its size or the time is another.
    Redraw,
}

struct Signals {
    ends: [(i32, Signal); 3],
    resized: Signal,
}

impl Signals {
    fn listen() -> Result<Signals> {
        let listen = |kind| signal(kind).map_err(|error| Failure::message(format!("listening for signals: {error}")));
        let end = |kind: SignalKind| listen(kind).map(|signal| (kind.as_raw_value(), signal));
        Ok(Signals {
            ends: [end(SignalKind::terminate())?, end(SignalKind::hangup())?, end(SignalKind::interrupt())?],
            resized: listen(SignalKind::window_change())?,
        })
    }

    async fn next(&mut self) -> Next {
        let [(term, terminate), (hup, hangup), (int, interrupt)] = &mut self.ends;
        tokio::select! {
            _ = terminate.recv() => Next::Signal(*term),
            _ = hangup.recv() => Next::Signal(*hup),
            _ = interrupt.recv() => Next::Signal(*int),
            _ = self.resized.recv() => Next::Redraw,
        }
    }
}

/// Shows the screen until the user quits, or until a command line wants the terminal.
async fn screen(app: &mut App, remarks: &Remarks) -> Result<Option<Vec<String>>> {
    let failed = |error: std::io::Error| Failure::message(format!("the terminal: {error}"));
    let mut signals = Signals::listen()?;
    let tty = tty::Tty::enter()?;
    let mut terminal = Terminal::new(Ansi::new(colors_are_wanted())).map_err(failed)?;
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut keys = Keys::default();
    let mut job: Option<Job> = None;
    loop {
        if let Some(remark) = remarks.take() {
            app.message = Some((remark, true));
        }
        app.view().settle();
        let drawn = terminal.draw(|frame| {
            if let Some(cursor) = draw::draw(app, frame.buffer_mut()) {
                frame.set_cursor_position(cursor);
            }
        });
        drawn.map_err(failed)?;
        let next = tokio::select! {
            typed = typed(&tty, &keys) => Next::Typed(typed?),
            updates = app.view().updates() => Next::Updates(updates),
            outcome = finished(&mut job) => Next::Done(Box::new(outcome)),
            next = signals.next() => next,
            _ = ticks.tick() => Next::Redraw,
        };
        match next {
            Next::Redraw => {}
            Next::Updates(updates) => updates.into_iter().for_each(|update| app.view().update(update)),
            Next::Done(outcome) => {
                job = None;
                match *outcome {
                    Ok(outcome) => app.take(outcome),
                    Err(failure) => app.message = Some((failure.report(), true)),
                }
            }
            Next::Signal(number) => {
                let code = u8::try_from(128 + number).unwrap_or(u8::MAX);
                return Err(Failure::Code { code, text: String::new() });
            }
            Next::Typed(bytes) => {
                let pressed = if bytes.is_empty() { keys.give_up().into_iter().collect() } else { keys.take(&bytes) };
                for key in pressed {
                    match app.key(key) {
                        Action::Nothing => {}
                        Action::Quit => return Ok(None),
                        Action::Run(line) => return Ok(Some(line)),
                        Action::Ask(request) => {
                            let context = app.context.clone();
                            job = Some(Box::pin(async move { job::perform(&context, request).await }));
                        }
                    }
                }
            }
        }
    }
}

/// What was typed; nothing where an escape was the key itself.
async fn typed(tty: &tty::Tty, keys: &Keys) -> Result<Vec<u8>> {
    if !keys.is_waiting() {
        return tty.read().await;
    }
    tokio::time::timeout(ESCAPE, tty.read()).await.unwrap_or_else(|_| Ok(Vec::new()))
}

async fn finished(job: &mut Option<Job>) -> Result<Outcome> {
    match job {
        Some(job) => job.await,
        None => std::future::pending().await,
    }
}

/// What other parts would have written over the screen.
#[derive(Clone, Default)]
struct Remarks(Arc<Mutex<Vec<u8>>>);

impl Remarks {
    fn take(&self) -> Option<String> {
        let words = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        Some(String::from_utf8_lossy(&words).trim().to_owned()).filter(|words| !words.is_empty())
    }
}

impl std::io::Write for Remarks {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = REMARKS_BYTES_MAX.saturating_sub(kept.len());
        kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
