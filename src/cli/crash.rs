//! What is said where the program has a bug and panics.
//!
//! Takes:  a panic
//! Gives:  one line on standard error: where it was, and what about where that is a sentence of ours; the calls that led there if
//!         `RUST_BACKTRACE` asks for them
//! Never:  repeats a message that was put together at that moment: it may quote packets

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, Write};
use std::panic::{self, Location};

/// From now on panics are told so.
pub(crate) fn watch() {
    panic::set_hook(Box::new(|panic| {
        super::complain(&told(panic.location(), panic.payload()));
        let calls = Backtrace::capture();
        if calls.status() == BacktraceStatus::Captured {
            let _ = writeln!(io::stderr(), "{calls}");
        }
    }));
}

fn told(place: Option<&Location<'_>>, payload: &dyn Any) -> String {
    let place = place.map_or("an unknown place".to_owned(), ToString::to_string);
    // What is put together comes as a `String`.
    let what = payload.downcast_ref::<&'static str>().map_or(
        "what it says of it may quote the capture, and is left out",
        |text| *text,
    );
    format!(
        "panicked at {place} of version {} ({what}): this is a bug of tcptriage, please report it",
        env!("CARGO_PKG_VERSION")
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::process::{Command, Stdio};

    use super::*;

    /// Stands for what came in a packet.
    const MARKER: &str = "sesame-crash";

    /// What the process of [`a_panic_tells_where_and_quotes_nothing`] does; `None`: it is none of those.
    fn crash(how: &str) -> Option<()> {
        let octets = format!("é{MARKER}");
        match how {
            "a literal" => panic!("nothing of it can be foreign"),
            "a message" => panic!("no such word: {octets}"),
            // The library's own messages quote as well.
            "a string cut within a character" => octets.strip_prefix(&octets[1..]).map(|_| ()),
            "an error" => octets
                .parse::<u8>()
                .map_err(|_| octets)
                .map(|_| None)
                .unwrap(),
            "another thread" => {
                let thread = std::thread::spawn(move || panic!("{octets}"));
                thread
                    .join()
                    .unwrap_or_else(|panic| panic::resume_unwind(panic))
            }
            _ => None,
        }
    }

    #[test]
    fn a_panic_tells_where_and_quotes_nothing() {
        const ASKED: &str = "TCPTRIAGE_TEST_CRASH";
        if let Ok(how) = std::env::var(ASKED) {
            watch();
            crash(&how).unwrap();
        }
        for (name, want) in [
            ("a literal", "nothing of it can be foreign"),
            ("a message", "is left out"),
            ("a string cut within a character", "is left out"),
            ("an error", "is left out"),
            ("another thread", "is left out"),
        ] {
            let output = Command::new(std::env::current_exe().unwrap())
                .args([
                    "--exact",
                    "--nocapture",
                    "cli::crash::tests::a_panic_tells_where_and_quotes_nothing",
                ])
                .env(ASKED, name)
                .env("RUST_BACKTRACE", "1")
                .stdin(Stdio::null())
                .output()
                .unwrap();
            assert!(!output.status.success(), "{name}");
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(
                said.contains("panicked at src/cli/crash.rs:"),
                "{name}: {said}"
            );
            assert!(
                said.contains(want) && said.contains("a bug of tcptriage"),
                "{name}: {said}"
            );
            let all = said + String::from_utf8_lossy(&output.stdout);
            assert!(!all.contains(MARKER), "{name}: {all}");
        }
    }
}
