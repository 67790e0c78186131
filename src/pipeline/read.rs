//! Reads captures one after the other, and decodes them in a thread of its own.
//!
//! Takes:  sets of files, as [`capture::find`] gives them
//! Gives:  batches of segments to the [`Tracker`] (or to whoever lists them), whose frames carry the index of their capture; what is to be said of each file
//! Never:  mixes two captures that are not files of one set: the tracker is told where a set ends

use crate::capture::{
    self, CaptureError, CaptureInfo, Found, FrameBatch, OpenOptions, Seam, Source, TimeSpan,
};
use crate::decode::{Decoder, SegmentBatch, Undecoded};

use super::track::Tracker;
use super::{Error, Progress, ProgressFn, Settings};

/// Batches on their way between the two threads.
const IN_FLIGHT: usize = 4;

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
    let of = found.sets.iter().map(|set| set.files.len()).sum();
    let mut read = Read {
        captures: Vec::with_capacity(of),
        notes: found.notes,
        frames: 0,
    };
    for set in &found.sets {
        let mut decoder = Decoder::new(index(&read.captures));
        for (at, file) in set.files.iter().enumerate() {
            let index = index(&read.captures);
            if at > 0
                && let Some((before, undecoded)) = read.captures.last_mut()
            {
                let seam = capture::seam(before, file);
                read.notes.extend(seam.sentence(&before.path, &file.path));
                if matches!(seam, Seam::Overlap(_)) {
                    *undecoded = decoder.undecoded();
                    tracker.end_of_capture();
                    decoder = Decoder::new(index);
                } else {
                    *undecoded = decoder.next_file(index);
                }
            }
            let info = File {
                settings,
                path: &file.path,
                index,
                of,
            }
            .run(&mut decoder, tracker.encapsulations(), &mut |decoded| {
                read.frames += decoded.frames;
                tracker.push(&mut decoded.batch, &mut decoded.encapsulations);
                Ok(())
            })?;
            read.captures.push((info, Vec::new()));
        }
        if let Some((_, undecoded)) = read.captures.last_mut() {
            *undecoded = decoder.undecoded();
        }
        tracker.end_of_capture();
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
    file.run(&mut Decoder::new(0), 0, &mut |decoded| {
        take(&mut decoded.batch)
    })
    .map(|_| ())
}

fn index<T>(captures: &[T]) -> u32 {
    u32::try_from(captures.len()).unwrap_or(u32::MAX)
}

/// One file being read.
struct File<'a> {
    settings: &'a Settings,
    path: &'a str,
    index: u32,
    of: usize,
}

/// A batch of segments, and the names of the encapsulations that it shows first.
#[derive(Default)]
struct Decoded {
    frames: u64,
    batch: SegmentBatch,
    encapsulations: Vec<String>,
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

    /// Reads and decodes in one thread, hands on in the other (or both in one, with one job). `known` encapsulations have names.
    fn run(
        &self,
        decoder: &mut Decoder,
        mut known: u32,
        take: &mut dyn FnMut(&mut Decoded) -> Result<(), Error>,
    ) -> Result<CaptureInfo, Error> {
        let mut source = self.open()?;
        if self.settings.jobs == Some(1) {
            let (mut frames, mut decoded) = (FrameBatch::default(), Decoded::default());
            while self.decode(
                source.as_mut(),
                decoder,
                &mut known,
                &mut frames,
                &mut decoded,
            )? {
                take(&mut decoded)?;
            }
        } else {
            let (full_in, full_out) = crossbeam_channel::bounded::<Decoded>(IN_FLIGHT);
            let (empty_in, empty_out) = crossbeam_channel::bounded::<Decoded>(IN_FLIGHT + 2);
            let source = source.as_mut();
            std::thread::scope(|scope| {
                let reader = scope.spawn(move || -> Result<(), Error> {
                    let mut frames = FrameBatch::default();
                    loop {
                        let mut decoded = empty_out.try_recv().unwrap_or_default();
                        if !self.decode(source, decoder, &mut known, &mut frames, &mut decoded)?
                            || full_in.send(decoded).is_err()
                        {
                            return Ok(());
                        }
                    }
                });
                let mut taken = Ok(());
                for mut decoded in full_out {
                    taken = take(&mut decoded);
                    if taken.is_err() {
                        // The reader finds the channel closed, and stops.
                        break;
                    }
                    // Nobody may be waiting for it any more; then it is dropped.
                    let _ = empty_in.try_send(decoded);
                }
                reader
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
                    .and(taken)
            })?;
        }
        Ok(source.info())
    }

    /// The next batch; `known` counts the encapsulations that were handed on.
    fn decode(
        &self,
        source: &mut dyn Source,
        decoder: &mut Decoder,
        known: &mut u32,
        frames: &mut FrameBatch,
        out: &mut Decoded,
    ) -> Result<bool, Error> {
        if !source.next_batch(frames)? {
            return Ok(false);
        }
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
        decoder.push(frames, &mut out.batch);
        while let Some(name) = decoder.encapsulation_name(*known + 1) {
            out.encapsulations.push(name);
            *known += 1;
        }
        Ok(true)
    }
}
