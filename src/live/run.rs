//! Drives a live run: one thread takes frames from the interfaces, one numbers and writes them, the caller's analyses them.
//!
//! Takes:  a [`Tap`], a [`Ring`], a [`Run`], and when to stop
//! Gives:  [`News`] about once a second and as things happen; the [`Report`] at the end
//! Never:  waits for whoever is told; ends without a report or with an open file

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use crate::capture::CaptureInfo;
use crate::capture::live::{Drops, Numbered, Ring, RingState, Taken, Tap, now};
use crate::detect::Severity;
use crate::net::Timestamp;
use crate::pipeline::live::{Run, Snapshot};
use crate::report::model::{Flow, Report};

/// Batches on their way between two threads.
const IN_FLIGHT: usize = 32;

/// Empty batches kept to be filled again. When the analysis has fallen behind there are many more; they are given back once it has caught up,
/// or memory would stay at what the worst moment took.
const SPARE: usize = 4;

/// How long one wait for frames takes at most: as long it takes to notice that the run is to stop.
const WAIT: Duration = Duration::from_millis(100);

/// At its end a run waits so long for what the kernel still holds back: longer than that collects frames before it hands them over.
const LAST_WAIT: Duration = Duration::from_millis(250);

/// Time between two looks at the flows.
const TICK: Duration = Duration::from_secs(1);

/// A look may take this part of the time at most; where it takes longer, looks become fewer.
const SHARE: u32 = 20;

/// Without frames, an empty batch is sent this often: what waits for a trigger is written then.
const BEAT: Duration = Duration::from_secs(1);

/// After a trigger, frames are written for so long.
const AFTER_TRIGGER: Duration = Duration::from_secs(30);

/// When to stop, and what calls for something.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Stop after this time.
    pub stop_after: Option<Duration>,
    /// Stop after so many frames.
    pub frames: Option<u64>,
    /// Stop at a finding that is likely and at least this bad.
    pub until: Option<Severity>,
    /// Write what waits in memory at a finding that is likely and at least this bad.
    pub trigger: Option<Severity>,
    /// Report this often.
    pub report_every: Option<Duration>,
}

/// How the run stands.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// Since its beginning.
    pub elapsed: Duration,
    /// The analysis.
    pub snapshot: Snapshot,
    /// What the kernel and the interfaces dropped.
    pub drops: Drops,
    /// The writing, where there is any.
    pub ring: Option<RingState>,
}

/// What is told while a run goes on.
#[derive(Clone, Debug)]
pub enum News {
    /// About once a second: how it stands, what began and what ended.
    Status(Box<Status>),
    /// A flow has ended.
    Flow(Box<Flow>),
    /// Something befell the capture or the writing.
    Trouble(Timestamp, String),
    /// The report of a part of the run.
    Interim(Box<Report>),
}

/// Runs until it is to stop; `tell` must not wait.
pub fn run(
    tap: Tap,
    ring: Ring,
    mut analysis: Run,
    plan: &Plan,
    stop: &AtomicBool,
    tell: &mut dyn FnMut(News),
) -> Report {
    let names: Vec<String> = tap.interfaces().into_iter().map(|i| i.name).collect();
    let names = names.join("+");
    let trigger = AtomicI64::new(i64::MIN);
    let (taken_in, taken_out) = bounded::<Taken>(IN_FLIGHT);
    let (numbered_in, numbered_out) = bounded::<Numbered>(IN_FLIGHT);
    let (empty_in, empty_out) = bounded::<Taken>(SPARE);
    let trigger = &trigger;
    let (captures, state) = std::thread::scope(|scope| {
        scope.spawn(move || capture(tap, plan, stop, &taken_in, &empty_out));
        let writer = scope.spawn(move || write(ring, trigger, &taken_out, &numbered_in));
        let state = analyse(
            &mut analysis,
            plan,
            (stop, trigger),
            (numbered_out, empty_in),
            &names,
            tell,
        );
        let captures = writer
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        (captures, state)
    });
    let dropped = state.drops.all();
    let (report, flows, snapshot) = analysis.finish(captures, now(), dropped);
    for flow in flows {
        tell(News::Flow(Box::new(flow)));
    }
    tell(News::Status(Box::new(Status { snapshot, ..state })));
    report
}

/// Takes frames until the run is to stop.
fn capture(
    mut tap: Tap,
    plan: &Plan,
    stop: &AtomicBool,
    out: &Sender<Taken>,
    empty: &Receiver<Taken>,
) {
    let started = Instant::now();
    let mut left = plan.frames.unwrap_or(u64::MAX);
    let mut sent = Instant::now();
    let send = |mut taken: Taken, left: &mut u64| {
        let frames = &mut taken.frames.frames;
        frames.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
        taken.interface.truncate(frames.len());
        *left = left.saturating_sub(frames.len() as u64);
        out.send(taken).is_ok()
    };
    loop {
        let over = plan
            .stop_after
            .is_some_and(|after| started.elapsed() >= after);
        if over || left == 0 || tap.is_dead() || stop.load(Ordering::Relaxed) {
            break;
        }
        let mut taken = empty.try_recv().unwrap_or_default();
        tap.take(&mut taken, WAIT);
        let worth = !taken.frames.frames.is_empty() || !taken.troubles.is_empty();
        if worth || sent.elapsed() >= BEAT {
            sent = Instant::now();
            if !send(taken, &mut left) {
                return;
            }
        }
    }
    // What was captured before this moment belongs to the run; the kernel may still hold back a part of it.
    let (end, until) = (now(), Instant::now() + LAST_WAIT);
    let mut more = left > 0;
    while more {
        let mut taken = Taken::default();
        let wait = until.saturating_duration_since(Instant::now());
        if wait.is_zero() {
            more = tap.take_rest(&mut taken);
        } else {
            tap.take(&mut taken, wait);
        }
        let before = taken.frames.frames.partition_point(|f| f.time <= end);
        more &= before == taken.frames.frames.len();
        taken.frames.frames.truncate(before);
        if !send(taken, &mut left) {
            return;
        }
        more &= left > 0;
    }
}

/// Numbers frames, and writes them where that is wanted; gives what is known of each file.
fn write(
    mut ring: Ring,
    trigger: &AtomicI64,
    frames: &Receiver<Taken>,
    out: &Sender<Numbered>,
) -> Vec<CaptureInfo> {
    let triggered = |ring: &mut Ring| {
        let until = trigger.load(Ordering::Relaxed);
        if until > i64::MIN {
            ring.trigger(Timestamp(until));
        }
    };
    for taken in frames {
        triggered(&mut ring);
        if !ring.take(taken, &mut |numbered| out.send(numbered).is_ok()) {
            break;
        }
    }
    triggered(&mut ring);
    ring.finish()
}

/// Analyses frames until no more come. It owns its ends of the channels: where it panics, the other threads end as well.
fn analyse(
    analysis: &mut Run,
    plan: &Plan,
    (stop, trigger): (&AtomicBool, &AtomicI64),
    (frames, empty): (Receiver<Numbered>, Sender<Taken>),
    names: &str,
    tell: &mut dyn FnMut(News),
) -> Status {
    let started = Instant::now();
    let mut next = started + TICK;
    let mut next_report = plan.report_every.map(|every| started + every);
    let mut state = Status::default();
    if next_report.is_some() {
        // Begins the first part.
        let _ = analysis.interim(now(), names, 0);
    }
    loop {
        let wait = next.saturating_duration_since(Instant::now());
        match frames.recv_timeout(wait) {
            Ok(mut numbered) => {
                analysis.push(&mut numbered.taken.frames, numbered.capture);
                state.drops = numbered.taken.drops;
                state.ring = numbered.state;
                for text in numbered.taken.troubles.drain(..) {
                    tell(News::Trouble(now(), text));
                }
                for flow in analysis.ended() {
                    tell(News::Flow(Box::new(flow)));
                }
                // Where there are enough, or nobody wants it any more, it is dropped.
                let _ = empty.try_send(numbered.taken);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        let begun = Instant::now();
        if begun < next {
            continue;
        }
        let dropped = state.drops.all();
        state.snapshot = analysis.tick(now(), dropped);
        state.elapsed = started.elapsed();
        let calls = |least: Option<Severity>, alerts: &[crate::pipeline::live::Alert]| {
            least.is_some_and(|least| alerts.iter().any(|a| a.calls_for(least)))
        };
        if calls(plan.trigger, &state.snapshot.alerts) {
            let nanos = i64::try_from(AFTER_TRIGGER.as_nanos()).unwrap_or(i64::MAX);
            trigger.store(now().plus_nanos(nanos).0, Ordering::Relaxed);
        }
        if calls(plan.until, &state.snapshot.alerts) {
            stop.store(true, Ordering::Relaxed);
        }
        tell(News::Status(Box::new(Status {
            snapshot: std::mem::take(&mut state.snapshot),
            ..state.clone()
        })));
        if next_report.is_some_and(|at| begun >= at) {
            next_report = plan.report_every.map(|every| begun + every);
            if let Some(report) = analysis.interim(now(), names, dropped) {
                tell(News::Interim(Box::new(report)));
            }
        }
        let cost = begun.elapsed();
        next = begun + TICK.max(cost.saturating_mul(SHARE));
    }
    state.elapsed = started.elapsed();
    state
}
