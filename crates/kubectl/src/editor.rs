//! The user's editor, and the file it edits.
//!
//! Invariant: what a user changed and nobody took stays in a file, which is named.

use crate::context::Context;
use crate::failure::{Failure, Result};
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use tempfile::NamedTempFile;

/// An editor that nobody sits at would go on for ever.
const ATTEMPTS_MAX: usize = 20;

/// What becomes of a text that was edited.
pub(crate) enum Verdict {
    Saved,
    /// It is opened again, with these words above it.
    Invalid(String),
    /// The server would not have it now.
    Refused,
    /// What it is about is there no more.
    Gone,
}

/// One text to edit.
pub(crate) struct Session<'a> {
    /// Tells the editor what the text is: `.yaml`.
    pub(crate) suffix: &'a str,
    /// Comments above the text; nothing where it can have none.
    pub(crate) head: &'a str,
    pub(crate) original: &'a str,
    /// Lines end as on Windows.
    pub(crate) windows: bool,
}

impl Session<'_> {
    /// Has the user edit the text until `save` takes it or the user gives up. Where that fails the text is kept.
    pub(crate) async fn run(
        &self,
        context: &Context,
        mut save: impl AsyncFnMut(&str) -> Result<Verdict>,
    ) -> Result<()> {
        let mut draft = Draft::new(self.suffix)?;
        let (mut before, mut trouble) = (self.original.to_owned(), None::<String>);
        for _ in 0..ATTEMPTS_MAX {
            let shown = trouble.as_deref().filter(|_| !self.head.is_empty()).unwrap_or_default();
            let edited = match draft.edit(&self.with_line_ends(format!("{}{shown}{before}", self.head))) {
                Ok(edited) => without_comments(&edited.replace("\r\n", "\n")),
                Err(failure) if trouble.is_some() || draft.is_changed() => return draft.preserved(context, failure),
                Err(failure) => return Err(failure),
            };
            if trouble.is_some() && edited == without_comments(&before) {
                let failure = Failure::message("Edit cancelled, no valid changes were saved.");
                return draft.preserved(context, failure);
            }
            if edited == without_comments(self.original) {
                return context.remark("Edit cancelled, no changes made.");
            }
            if edited.trim().is_empty() {
                return context.remark("Edit cancelled, saved file was empty.");
            }
            match save(&edited).await {
                Ok(Verdict::Saved) => return Ok(()),
                Ok(Verdict::Invalid(why)) => {
                    trouble = Some(why.lines().map(|line| format!("# {line}\n")).collect::<String>() + "#\n");
                    before = edited;
                }
                Ok(Verdict::Refused) => {
                    let path = draft.keep()?;
                    let path = path.display();
                    return over(
                        context,
                        &format!("You can run `kubectl replace -f {path}` to try this update again."),
                    );
                }
                Ok(Verdict::Gone) => {
                    let path = draft.keep()?.display().to_string();
                    return over(
                        context,
                        &format!("The edits you made on deleted resources have been saved to {path:?}"),
                    );
                }
                Err(failure) => return draft.preserved(context, failure),
            }
        }
        let failure = Failure::message(format!("no valid changes were saved in {ATTEMPTS_MAX} attempts"));
        draft.preserved(context, failure)
    }

    fn with_line_ends(&self, text: String) -> String {
        if self.windows { text.replace('\n', "\r\n") } else { text }
    }
}

/// All has been said when the program fails.
fn over(context: &Context, last: &str) -> Result<()> {
    context.remark(last)?;
    Err(Failure::Code { code: 1, text: String::new() })
}

/// The file of a session.
struct Draft {
    file: NamedTempFile,
    written: String,
}

fn failed(doing: &str, error: impl std::fmt::Display) -> Failure {
    Failure::message(format!("{doing} the file to edit: {error}"))
}

impl Draft {
    fn new(suffix: &str) -> Result<Draft> {
        let file = tempfile::Builder::new().prefix("kubectl-edit-").suffix(suffix).tempfile();
        Ok(Draft { file: file.map_err(|error| failed("making", error))?, written: String::new() })
    }

    /// What the user made of the text.
    fn edit(&mut self, text: &str) -> Result<String> {
        let path = self.file.path().to_owned();
        std::fs::write(&path, text).map_err(|error| failed("writing", error))?;
        text.clone_into(&mut self.written);
        let editor = ["KUBE_EDITOR", "EDITOR"]
            .iter()
            .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
        let editor = editor.unwrap_or_else(|| "vi".to_owned());
        // A shell takes the words of `code --wait` apart as the user's own does.
        let status = Command::new("sh").arg("-c").arg(format!("{editor} \"$1\"")).arg("sh").arg(&path).status();
        let status =
            status.map_err(|error| Failure::message(format!("unable to launch the editor {editor:?}: {error}")))?;
        if !status.success() {
            return Err(Failure::message(format!("there was a problem with the editor {editor:?}")));
        }
        std::fs::read_to_string(&path).map_err(|error| failed("reading", error))
    }

    /// Whether an editor that failed has left something of the user's in the file.
    fn is_changed(&self) -> bool {
        std::fs::read(self.file.path()).is_ok_and(|now| now != self.written.as_bytes())
    }

    fn preserved(self, context: &Context, failure: Failure) -> Result<()> {
        let path = self.keep()?.display().to_string();
        context.remark(format_args!("A copy of your changes has been stored to {path:?}"))?;
        Err(failure)
    }

    fn keep(mut self) -> Result<PathBuf> {
        self.file.flush().map_err(|error| failed("keeping", error))?;
        let (_, path) = self.file.keep().map_err(|error| failed("keeping", error))?;
        Ok(path)
    }
}

/// The text without lines that begin with `#`.
fn without_comments(text: &str) -> String {
    text.split_inclusive('\n').filter(|line| !line.starts_with('#')).collect()
}
