//! Plans how captures are read: which of them one after the other, which side by side, and how far their clocks are apart.
//!
//! Takes:  sets of files, as [`capture::find`](crate::capture::find) gives them
//! Gives:  a [`Plan`]: lanes of files that follow one another, and how each two lanes are related
//! Never:  reads a pipe; looks at more than [`MOST_SEGMENTS`] segments of a lane
//!
//! One lane is read as it stands. Of several a sample is taken first, as what to make of a segment that two captures show is known
//! only by looking at both: see [`compare::Sample`](crate::compare::Sample).

use std::collections::BTreeMap;

use crate::capture::{CaptureFile, Found};
use crate::compare::{Clock, Relation, Sample, relate};
use crate::net::Timestamp;

use super::each::each;
use super::memory::Shares;
use super::read::Lane;
use super::{Error, Settings};

/// Lanes read side by side; more than these are each read by itself.
pub(super) const MAX_LANES: usize = 64;

/// Segments that the samples of all lanes keep together.
const ROOM: usize = 1 << 20;

/// Octets that a connection takes which both of two lanes show; each of the segments kept may be of another one.
const RELATED: usize = 256;

/// Segments of one lane that are looked at.
const MOST_SEGMENTS: u64 = 2_000_000;

/// The same for two files whose names say that one follows the other.
const FEW_SEGMENTS: u64 = 16_384;

/// Clocks of hosts that are set by others differ by less, nanoseconds; so long before the others begin a lane is looked at.
const BEFORE: i64 = 60_000_000_000;

/// A difference of clocks that is no more than what two readers of one clock make of it, seconds.
const ONE_CLOCK: f64 = 0.000_1;

/// A file, with the index of its capture in the run.
pub(super) type Indexed = (u32, CaptureFile);

/// Files that follow one another.
#[derive(Debug, Default)]
pub(super) struct Planned {
    pub(super) files: Vec<Indexed>,
    /// When it begins, by the clock of the run. `None`: it is read by itself, behind all others.
    pub(super) first: Option<Timestamp>,
    /// What turns its times into those of the run: one clock after the other.
    pub(super) clocks: Vec<Clock>,
}

impl Planned {
    fn new(files: Vec<Indexed>) -> Self {
        Self {
            first: files.first().and_then(|(_, file)| file.first),
            files,
            clocks: Vec::new(),
        }
    }

    /// Its time as the run's.
    pub(super) fn time(&self, time: Timestamp) -> Timestamp {
        self.clocks.iter().fold(time, |t, clock| clock.to_left(t))
    }

    pub(super) fn is_pipe(&self) -> bool {
        self.files.iter().any(|(_, file)| file.is_pipe())
    }
}

/// How captures are read.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) lanes: Vec<Planned>,
    /// By the numbers of two lanes, the lesser first.
    pub(super) relations: BTreeMap<(usize, usize), Relation>,
    /// Sentences on files left out, and on what could not be done.
    pub(super) notes: Vec<String>,
    /// Captures of this run, with those that were read earlier.
    pub(super) upto: u32,
}

impl Plan {
    /// `before`: captures of this run that were read earlier.
    pub(super) fn new(settings: &Settings, found: Found, before: u32) -> Result<Self, Error> {
        let mut plan = Self {
            notes: found.notes,
            upto: before,
            ..Self::default()
        };
        for set in found.sets {
            let files: Vec<Indexed> = (plan.upto..).zip(set.files).collect();
            plan.upto = plan
                .upto
                .saturating_add(u32::try_from(files.len()).unwrap_or(u32::MAX));
            if let [first, second, ..] = files.as_slice()
                && are_views(settings, first, second)
            {
                plan.lanes
                    .extend(files.into_iter().map(|file| Planned::new(vec![file])));
            } else {
                plan.lanes.push(Planned::new(files));
            }
        }
        let several = plan.lanes.len() > 1;
        if plan.lanes.len() > MAX_LANES {
            plan.notes.push(format!(
                "{} captures are too many to be read as one timeline ({MAX_LANES} at most): each was analysed by itself",
                plan.lanes.len()
            ));
            for lane in &mut plan.lanes {
                lane.first = None;
            }
        } else if several {
            plan.relate(settings);
        }
        Ok(plan)
    }

    /// Finds out how the lanes belong together.
    fn relate(&mut self, settings: &Settings) {
        let lanes = self.lanes.len().max(1);
        let pairs = (lanes * (lanes - 1) / 2).max(1);
        let room = (ROOM / lanes).min(Shares::of(settings).relations / pairs / RELATED);
        let firsts: Vec<Option<Timestamp>> = self.lanes.iter().map(|lane| lane.first).collect();
        let numbered: Vec<(usize, &Planned)> = self.lanes.iter().enumerate().collect();
        let samples: Vec<Option<Sample>> = each(settings.threads(), numbered, |(n, lane)| {
            let others = (0..).zip(&firsts).filter(|(m, _)| *m != n);
            let from = others.filter_map(|(_, first)| *first).min()?;
            sample(settings, lane, from.plus_nanos(-BEFORE), room)
        });
        for (n, left) in samples.iter().enumerate() {
            for (m, right) in samples.iter().enumerate().skip(n + 1) {
                if let (Some(left), Some(right)) = (left, right) {
                    self.relations.insert((n, m), relate(left, right));
                }
            }
        }
        self.set_clocks();
        for lane in &mut self.lanes {
            lane.first = lane.first.map(|first| lane.time(first));
        }
    }

    /// Each lane's clock is set by that of the first lane that it can be compared with.
    fn set_clocks(&mut self) {
        let mut set = vec![false; self.lanes.len()];
        for start in 0..self.lanes.len() {
            let mut next = vec![start];
            while let Some(n) = next.pop() {
                if std::mem::replace(&mut set[n], true) {
                    continue;
                }
                let known = self.lanes[n].clocks.clone();
                for (m, lane) in self.lanes.iter_mut().enumerate() {
                    let relation = match self.relations.get(&(n.min(m), n.max(m))) {
                        Some(relation) if !set[m] && n != m => relation,
                        _ => continue,
                    };
                    let Some(clock) = relation.clock else {
                        continue;
                    };
                    let steady = relation.one_place || clock.drift == 0.0;
                    next.push(m);
                    let clocks = &mut lane.clocks;
                    clocks.clear();
                    if clock.offset.abs() > ONE_CLOCK || !steady {
                        clocks.push(if n < m { clock } else { clock.turned() });
                    }
                    clocks.extend(&known);
                }
            }
        }
    }
}

/// Whether two files whose names differ in numbers only show the same segments at their beginning: then neither follows the other.
fn are_views(settings: &Settings, first: &Indexed, second: &Indexed) -> bool {
    let take = |file: &Indexed| {
        let lane = Planned::new(vec![file.clone()]);
        let few = usize::try_from(FEW_SEGMENTS).unwrap_or(usize::MAX);
        let mut sample = Sample::new(few);
        fill(settings, &lane, None, FEW_SEGMENTS, &mut sample)?;
        Some(sample)
    };
    match (take(first), take(second)) {
        (Some(left), Some(right)) => relate(&left, &right).clock.is_some(),
        _ => false,
    }
}

/// A sample of a lane from about the moment on when others begin; of its beginning, where it has ended by then.
fn sample(settings: &Settings, lane: &Planned, from: Timestamp, room: usize) -> Option<Sample> {
    let first = lane.first?;
    let mut sample = Sample::new(room);
    fill(settings, lane, Some(from), MOST_SEGMENTS, &mut sample)?;
    if sample.segments == 0 && first < from {
        fill(settings, lane, None, FEW_SEGMENTS, &mut sample)?;
    }
    Some(sample)
}

/// Looks at segments from a moment on. `None` where it cannot be read: reading it in earnest says why.
fn fill(
    settings: &Settings,
    lane: &Planned,
    from: Option<Timestamp>,
    most: u64,
    sample: &mut Sample,
) -> Option<()> {
    if lane.is_pipe() {
        return None;
    }
    // What ends before the next of its files begins may be left out as a whole.
    let starts = lane.files.iter().skip(1).map(|(_, file)| file.first);
    let skipped = starts.take_while(|next| *next < from).count();
    let quiet = Settings {
        progress: None,
        ..settings.clone()
    };
    let files = lane.files.get(skipped..).unwrap_or(&[]);
    let mut lane = Lane::new(&quiet, files, 0, 1);
    if let Some(from) = from {
        lane.skip_until(from);
    }
    let mut batch = crate::decode::SegmentBatch::default();
    let begun = sample.segments;
    while sample.segments - begun < most && lane.fill(&mut batch).ok()?.is_some() {
        sample.push(&batch);
    }
    Some(())
}
