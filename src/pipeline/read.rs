//! Reads captures and decodes them, has their flows followed, and looks for what is wrong, in a line of stages.
//!
//! Takes:  a [`Plan`]
//! Gives:  what was [`Followed`] to the [`Tracker`] (or batches of segments to whoever lists them), whose frames carry the index of
//!         their capture; what is to be said of each file
//! Never:  goes back in a file; mixes captures that do not belong to one stretch of time: the tracker is told where one ends

use crate::capture::{self, CaptureError, CaptureInfo, FrameBatch, Seam, Source, TimeSpan};
use crate::decode::{Decoder, SegmentBatch, Undecoded};
use crate::net::Timestamp;

use super::line::{self, Stage};
use super::memory;
use super::merge::{Aside, Timeline};
use super::plan::{Indexed, Plan};
use super::track::{Followed, Tracker};
use super::{Error, Progress, ProgressFn, Settings};

/// What was read.
pub(super) struct Read {
    /// Each file, and what of it could not be decoded.
    pub(super) captures: Vec<(CaptureInfo, Vec<Undecoded>)>,
    /// Sentences on files left out, on the seams between files, and on what several captures show.
    pub(super) notes: Vec<String>,
    /// Frames that the user wants: all of them, without a filter or a span of time.
    pub(super) frames: u64,
    /// Segments that were not followed, as another capture's view of their connection was.
    pub(super) aside: Aside,
}

/// Reads all of it.
pub(super) fn all(settings: &Settings, plan: &Plan, tracker: &mut Tracker) -> Result<Read, Error> {
    let (dealer, followers, found) = tracker.parts();
    let mut walk = Walk::new(Timeline::new(settings, plan));
    let mut stretch_ends = false;
    let fill = |followed: &mut Followed| loop {
        if stretch_ends {
            stretch_ends = dealer.end_of_capture(followed);
            if stretch_ends {
                return Ok(true);
            }
        }
        match walk.next(followed)? {
            Some(Step::Batch) => {
                dealer.deal(followed);
                return Ok(true);
            }
            Some(Step::EndOfStretch) => stretch_ends = true,
            None => return Ok(false),
        }
    };
    let mut stages: Vec<Stage<'_, Followed>> = Vec::new();
    for follower in followers {
        stages.push(Box::new(|followed| {
            follower.take(followed);
            Ok(())
        }));
    }
    stages.push(Box::new(|followed| {
        found.take(followed);
        Ok(())
    }));
    line::run(settings.threads(), fill, stages)?;
    Ok(walk.finish())
}

/// Reads the segments of all of it, flows aside.
pub(super) fn segments_of(
    settings: &Settings,
    plan: &Plan,
    take: &mut (dyn FnMut(&mut SegmentBatch) + Send),
) -> Result<Read, Error> {
    let mut walk = Walk::new(Timeline::new(settings, plan));
    let fill = |followed: &mut Followed| loop {
        match walk.next(followed)? {
            Some(Step::Batch) => return Ok(true),
            Some(Step::EndOfStretch) => {}
            None => return Ok(false),
        }
    };
    let stage: Stage<'_, Followed> = Box::new(|followed| {
        take(&mut followed.batch);
        Ok(())
    });
    line::run(settings.threads(), fill, [stage])?;
    Ok(walk.finish())
}

/// What comes next of the captures.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Step {
    /// A batch of segments.
    Batch,
    /// All captures of one stretch of time were read.
    EndOfStretch,
}

/// Goes through the captures.
struct Walk<'a> {
    timeline: Timeline<'a>,
    /// A stretch of time has begun and not ended.
    under_way: bool,
    frames: u64,
}

impl<'a> Walk<'a> {
    fn new(timeline: Timeline<'a>) -> Self {
        Self {
            timeline,
            under_way: false,
            frames: 0,
        }
    }

    /// Fills `followed` if the next step is a batch; `None` behind the last stretch of time.
    fn next(&mut self, followed: &mut Followed) -> Result<Option<Step>, Error> {
        if !self.under_way {
            self.under_way = self.timeline.begin()?;
            if !self.under_way {
                return Ok(None);
            }
        }
        self.under_way = self.timeline.next(followed)?;
        if !self.under_way {
            return Ok(Some(Step::EndOfStretch));
        }
        self.frames += followed.frames;
        Ok(Some(Step::Batch))
    }

    fn finish(self) -> Read {
        self.timeline.finish(self.frames)
    }
}

/// Reads captures once more, pipes apart, as far as `take` says to go on: it is told of an end where it wants no more, too. Where one file
/// follows the other, such as are `needed` alone.
pub(super) fn again(
    settings: &Settings,
    plan: &Plan,
    needed: &(dyn Fn(u32) -> bool + Sync),
    take: &mut dyn FnMut(Step, &mut SegmentBatch) -> Result<bool, Error>,
) -> Result<(), Error> {
    let mut walk = Walk::new(Timeline::again(settings, plan, needed));
    let mut followed = Followed::default();
    while let Some(step) = walk.next(&mut followed)? {
        if !take(step, &mut followed.batch)? {
            if step == Step::Batch {
                take(Step::EndOfStretch, &mut followed.batch)?;
            }
            break;
        }
    }
    Ok(())
}

/// Reads one file apart from all others.
pub(super) fn one(
    settings: &Settings,
    path: &str,
    take: &mut (dyn FnMut(&mut SegmentBatch) -> Result<(), Error> + Send),
) -> Result<(), Error> {
    let file = capture::CaptureFile {
        path: path.to_owned(),
        first: None,
    };
    let files = [(0, file)];
    let mut lane = Lane::new(settings, &files, 1, 1);
    line::run(
        settings.threads(),
        |batch| Ok(lane.fill(batch)?.is_some()),
        [Box::new(take) as Stage<'_, SegmentBatch>],
    )
}

/// Files that follow one another, being read.
pub(super) struct Lane<'a> {
    settings: &'a Settings,
    files: &'a [Indexed],
    /// How many captures there are.
    of: usize,
    /// How many lanes may be read at one time.
    lanes: usize,
    decoder: Decoder,
    frames: FrameBatch,
    source: Option<Box<dyn Source>>,
    /// Frames before this moment are not looked at.
    from: Option<Timestamp>,
    /// What was read, with the index of its capture.
    pub(super) read: Vec<(u32, CaptureInfo, Vec<Undecoded>)>,
    /// Sentences on the seams between files.
    pub(super) notes: Vec<String>,
    /// The next file begins before the one just read ends: it and those behind it are another capture.
    pub(super) rest: &'a [Indexed],
}

impl<'a> Lane<'a> {
    pub(super) fn new(
        settings: &'a Settings,
        files: &'a [Indexed],
        of: usize,
        lanes: usize,
    ) -> Self {
        let first = files.first().map_or(0, |(index, _)| *index);
        Self {
            settings,
            files,
            of,
            lanes,
            decoder: Decoder::new(first),
            frames: FrameBatch::default(),
            source: None,
            from: None,
            read: Vec::with_capacity(files.len()),
            notes: Vec::new(),
            rest: &[],
        }
    }

    /// Leaves out what was captured before.
    pub(super) fn skip_until(&mut self, from: Timestamp) {
        self.from = Some(from);
    }

    /// Passes over files, save the one of this index, that come next.
    pub(super) fn pass_over(&mut self, needed: impl Fn(u32) -> bool) {
        while self.source.is_none()
            && let [(index, _), rest @ ..] = self.files
            && !needed(*index)
        {
            self.files = rest;
        }
    }

    /// The name of an encapsulation that its segments show; `None` for numbers not given yet.
    pub(super) fn encapsulation(&self, number: u32) -> Option<String> {
        self.decoder.encapsulation_name(number)
    }

    /// The index of the file being read, or of the next.
    pub(super) fn at(&self) -> Option<u32> {
        self.files.first().map(|(index, _)| *index)
    }

    /// Reads and decodes the next batch: how many frames it was; `None` behind the last file.
    pub(super) fn fill(&mut self, out: &mut SegmentBatch) -> Result<Option<u64>, Error> {
        while let [(index, file), rest @ ..] = self.files {
            let source = match &mut self.source {
                Some(source) => source,
                none => none.insert(open(self.settings, &file.path, self.lanes)?),
            };
            if source.next_batch(&mut self.frames)? {
                if let Some(ProgressFn(tell)) = &self.settings.progress {
                    let (octets, octets_in_all) = source.progress();
                    tell(&Progress {
                        path: &file.path,
                        index: *index as usize,
                        of: self.of,
                        octets,
                        octets_in_all,
                        frames: self.frames.frames.last().map_or(0, |f| f.number.number()),
                    });
                }
                if let Some(from) = self.from {
                    self.frames.frames.retain(|frame| frame.time >= from);
                    if self.frames.frames.is_empty() {
                        continue;
                    }
                }
                if *index > 0 {
                    for frame in &mut self.frames.frames {
                        frame.number = frame.number.in_capture(*index);
                    }
                }
                let frames = self.frames.frames.len() as u64;
                self.decoder.push(&mut self.frames, out);
                return Ok(Some(frames));
            }
            let mut info = source.info();
            info.problems.extend(self.decoder.take_problems());
            self.source = None;
            self.files = rest;
            let undecoded = match rest {
                [] => self.decoder.undecoded(),
                [(next, file), ..] => {
                    let seam = capture::seam(&info, file);
                    self.notes.extend(seam.sentence(&info.path, &file.path));
                    if matches!(seam, Seam::Overlap(_)) {
                        (self.rest, self.files) = (rest, &[]);
                        self.decoder.undecoded()
                    } else {
                        self.decoder.next_file(*next)
                    }
                }
            };
            self.read.push((*index, info, undecoded));
        }
        Ok(None)
    }

    /// What is known of a file that is not read to its end.
    pub(super) fn leave(&mut self) {
        if let (Some(source), Some(index)) = (self.source.take(), self.at()) {
            self.read
                .push((index, source.info(), self.decoder.undecoded()));
        }
    }
}

/// A file, one of so many that may be read at one time, without the frames that the user does not want.
fn open(settings: &Settings, path: &str, lanes: usize) -> Result<Box<dyn Source>, CaptureError> {
    let Settings {
        filter, from, to, ..
    } = settings;
    let mut source = capture::open(path, &memory::opening(settings.max_memory, lanes))?;
    if from.is_some() || to.is_some() {
        source = Box::new(TimeSpan::new(source, *from, *to));
    }
    match filter {
        Some(expression) => capture::filter(source, expression),
        None => Ok(source),
    }
}
