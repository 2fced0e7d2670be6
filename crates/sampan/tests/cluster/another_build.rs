//! The program under another version: what the tests upgrade to and back from.

fn main() -> std::process::ExitCode {
    sampan::main(concat!(env!("CARGO_PKG_VERSION"), "-another"))
}
