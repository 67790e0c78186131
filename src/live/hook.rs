//! Starts the user's command when something was found.
//!
//! Takes:  a command, findings
//! Gives:  a child for each finding, with the finding as JSON on its standard input
//! Never:  uses a shell; lets a child that hangs hold up the run: few run at once, each is given a time and then killed

use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Children at one time.
const MAX_CHILDREN: usize = 4;

/// Time that a child is given.
const PATIENCE: Duration = Duration::from_secs(30);

/// A command to be started.
pub struct Hook {
    program: String,
    arguments: Vec<String>,
    running: Arc<AtomicUsize>,
    threads: Vec<JoinHandle<()>>,
    patience: Duration,
}

impl Hook {
    /// A program and its arguments, parted by blanks.
    ///
    /// # Errors
    /// Where there is no program.
    pub fn new(command: &str) -> Result<Self, String> {
        let mut words = command.split_whitespace().map(str::to_owned);
        Ok(Self {
            program: words.next().ok_or("there is no command")?,
            arguments: words.collect(),
            running: Arc::default(),
            threads: Vec::new(),
            patience: PATIENCE,
        })
    }

    /// Starts the command with `input` on its standard input.
    ///
    /// # Errors
    /// Where it cannot be started, or too many run already.
    pub fn start(&mut self, input: Vec<u8>) -> Result<(), String> {
        self.threads.retain(|thread| !thread.is_finished());
        if self.running.load(Ordering::Relaxed) >= MAX_CHILDREN {
            return Err(format!(
                "{} was not started: {MAX_CHILDREN} of it are still running",
                self.program
            ));
        }
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("cannot start {}: {error}", self.program))?;
        let stdin = child.stdin.take();
        self.running.fetch_add(1, Ordering::Relaxed);
        let (running, patience) = (Arc::clone(&self.running), self.patience);
        // A child need not read what it is given; the writer ends with the child then.
        let writer = std::thread::spawn(move || {
            if let Some(mut stdin) = stdin {
                let _ = stdin.write_all(&input);
            }
        });
        self.threads.push(std::thread::spawn(move || {
            wait(&mut child, patience);
            let _ = writer.join();
            running.fetch_sub(1, Ordering::Relaxed);
        }));
        Ok(())
    }

    /// Waits for the children that run, no longer than each is given.
    pub fn finish(self) {
        for thread in self.threads {
            let _ = thread.join();
        }
    }
}

/// Waits for a child; kills it when its time is up.
fn wait(child: &mut Child, patience: Duration) {
    let until = Instant::now() + patience;
    while let Ok(None) = child.try_wait() {
        if Instant::now() >= until {
            let _ = child.kill();
            let _ = child.wait();
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_child_reads_the_finding_and_no_shell_is_used() {
        let file = std::env::temp_dir().join(format!("tcptriage-hook-{}", std::process::id()));
        let mut hook = Hook::new(&format!("tee {} $HOME;", file.display())).unwrap();
        // `$HOME;` is the name of a file to tee, not something that a shell replaces.
        hook.arguments.pop();
        hook.start(b"{\"id\":\"a\"}".to_vec()).unwrap();
        hook.finish();
        assert_eq!(std::fs::read(&file).unwrap(), b"{\"id\":\"a\"}");
        std::fs::remove_file(file).unwrap();
    }

    #[test]
    fn children_that_hang_are_few_and_are_killed() {
        let mut hook = Hook::new("sleep 600").unwrap();
        hook.patience = Duration::from_millis(300);
        for _ in 0..MAX_CHILDREN {
            // More than a pipe holds, and nobody reads it.
            hook.start(vec![b'x'; 1 << 20]).unwrap();
        }
        assert!(hook.start(Vec::new()).is_err());
        let started = Instant::now();
        hook.finish();
        assert!(started.elapsed() < Duration::from_secs(300));
    }

    #[test]
    fn what_cannot_be_started_is_told() {
        assert!(Hook::new("  ").is_err());
        assert!(
            Hook::new("/no/such/program")
                .unwrap()
                .start(Vec::new())
                .is_err()
        );
    }
}
