//! The view that fills a terminal, on terminals that the test makes: however it ends, the terminal is left as it was.
//!
//! Where nothing may be captured, or `setsid` is missing, a test says so and passes.
#![cfg(all(feature = "live", target_os = "linux"))]
#![allow(clippy::unwrap_used)]

mod support;

use std::fs::{File, OpenOptions};
use std::io::{Read, Write, stdin};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Child, ExitStatus};
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Termios, tcgetattr};
use support::netns::{Folder, command, missing};
use tcptriage::live::{News, view};
use tcptriage::pipeline::{Settings, analyze};

/// Longest wait for anything: a busy machine is slow.
const PATIENCE: Duration = Duration::from_secs(120);

/// What tells a terminal to go to its second screen, and back to the first.
const SCREENS: [&str; 2] = ["\x1b[?1049h", "\x1b[?1049l"];

/// A terminal with a program in it.
struct Terminal {
    master: Option<File>,
    line: File,
    before: Termios,
    child: Child,
    said: Vec<u8>,
}

impl Terminal {
    /// Starts a program whose terminal this is: `setsid` makes it so.
    fn start(program: &str, arguments: &[&str]) -> Self {
        let master =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let line = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(OFlags::NOCTTY.bits() as i32)
            .open(name.to_str().unwrap())
            .unwrap();
        let before = tcgetattr(&line).unwrap();
        let mut setsid = command("setsid", &["--ctty", program]);
        let child = setsid
            .args(arguments)
            .env("TERM", "xterm-256color")
            .stdin(line.try_clone().unwrap())
            .stdout(line.try_clone().unwrap())
            .stderr(line.try_clone().unwrap())
            .spawn()
            .unwrap();
        Self {
            master: Some(File::from(master)),
            line,
            before,
            child,
            said: Vec::new(),
        }
    }

    /// Reads what the program writes, for a moment.
    fn read(&mut self) {
        let Some(master) = &mut self.master else {
            thread::sleep(Duration::from_millis(50));
            return;
        };
        let moment = Timespec {
            tv_sec: 0,
            tv_nsec: 50_000_000,
        };
        let ready = poll(&mut [PollFd::new(&*master, PollFlags::IN)], Some(&moment));
        let mut some = [0; 4096];
        if ready.is_ok_and(|n| n > 0)
            && let Ok(n) = master.read(&mut some)
        {
            self.said.extend_from_slice(&some[..n]);
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.said).into_owned()
    }

    /// Waits until it has written this; `false` where it has ended before.
    fn wait_for(&mut self, text: &str) -> bool {
        let end = Instant::now() + PATIENCE;
        while !self.text().contains(text) {
            if self.child.try_wait().unwrap().is_some() {
                return false;
            }
            assert!(Instant::now() < end, "no {text:?} in {}", self.text());
            self.read();
        }
        true
    }

    fn wait(&mut self) -> ExitStatus {
        let end = Instant::now() + PATIENCE;
        loop {
            self.read();
            if let Some(status) = self.child.try_wait().unwrap() {
                self.read();
                return status;
            }
            assert!(Instant::now() < end, "it does not end: {}", self.text());
        }
    }

    /// It went to the second screen and came back, and reads lines as it did before.
    fn is_as_before(&self) {
        let text = self.text();
        let [there, back] = SCREENS.map(|screen| text.rfind(screen));
        assert!(there.is_some() && there < back, "{text}");
        let now = tcgetattr(&self.line).unwrap();
        assert_eq!(now.local_modes, self.before.local_modes);
        assert_eq!(now.input_modes, self.before.input_modes);
        assert_eq!(now.output_modes, self.before.output_modes);
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A run in a terminal; `None` where nothing may be captured, which is told.
fn live(name: &str, arguments: &[&str]) -> Option<Terminal> {
    if let Some(reason) = missing(&["setsid"]) {
        eprintln!("{name}: skipped: {reason}");
        return None;
    }
    let arguments = [&["live", "-i", "lo"], arguments].concat();
    let mut terminal = Terminal::start(env!("CARGO_BIN_EXE_tcptriage"), &arguments);
    if terminal.wait_for(SCREENS[0]) {
        return Some(terminal);
    }
    let text = terminal.text();
    assert!(text.contains("setcap"), "it ended early: {text}");
    eprintln!("{name}: skipped: nothing may be captured here");
    None
}

#[test]
fn a_panic_leaves_the_terminal_as_it_was() {
    let name = "a_panic_leaves_the_terminal_as_it_was";
    if let Some(reason) = missing(&["setsid"]) {
        eprintln!("{name}: skipped: {reason}");
        return;
    }
    let this = std::env::current_exe().unwrap();
    let child = [
        "--exact",
        "a_view_beside_which_a_thread_panics",
        "--ignored",
        "--nocapture",
    ];
    let mut terminal = Terminal::start(this.to_str().unwrap(), &child);
    assert_eq!(terminal.wait().code(), Some(101), "{}", terminal.text());
    terminal.is_as_before();
    let text = terminal.text();
    let told = text.rfind("something that must not be");
    assert!(
        told > text.find(SCREENS[1]),
        "it is told on the first screen: {text}"
    );
}

/// As the analysis beside the view would.
#[test]
#[ignore = "runs in the terminal of another test"]
fn a_view_beside_which_a_thread_panics() {
    let (news, shown) = crossbeam_channel::bounded(1);
    let viewer = thread::spawn(move || view::show("lo", &shown, &AtomicBool::new(false)));
    let panicked = thread::spawn(move || {
        let end = Instant::now() + PATIENCE;
        while tcgetattr(stdin())
            .unwrap()
            .local_modes
            .contains(LocalModes::ICANON)
        {
            assert!(Instant::now() < end);
            thread::sleep(Duration::from_millis(20));
        }
        news.send(News::Status(Box::default())).unwrap();
        // With it goes the sender, and the view ends.
        panic!("something that must not be");
    })
    .join();
    viewer.join().unwrap().unwrap();
    assert!(panicked.is_ok());
}

#[test]
fn the_end_of_a_run_leaves_the_terminal_as_it_was() {
    let Some(mut terminal) = live("the_end_of_a_run_leaves_the_terminal_as_it_was", &[]) else {
        return;
    };
    terminal
        .master
        .as_ref()
        .unwrap()
        .write_all(b"\x03")
        .unwrap();
    assert_eq!(terminal.wait().code(), Some(0), "{}", terminal.text());
    terminal.is_as_before();
}

#[test]
fn a_terminal_that_is_closed_ends_the_run_in_good_order() {
    let name = "a_terminal_that_is_closed_ends_the_run_in_good_order";
    let folder = Folder::new("live-closed");
    let ring = folder.at("ring");
    let Some(mut terminal) = live(name, &["--write", &ring]) else {
        return;
    };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let _stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    drop(terminal.master.take());
    let status = terminal.wait();
    assert!(status.code().is_some(), "a signal has ended it: {status}");
    let settings = Settings {
        captures: vec![ring],
        ..Settings::default()
    };
    let report = analyze(&settings).unwrap();
    let capture = &report.captures[0];
    assert!(capture.frames >= 3, "{capture:?}");
    assert_eq!(
        capture.dropped_by_capture,
        Some(0),
        "it was closed with its counts"
    );
    assert!(capture.problems.is_empty(), "{capture:?}");
}
