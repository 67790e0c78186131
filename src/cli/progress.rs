//! Progress on standard error: only on a terminal, only for runs over a second.
//!
//! Takes:  [`Progress`], from any thread
//! Gives:  a bar that goes away at the end
//! Never:  shows before [`SHOW_AFTER`], or where standard error is no terminal

use std::io::IsTerminal;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tcptriage::pipeline::{Progress, ProgressFn};

/// Runs that end sooner show nothing.
const SHOW_AFTER: Duration = Duration::from_secs(1);

/// A bar, or nothing.
pub(crate) struct Meter {
    bar: Option<Arc<Mutex<State>>>,
}

struct State {
    started: Instant,
    bar: ProgressBar,
    index: Option<usize>,
}

impl Meter {
    /// `quiet`, or standard error is no terminal: a meter that shows nothing.
    pub(crate) fn new(quiet: bool) -> Self {
        let wanted = !quiet && std::io::stderr().is_terminal();
        Self {
            bar: wanted.then(|| {
                Arc::new(Mutex::new(State {
                    started: Instant::now(),
                    bar: ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden()),
                    index: None,
                }))
            }),
        }
    }

    /// What the library calls.
    pub(crate) fn callback(&self) -> Option<ProgressFn> {
        let state = Arc::clone(self.bar.as_ref()?);
        Some(ProgressFn(Arc::new(move |progress| {
            if let Ok(mut state) = state.lock() {
                state.show(progress);
            }
        })))
    }

    /// Takes the bar off the screen.
    pub(crate) fn finish(&self) {
        if let Some(Ok(state)) = self.bar.as_ref().map(|s| s.lock()) {
            state.bar.finish_and_clear();
        }
    }
}

impl State {
    fn show(&mut self, progress: &Progress<'_>) {
        if self.started.elapsed() < SHOW_AFTER {
            return;
        }
        if self.bar.is_hidden() {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        if self.index != Some(progress.index) {
            self.index = Some(progress.index);
            let template = if progress.octets_in_all.is_some() {
                "{msg} [{bar:30}] {bytes}/{total_bytes} {eta} left"
            } else {
                "{msg} {spinner} {bytes}"
            };
            if let Ok(style) = ProgressStyle::with_template(template) {
                self.bar.set_style(style.progress_chars("=> "));
            }
        }
        if let Some(all) = progress.octets_in_all {
            self.bar.set_length(all);
        }
        self.bar.set_position(progress.octets);
        let name = tcptriage::report::escape::line(progress.path);
        self.bar.set_message(if progress.of > 1 {
            format!("{}/{} {name}", progress.index + 1, progress.of)
        } else {
            name
        });
    }
}
