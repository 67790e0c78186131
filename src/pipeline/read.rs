//! Reads captures one after the other and decodes them, follows their flows, and listens to what they say: in a thread each.
//!
//! Takes:  sets of files, as [`capture::find`] gives them
//! Gives:  what was [`Followed`] to the [`Tracker`] (or batches of segments to whoever lists them), whose frames carry the index of
//!         their capture; what is to be said of each file
//! Never:  mixes two captures that are not files of one set: the tracker is told where a set ends

use crate::capture::{
    self, CaptureError, CaptureInfo, Found, FrameBatch, OpenOptions, Seam, Source, TimeSpan,
};
use crate::decode::{Decoder, SegmentBatch, Undecoded};

use super::hand_over::hand_over;
use super::track::{Followed, Tracker};
use super::{Error, Progress, ProgressFn, Settings};

/// What was read.
pub(super) struct Read {
    /// Each file, and what of it could not be decoded.
    pub(super) captures: Vec<(CaptureInfo, Vec<Undecoded>)>,
    /// Sentences on files left out, and on the seams between files.
    pub(super) notes: Vec<String>,
    /// Frames that the user wants: all of them, without a filter or a span of time.
    pub(super) frames: u64,
}

/// Reads all of it.
pub(super) fn all(settings: &Settings, found: Found, tracker: &mut Tracker) -> Result<Read, Error> {
    let (mut upstream, mut downstream) = tracker.halves();
    let [decode_alone, follow_alone] = match settings.jobs {
        Some(1) => [true, true],
        Some(2) => [true, false],
        _ => [false, false],
    };
    hand_over(
        follow_alone,
        move |give: &mut dyn FnMut(&mut Followed) -> Result<(), Error>| {
            hand_over(
                decode_alone,
                move |give: &mut dyn FnMut(&mut Followed) -> Result<(), Error>| {
                    decode(settings, found, give)
                },
                |followed| upstream.follow(followed, give),
            )
        },
        |followed| {
            downstream.take(followed);
            Ok(())
        },
    )
}

/// Reads and decodes all of it.
fn decode(
    settings: &Settings,
    found: Found,
    give: &mut dyn FnMut(&mut Followed) -> Result<(), Error>,
) -> Result<Read, Error> {
    let mut known = 0;
    walk(settings, found, 0, &mut |step, followed| {
        followed.ends_capture = matches!(step, Step::EndOfCapture);
        match step {
            Step::Batch(decoder) => {
                while let Some(name) = decoder.encapsulation_name(known + 1) {
                    followed.encapsulations.push(name);
                    known += 1;
                }
            }
            Step::EndOfCapture => known = 0,
        }
        give(followed)
    })
}

/// Reads the segments of all of it, flows aside. `before`: captures of this run that were read earlier.
pub(super) fn segments_of(
    settings: &Settings,
    found: Found,
    before: usize,
    take: &mut dyn FnMut(&mut SegmentBatch),
) -> Result<Read, Error> {
    hand_over(
        settings.jobs == Some(1),
        move |give: &mut dyn FnMut(&mut Followed) -> Result<(), Error>| {
            walk(settings, found, before, &mut |step, followed| match step {
                Step::Batch(_) => give(followed),
                Step::EndOfCapture => Ok(()),
            })
        },
        |followed| {
            take(&mut followed.batch);
            Ok(())
        },
    )
}

/// What comes next of the captures.
enum Step<'a> {
    /// A batch of segments.
    Batch(&'a mut Decoder),
    /// The last file of a capture was read.
    EndOfCapture,
}

/// Goes through the captures file by file. `before`: captures of this run that were read earlier.
fn walk(
    settings: &Settings,
    found: Found,
    before: usize,
    take: &mut dyn FnMut(Step<'_>, &mut Followed) -> Result<(), Error>,
) -> Result<Read, Error> {
    let of = before + found.sets.iter().map(|set| set.files.len()).sum::<usize>();
    let mut read = Read {
        captures: Vec::with_capacity(of),
        notes: found.notes,
        frames: 0,
    };
    let next = |read: &Read| u32::try_from(before + read.captures.len()).unwrap_or(u32::MAX);
    let mut followed = Followed::default();
    for set in &found.sets {
        let mut decoder = Decoder::new(next(&read));
        for (at, file) in set.files.iter().enumerate() {
            let index = next(&read);
            if at > 0
                && let Some((before, undecoded)) = read.captures.last_mut()
            {
                let seam = capture::seam(before, file);
                read.notes.extend(seam.sentence(&before.path, &file.path));
                if matches!(seam, Seam::Overlap(_)) {
                    *undecoded = decoder.undecoded();
                    take(Step::EndOfCapture, &mut followed)?;
                    decoder = Decoder::new(index);
                } else {
                    *undecoded = decoder.next_file(index);
                }
            }
            let file = File {
                settings,
                path: &file.path,
                index,
                of,
            };
            let info = file.run(&mut decoder, &mut followed, |decoder, followed| {
                read.frames += followed.frames;
                take(Step::Batch(decoder), followed).map(|()| true)
            })?;
            read.captures.push((info, Vec::new()));
        }
        if let Some((_, undecoded)) = read.captures.last_mut() {
            *undecoded = decoder.undecoded();
        }
        take(Step::EndOfCapture, &mut followed)?;
    }
    Ok(read)
}

/// Reads one file apart from all others; `take` says whether to go on.
pub(super) fn one(
    settings: &Settings,
    path: &str,
    take: &mut dyn FnMut(&mut SegmentBatch) -> Result<(), Error>,
) -> Result<(), Error> {
    let file = File {
        settings,
        path,
        index: 0,
        of: 1,
    };
    hand_over(
        settings.jobs == Some(1),
        |give: &mut dyn FnMut(&mut Followed) -> Result<(), Error>| {
            file.run(&mut Decoder::new(0), &mut Followed::default(), |_, f| {
                give(f).map(|()| true)
            })
        },
        |followed| take(&mut followed.batch),
    )
    .map(|_| ())
}

/// Reads one file of a capture once more, as far as `take` says to go on.
pub(super) fn again(
    settings: &Settings,
    path: &str,
    index: u32,
    decoder: &mut Decoder,
    take: &mut dyn FnMut(&mut SegmentBatch) -> Result<bool, Error>,
) -> Result<(), Error> {
    let file = File {
        settings,
        path,
        index,
        of: index as usize + 1,
    };
    file.run(decoder, &mut Followed::default(), |_, f| take(&mut f.batch))
        .map(|_| ())
}

/// One file being read.
struct File<'a> {
    settings: &'a Settings,
    path: &'a str,
    index: u32,
    of: usize,
}

impl File<'_> {
    /// The file without the frames that the user does not want.
    fn open(&self) -> Result<Box<dyn Source>, CaptureError> {
        let Settings {
            filter, from, to, ..
        } = self.settings;
        let mut source = capture::open(self.path, &OpenOptions::default())?;
        if from.is_some() || to.is_some() {
            source = Box::new(TimeSpan::new(source, *from, *to));
        }
        match filter {
            Some(expression) => capture::filter(source, expression),
            None => Ok(source),
        }
    }

    /// Reads and decodes it, batch by batch, as far as `take` says to go on.
    fn run(
        &self,
        decoder: &mut Decoder,
        out: &mut Followed,
        mut take: impl FnMut(&mut Decoder, &mut Followed) -> Result<bool, Error>,
    ) -> Result<CaptureInfo, Error> {
        let mut source = self.open()?;
        let mut frames = FrameBatch::default();
        while source.next_batch(&mut frames)? {
            if let Some(ProgressFn(tell)) = &self.settings.progress {
                let (octets, octets_in_all) = source.progress();
                tell(&Progress {
                    path: self.path,
                    index: self.index as usize,
                    of: self.of,
                    octets,
                    octets_in_all,
                    frames: frames.frames.last().map_or(0, |f| f.number.number()),
                });
            }
            if self.index > 0 {
                for frame in &mut frames.frames {
                    frame.number = frame.number.in_capture(self.index);
                }
            }
            out.frames = frames.frames.len() as u64;
            decoder.push(&mut frames, &mut out.batch);
            if !take(decoder, out)? {
                break;
            }
        }
        let mut info = source.info();
        info.problems.extend(decoder.take_problems());
        Ok(info)
    }
}
