//! Reads captures and decodes them, has their flows followed, and looks for what is wrong, in a line of threads.
//!
//! Takes:  a [`Plan`]
//! Gives:  what was [`Followed`] to the [`Tracker`] (or batches of segments to whoever lists them), whose frames carry the index of
//!         their capture; what is to be said of each file
//! Never:  goes back in a file; mixes captures that do not belong to one stretch of time: the tracker is told where one ends

use crate::capture::{
    self, CaptureError, CaptureInfo, FrameBatch, OpenOptions, Seam, Source, TimeSpan,
};
use crate::decode::{Decoder, SegmentBatch, Undecoded};
use crate::net::Timestamp;

use super::hand_over::hand_over;
use super::merge::{Aside, Timeline};
use super::plan::{Indexed, Plan};
use super::track::{Followed, Follower, Give, Tracker};
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

/// Reading and decoding is as much work as so many followers have, looking for what is wrong (with all that comes after it) as so many more.
const READING: usize = 4;
const FINDING: usize = 4;

/// With less memory than this there are four threads at most.
const SCARCE: u64 = 256 << 20;

/// What each of so many threads follows, so that all have about as much to do: the first reads besides, the last looks for what is wrong.
/// Threads between them that have nothing to do are left out.
fn shares(mut followers: &mut [Follower], threads: usize) -> Vec<&mut [Follower]> {
    let all = followers.len();
    let upto = |thread: usize| match (READING + all + FINDING) * thread / threads {
        _ if thread == threads => all,
        work => work.saturating_sub(READING).min(all),
    };
    let share = |thread| {
        let (share, rest) =
            std::mem::take(&mut followers).split_at_mut(upto(thread + 1) - upto(thread));
        followers = rest;
        share
    };
    let mut shares: Vec<_> = (0..threads).map(share).collect();
    let mut place = 0..;
    shares.retain(|share| {
        let between = place.next().is_some_and(|n| n > 0 && n + 1 < threads);
        !between || !share.is_empty()
    });
    shares
}

/// Reads all of it.
pub(super) fn all(settings: &Settings, plan: &Plan, tracker: &mut Tracker) -> Result<Read, Error> {
    let (dealer, followers, found) = tracker.parts();
    // Shares are not quite the same: with more threads than processors the system evens them out.
    let threads = settings.threads() * if settings.jobs.is_some() { 1 } else { 2 };
    // Each has batches on their way to it.
    let scarce = settings.max_memory.is_some_and(|most| most < SCARCE);
    let threads = if scarce { threads.min(4) } else { threads };
    let mut shares = shares(followers, threads);
    let last = shares.pop().unwrap_or_default();
    let mut shares = shares.into_iter();
    let (alone, first) = match shares.next() {
        Some(first) => (false, first),
        None => (true, Default::default()),
    };
    let take = |share: &mut [Follower], followed: &mut Followed| {
        for follower in share {
            follower.take(followed);
        }
    };
    let mut line: Make<'_> = Box::new(move |give| {
        let mut give = |followed: &mut Followed| {
            take(first, followed);
            give(followed)
        };
        walk(Timeline::new(settings, plan), &mut |step, followed| {
            if step == Step::Batch {
                dealer.deal(followed);
                give(followed)?;
            } else {
                while dealer.end_of_capture(followed) {
                    give(followed)?;
                }
            }
            Ok(true)
        })
    });
    for share in shares {
        line = Box::new(move |give| {
            hand_over(false, line, |followed| {
                take(share, followed);
                give(followed)
            })
        });
    }
    hand_over(alone, line, |followed| {
        take(last, followed);
        found.take(followed);
        Ok(())
    })
}

/// Reads, and gives on what was read.
type Make<'a> = Box<dyn FnOnce(Give<'_>) -> Result<Read, Error> + Send + 'a>;

/// Reads the segments of all of it, flows aside.
pub(super) fn segments_of(
    settings: &Settings,
    plan: &Plan,
    take: &mut dyn FnMut(&mut SegmentBatch),
) -> Result<Read, Error> {
    hand_over(
        settings.jobs == Some(1),
        move |give: Give<'_>| {
            walk(
                Timeline::new(settings, plan),
                &mut |step, followed| match step {
                    Step::Batch => give(followed).map(|()| true),
                    Step::EndOfStretch => Ok(true),
                },
            )
        },
        |followed| {
            take(&mut followed.batch);
            Ok(())
        },
    )
}

/// What comes next of the captures.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Step {
    /// A batch of segments.
    Batch,
    /// All captures of one stretch of time were read.
    EndOfStretch,
}

/// Goes through the captures, as far as `take` says to go on.
fn walk(
    mut timeline: Timeline<'_>,
    take: &mut dyn FnMut(Step, &mut Followed) -> Result<bool, Error>,
) -> Result<Read, Error> {
    let mut followed = Followed::default();
    let (mut frames, mut goes_on) = (0, true);
    while goes_on && timeline.begin()? {
        while goes_on && timeline.next(&mut followed)? {
            frames += followed.frames;
            goes_on = take(Step::Batch, &mut followed)?;
        }
        goes_on &= take(Step::EndOfStretch, &mut followed)?;
    }
    Ok(timeline.finish(frames))
}

/// Reads captures once more, pipes apart, as far as `take` says to go on; where one file follows the other, such as are `needed` alone.
pub(super) fn again(
    settings: &Settings,
    plan: &Plan,
    needed: &(dyn Fn(u32) -> bool + Sync),
    take: &mut dyn FnMut(Step, &mut SegmentBatch) -> Result<bool, Error>,
) -> Result<(), Error> {
    walk(Timeline::again(settings, plan, needed), &mut |step, f| {
        take(step, &mut f.batch)
    })
    .map(|_| ())
}

/// Reads one file apart from all others; `take` says whether to go on.
pub(super) fn one(
    settings: &Settings,
    path: &str,
    take: &mut dyn FnMut(&mut SegmentBatch) -> Result<(), Error>,
) -> Result<(), Error> {
    let file = capture::CaptureFile {
        path: path.to_owned(),
        first: None,
    };
    hand_over(
        settings.jobs == Some(1),
        |give: Give<'_>| {
            let files = [(0, file)];
            let mut lane = Lane::new(settings, &files, 1);
            let mut followed = Followed::default();
            while lane.fill(&mut followed.batch)?.is_some() {
                give(&mut followed)?;
            }
            Ok(())
        },
        |followed| take(&mut followed.batch),
    )
}

/// Files that follow one another, being read.
pub(super) struct Lane<'a> {
    settings: &'a Settings,
    files: &'a [Indexed],
    /// How many captures there are.
    of: usize,
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
    pub(super) fn new(settings: &'a Settings, files: &'a [Indexed], of: usize) -> Self {
        let first = files.first().map_or(0, |(index, _)| *index);
        Self {
            settings,
            files,
            of,
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
                none => none.insert(open(self.settings, &file.path)?),
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

/// A file without the frames that the user does not want.
fn open(settings: &Settings, path: &str) -> Result<Box<dyn Source>, CaptureError> {
    let Settings {
        filter, from, to, ..
    } = settings;
    let mut source = capture::open(path, &OpenOptions::default())?;
    if from.is_some() || to.is_some() {
        source = Box::new(TimeSpan::new(source, *from, *to));
    }
    match filter {
        Some(expression) => capture::filter(source, expression),
        None => Ok(source),
    }
}
