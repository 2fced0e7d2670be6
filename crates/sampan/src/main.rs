//! The program `sampan`.

fn main() -> std::process::ExitCode {
    sampan::main(env!("CARGO_PKG_VERSION"))
}
