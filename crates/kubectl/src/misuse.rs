//! Command lines that cannot be read: what is said of them, in the words of upstream's parser.

use clap::builder::ValueParser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command};
use std::any::TypeId;
use std::ffi::OsString;

/// What ends a run: words on standard error and an exit code.
pub(crate) struct Misuse {
    pub(crate) text: String,
    pub(crate) code: u8,
}

/// `command` is the definition that the words reached, and `path` its names.
pub(crate) fn of(error: &clap::Error, command: &Command, path: &str, arguments: &[OsString]) -> Misuse {
    let usage = format!("\nSee 'kubectl{path} --help' for usage.");
    let help = format!("\nSee 'kubectl{path} -h' for help and examples");
    let invalid = named(error, ContextKind::InvalidArg);
    let flag = flag_of(command, &invalid);
    let text = match error.kind() {
        ErrorKind::InvalidSubcommand => {
            let word = named(error, ContextKind::InvalidSubcommand);
            let takes_files = matches!(path, " create" | " apply");
            if takes_files {
                format!("Unexpected args: [{word}]{help}")
            } else {
                format!("unknown command {word:?}{help}")
            }
        }
        ErrorKind::UnknownArgument => unknown(&invalid, path, &usage, &help),
        ErrorKind::MissingRequiredArgument if invalid.contains("--") => missing(&invalid),
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => match flag {
            Some(flag) => {
                let value = named(error, ContextKind::InvalidValue);
                wrong(error, flag, &value, arguments) + if is_dry_run(flag) && !value.is_empty() { "" } else { &usage }
            }
            None => plain(error) + &usage,
        },
        _ => plain(error) + &usage,
    };
    // To whoever reads differences by the exit code, 1 is one.
    Misuse { text, code: if path == " diff" { 2 } else { 1 } }
}

fn plain(error: &clap::Error) -> String {
    error.to_string().trim_start_matches("error: ").trim_end().to_owned()
}

fn named(error: &clap::Error, kind: ContextKind) -> String {
    match error.get(kind) {
        Some(ContextValue::Strings(all)) => all.join(", "),
        other => other.map(ToString::to_string).unwrap_or_default(),
    }
}

/// `--output <FORMAT>` and `--watch[=<BOOL>]` name their flags.
fn flag_of<'a>(command: &'a Command, shown: &str) -> Option<&'a Arg> {
    let name = shown.strip_prefix("--")?.split([' ', '=', '[']).next()?;
    command.get_arguments().find(|argument| argument.get_long() == Some(name))
}

fn is_dry_run(flag: &Arg) -> bool {
    flag.get_long() == Some("dry-run")
}

/// A flag that nobody knows, or a word where none is taken.
fn unknown(invalid: &str, path: &str, usage: &str, help: &str) -> String {
    match invalid.strip_prefix('-') {
        Some(short) if !short.starts_with('-') => format!("unknown shorthand flag: '{short}' in {invalid}{usage}"),
        Some(_) => format!("unknown flag: {invalid}{usage}"),
        None if path == " version" => format!("extra arguments: [{invalid}]"),
        None => format!("unexpected arguments: [{invalid}]{help}"),
    }
}

fn missing(invalid: &str) -> String {
    let flags = invalid.split(", ").map(|flag| flag.trim_start_matches("--").split(' ').next().unwrap_or_default());
    let flags: Vec<String> = flags.map(|flag| format!("{flag:?}")).collect();
    format!("required flag(s) {} not set", flags.join(", "))
}

/// A flag with a value that it cannot take, or with none.
fn wrong(error: &clap::Error, flag: &Arg, value: &str, arguments: &[OsString]) -> String {
    let long = flag.get_long().unwrap_or_default();
    if value.is_empty() && !arguments.iter().any(|word| word.to_string_lossy() == format!("--{long}=")) {
        let last = arguments.last().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
        return match (last.strip_prefix('-').filter(|shorts| !shorts.starts_with('-')), flag.get_short()) {
            (Some(shorts), Some(short)) => format!("flag needs an argument: '{short}' in -{shorts}"),
            _ => format!("flag needs an argument: --{long}"),
        };
    }
    let reason = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    if is_dry_run(flag) {
        return reason;
    }
    let shown = match flag.get_short() {
        Some(short) => format!("-{short}, --{long}"),
        None => format!("--{long}"),
    };
    let reason = match function(flag.get_value_parser()) {
        Some(function) => format!("{function}: parsing {value:?}: invalid syntax"),
        None => reason,
    };
    format!("invalid argument {value:?} for {shown:?} flag: {reason}")
}

/// What upstream reads a flag's value with.
fn function(parser: &ValueParser) -> Option<&'static str> {
    let kind = parser.type_id();
    let is = |wanted: TypeId| kind == wanted;
    let integers = [TypeId::of::<i64>(), TypeId::of::<i32>(), TypeId::of::<u64>(), TypeId::of::<u32>()];
    if is(TypeId::of::<bool>()) {
        Some("strconv.ParseBool")
    } else if integers.into_iter().chain([TypeId::of::<u16>(), TypeId::of::<u8>(), TypeId::of::<usize>()]).any(is) {
        Some("strconv.ParseInt")
    } else {
        None
    }
}

/// As Go reads a bool.
pub(crate) fn go_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        other => Err(format!("strconv.ParseBool: parsing {other:?}: invalid syntax")),
    }
}
