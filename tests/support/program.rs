//! The program, and others, run to their end.
//!
//! Takes:  arguments; nothing on standard input
//! Gives:  what was printed
//! Never:  waits for what a program does meanwhile: see `netns` for those that go on

use std::process::{Command, Output, Stdio};

/// What the program gives for these arguments, whatever its exit code.
pub fn tcptriage(args: &[&str]) -> Output {
    // Examples and benches have none; what they take of this folder must compile for all that.
    let Some(program) = option_env!("CARGO_BIN_EXE_tcptriage") else {
        panic!("only a test knows where the program is");
    };
    run(Command::new(program).args(args))
}

/// What a program prints that ends well.
pub fn printed(command: &mut Command) -> String {
    let output = run(command);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn run(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap()
}
