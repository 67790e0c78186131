//! Numbers the frames of a live run, and keeps them in a ring of pcapng files where that is wanted.
//!
//! Takes:  [`Taken`] frames, in order
//! Gives:  the same frames, numbered as they stand in the files; a [`CaptureInfo`] for each file, as reading it would give
//! Never:  leaves a file that cannot be read: whole blocks are written in one go, and what was written in part is cut off; follows a link;
//!         stops the run because a disk is full
//!
//! A file never gets larger than it may be, unless one frame alone is: where the next frame has no room, the next file begins, and the batch is
//! handed on in two parts. With a time before the trigger, frames wait in memory and are written once [`Ring::trigger`] says so; they are
//! numbered by the run then, as the files hold a part of it alone.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::super::tally::Tally;
use super::super::{BATCH_FRAMES, CaptureError, CaptureInfo, Frame, PcapngWriter, Problem};
use super::{Drops, Opened, Taken, now};
use crate::net::Timestamp;

/// Octets kept in memory before a trigger at most.
const MAX_BEFORE: usize = 256 << 20;

/// After a file could not be written, another is tried this often.
const RETRY: Duration = Duration::from_secs(5);

/// Files that are told apart in the report. Of a run that writes more, the frames of later files count as of the last of these.
const MAX_TOLD: usize = 20_000;

/// Octets of a block that are no captured octets, at most: header, padding and both lengths.
const BLOCK_OCTETS: u64 = 36;

/// Octets of a file that are left for the counts at its end.
const END_OCTETS: u64 = 100;

/// Where captures are written, and how many are kept.
#[derive(Clone, Debug)]
pub struct RingOptions {
    /// Folder of the files.
    pub folder: PathBuf,
    /// Files kept; the oldest is removed for the next.
    pub files: u32,
    /// Octets of a file.
    pub octets: u64,
    /// Time that a file covers at most.
    pub time: Option<Duration>,
    /// Keep frames of this time in memory, and write from there once something was found; without it, all is written.
    pub pre_trigger: Option<Duration>,
}

/// How the writing stands.
#[derive(Clone, Debug, Default)]
pub struct RingState {
    /// The file being written.
    pub file: Option<String>,
    /// Octets written, over all files.
    pub octets: u64,
    /// Frames written.
    pub frames: u64,
    /// Frames that could not be written.
    pub lost: u64,
}

/// Frames with their numbers.
#[derive(Debug, Default)]
pub struct Numbered {
    /// Index of the capture that they belong to, from 0.
    pub capture: u32,
    /// The frames, and what was told with them.
    pub taken: Taken,
    /// How the writing stands; `None` where nothing is to be written.
    pub state: Option<RingState>,
}

struct Keeper {
    options: RingOptions,
    open: Option<Open>,
    kept: VecDeque<PathBuf>,
    files: u64,
    state: RingState,
    tried: Option<Instant>,
    /// Whether trouble was told that has not ended.
    troubled: bool,
    before: VecDeque<Waiting>,
    before_octets: usize,
    /// Until when frames are written after a trigger.
    write_until: Option<Timestamp>,
    /// Drops of the run when the file was begun.
    dropped: u64,
    frames: u64,
}

/// A frame that waits for a trigger: what is known of it, its interface, its octets.
type Waiting = (Frame, u16, Vec<u8>);

/// The file being written. Blocks are put together in memory, so that the file takes them whole.
struct Open {
    file: File,
    path: PathBuf,
    writer: PcapngWriter<Vec<u8>>,
    octets: u64,
    first: Option<Timestamp>,
}

/// Numbers and writes the frames of one run.
pub struct Ring {
    interfaces: Vec<Opened>,
    tally: Tally,
    told: Vec<CaptureInfo>,
    keeper: Option<Keeper>,
    spare: Vec<Frame>,
    drops: Drops,
}

impl Ring {
    /// Numbers the frames of a run, and writes them nowhere.
    #[must_use]
    pub fn unwritten(interfaces: Vec<Opened>) -> Self {
        Self {
            tally: Tally::new(&names(&interfaces), "live"),
            interfaces,
            told: Vec::new(),
            keeper: None,
            spare: Vec::new(),
            drops: Drops::default(),
        }
    }

    /// Begins a ring of files, of which the first is written at once, unless it has to wait for a trigger. The folder is made where it is
    /// missing.
    ///
    /// # Errors
    /// Where the folder cannot be written to.
    pub fn begin(interfaces: Vec<Opened>, options: RingOptions) -> Result<Self, CaptureError> {
        let folder = options.folder.display().to_string();
        let failed = |source| CaptureError::Unwritable {
            path: folder.clone(),
            source,
        };
        fs::create_dir_all(&options.folder).map_err(failed)?;
        let waits = options.pre_trigger.is_some();
        let mut ring = Self::unwritten(interfaces);
        let mut keeper = Keeper {
            options,
            open: None,
            kept: VecDeque::new(),
            files: 0,
            state: RingState::default(),
            tried: None,
            troubled: false,
            before: VecDeque::new(),
            before_octets: 0,
            write_until: None,
            dropped: 0,
            frames: 0,
        };
        if waits {
            keeper.probe().map_err(failed)?;
        } else {
            keeper.start(&ring.interfaces, now(), 0).map_err(failed)?;
            ring.tally = Tally::new(&keeper.path(), "pcapng");
        }
        ring.keeper = Some(keeper);
        Ok(ring)
    }

    /// Numbers the frames, writes them where that is wanted, and hands them on: in one piece, or in as many as there are files that they lie
    /// in. Ends early where `hand_on` wants no more.
    pub fn take(&mut self, mut taken: Taken, hand_on: &mut dyn FnMut(Numbered) -> bool) -> bool {
        self.drops = taken.drops;
        loop {
            let fits = self.fits(&mut taken);
            if fits == taken.frames.frames.len() {
                let numbered = self.number(taken);
                return hand_on(numbered);
            }
            if fits > 0 {
                let part = taken.split_off_front(fits);
                let numbered = self.number(part);
                if !hand_on(numbered) {
                    return false;
                }
            }
            self.next_file(&mut taken.troubles);
        }
    }

    /// How many of the frames belong into the file being written.
    fn fits(&mut self, taken: &mut Taken) -> usize {
        let all = taken.frames.frames.len();
        match &mut self.keeper {
            Some(keeper) if keeper.options.pre_trigger.is_none() && all > 0 => {
                if keeper.open.is_none() {
                    keeper.try_start(&self.interfaces, &mut taken.troubles, self.drops.all());
                }
                keeper.fits(taken.frames.frames.iter())
            }
            _ => all,
        }
    }

    /// Numbers frames that lie in one file, and writes them.
    fn number(&mut self, mut taken: Taken) -> Numbered {
        let capture = u32::try_from(self.told.len()).unwrap_or(u32::MAX);
        self.spare.clear();
        std::mem::swap(&mut self.spare, &mut taken.frames.frames);
        for frame in self.spare.drain(..) {
            let frames = &mut taken.frames.frames;
            self.tally.frame(
                frames,
                frame.time,
                frame.range,
                frame.wire_octets,
                frame.link,
            );
            if let Some(last) = frames.last_mut().filter(|_| capture > 0) {
                last.number = last.number.in_capture(capture);
            }
        }
        let state = self.keeper.as_mut().map(|keeper| {
            keeper.write(&self.interfaces, &mut taken, self.drops.all());
            keeper.state.clone()
        });
        Numbered {
            capture,
            taken,
            state,
        }
    }

    /// Something was found: what waits in memory is written, and so is what comes until `until`.
    pub fn trigger(&mut self, until: Timestamp) {
        if let Some(keeper) = &mut self.keeper
            && keeper.options.pre_trigger.is_some()
        {
            keeper.write_until = Some(keeper.write_until.map_or(until, |u| u.max(until)));
        }
    }

    /// The run has ended: closes the file, and gives what is known of each.
    #[must_use]
    pub fn finish(mut self) -> Vec<CaptureInfo> {
        let dropped = self.drops.all();
        let mut of_file = dropped;
        if let Some(keeper) = &mut self.keeper {
            of_file = dropped.saturating_sub(keeper.dropped);
            let mut last = Taken::default();
            // What still waits after a trigger.
            keeper.write(&self.interfaces, &mut last, dropped);
            keeper.close(dropped, &mut last.troubles);
            for text in last.troubles {
                self.tally.problem(None, text);
            }
            if keeper.state.lost > 0 {
                let text = format!(
                    "{} frames could not be written to {}; they were analysed all the same",
                    keeper.state.lost,
                    keeper.options.folder.display()
                );
                self.tally.problem(None, text);
            }
            if keeper.options.pre_trigger.is_some() {
                of_file = dropped;
            }
        }
        self.tally.dropped(Some(of_file));
        self.told.push(self.tally.info());
        if let Some(keeper) = &self.keeper {
            let last = self.told.len().saturating_sub(keeper.kept.len());
            for info in self.told.iter_mut().take(last).filter(|_| keeper.files > 0) {
                info.problems.push(Problem {
                    frame: None,
                    text: "the ring has given this file up for later ones since".to_owned(),
                });
            }
        }
        self.told
    }

    /// Closes the file, and begins the next.
    fn next_file(&mut self, troubles: &mut Vec<String>) {
        let Some(keeper) = &mut self.keeper else {
            return;
        };
        let dropped = self.drops.all();
        let before = keeper.dropped;
        keeper.close(dropped, troubles);
        let begun = keeper.start(&self.interfaces, now(), dropped);
        if let Err(error) = begun {
            keeper.failed(&error, troubles);
        }
        if keeper.options.pre_trigger.is_none() && self.told.len() < MAX_TOLD {
            let path = keeper.path();
            let mut done = std::mem::replace(&mut self.tally, Tally::new(&path, "pcapng"));
            done.dropped(Some(dropped.saturating_sub(before)));
            self.told.push(done.info());
        }
    }
}

impl Keeper {
    fn path(&self) -> String {
        let open = self.open.as_ref().map(|open| &open.path);
        open.or(self.kept.back())
            .map_or_else(String::new, |path| path.display().to_string())
    }

    /// How many of these frames belong into the file that is open: all where none is.
    fn fits<'a>(&self, frames: impl Iterator<Item = &'a Frame>) -> usize {
        let Some(open) = &self.open else {
            return frames.count();
        };
        let (mut first, mut octets) = (open.first, open.octets);
        frames
            .take_while(|frame| {
                let begun = *first.get_or_insert(frame.time);
                let is_first = octets == open.octets && open.first.is_none();
                let late = self
                    .options
                    .time
                    .is_some_and(|time| frame.time.since(begun).is_some_and(|age| age >= time));
                octets = octets.saturating_add(BLOCK_OCTETS + frame.range.len() as u64);
                is_first || !late && octets.saturating_add(END_OCTETS) <= self.options.octets
            })
            .count()
    }

    /// Whether the folder can be written to is better known at the beginning than at the trigger.
    fn probe(&self) -> io::Result<()> {
        let path = self.options.folder.join(".tcptriage-probe");
        // One that a run left behind that was killed; of a link, the link alone goes.
        let _ = fs::remove_file(&path);
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&path)?;
        fs::remove_file(path)
    }

    /// Begins a file, and removes the oldest where there are too many.
    fn start(&mut self, interfaces: &[Opened], at: Timestamp, dropped: u64) -> io::Result<()> {
        while self.kept.len() >= self.options.files as usize {
            if let Some(oldest) = self.kept.pop_front() {
                // Whoever took it away has freed the space as well.
                let _ = fs::remove_file(oldest);
            }
        }
        let moment = jiff::Timestamp::from_nanosecond(i128::from(at.0)).unwrap_or_default();
        let name = format!(
            "tcptriage_{:05}_{}.pcapng",
            self.files + 1,
            moment.strftime("%Y%m%d%H%M%S")
        );
        let path = self.options.folder.join(name);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o640)
            .open(&path)?;
        let described = interfaces.iter().map(|i| (i.name.as_str(), i.link));
        let mut writer = PcapngWriter::with_interfaces(Vec::new(), described)?;
        if let Err(error) = file.write_all(writer.out()) {
            let _ = fs::remove_file(&path);
            return Err(error);
        }
        let octets = writer.out().len() as u64;
        writer.out().clear();
        self.files += 1;
        self.dropped = dropped;
        self.frames = 0;
        self.kept.push_back(path.clone());
        self.state.file = Some(path.display().to_string());
        self.state.octets += octets;
        self.open = Some(Open {
            file,
            path,
            writer,
            octets,
            first: None,
        });
        Ok(())
    }

    /// Writes frames that fit into the file that is open; with a time before the trigger, what waits.
    fn write(&mut self, interfaces: &[Opened], taken: &mut Taken, dropped: u64) {
        if let Some(span) = self.options.pre_trigger {
            self.remember(taken, span);
            let last = taken.frames.frames.last().map(|f| f.time);
            if let Some(until) = self.write_until {
                self.write_waiting(interfaces, &mut taken.troubles, dropped);
                if last.is_some_and(|last| last > until) {
                    self.write_until = None;
                    self.close(dropped, &mut taken.troubles);
                }
            }
            return;
        }
        let (frames, from) = (&taken.frames, &taken.interface);
        if frames.frames.is_empty() {
            return;
        }
        if self.open.is_none() {
            self.state.lost += frames.frames.len() as u64;
            return;
        }
        let first = frames.frames.first().map(|f| f.time);
        self.put(frames.frames.len(), first, &mut taken.troubles, |writer| {
            for (frame, at) in frames.frames.iter().zip(from) {
                let octets = frames.captured(frame);
                writer.frame_of(*at, frame.time, octets, frame.wire_octets)?;
            }
            Ok(())
        });
    }

    /// Writes what waits, some frames at a time.
    fn write_waiting(&mut self, interfaces: &[Opened], troubles: &mut Vec<String>, dropped: u64) {
        while !self.before.is_empty() {
            if self.open.is_none() && !self.try_start(interfaces, troubles, dropped) {
                return;
            }
            let some = self.before.iter().map(|(frame, ..)| frame);
            let fits = self.fits(some.take(BATCH_FRAMES));
            if fits == 0 {
                self.close(dropped, troubles);
                continue;
            }
            let part: Vec<Waiting> = self.before.drain(..fits).collect();
            self.before_octets -= part.iter().map(octets_of).sum::<usize>();
            let first = part.first().map(|(frame, ..)| frame.time);
            self.put(part.len(), first, troubles, |writer| {
                for (frame, at, octets) in &part {
                    writer.frame_of(*at, frame.time, octets, frame.wire_octets)?;
                }
                Ok(())
            });
        }
    }

    /// Keeps the frames in memory, and forgets those that are too old.
    fn remember(&mut self, taken: &Taken, span: Duration) {
        for (frame, at) in taken.frames.frames.iter().zip(&taken.interface) {
            let waiting = (frame.clone(), *at, taken.frames.captured(frame).to_vec());
            self.before_octets += octets_of(&waiting);
            self.before.push_back(waiting);
        }
        let Some(last) = self.before.back().map(|(frame, ..)| frame.time) else {
            return;
        };
        while let Some(oldest) = self.before.front() {
            let old = last.since(oldest.0.time).is_some_and(|age| age > span);
            if !old && self.before_octets <= MAX_BEFORE {
                break;
            }
            self.before_octets -= octets_of(oldest);
            // What was to be written, and could not be.
            self.state.lost += u64::from(self.troubled && self.write_until.is_some());
            self.before.pop_front();
        }
    }

    /// Begins a file after there was none, or after trouble.
    fn try_start(
        &mut self,
        interfaces: &[Opened],
        troubles: &mut Vec<String>,
        dropped: u64,
    ) -> bool {
        if self.tried.is_some_and(|at| at.elapsed() < RETRY) {
            return false;
        }
        match self.start(interfaces, now(), dropped) {
            Ok(()) => {
                if std::mem::take(&mut self.troubled) {
                    troubles.push(format!("captures are written again, to {}", self.path()));
                }
                self.tried = None;
                true
            }
            Err(error) => {
                self.failed(&error, troubles);
                false
            }
        }
    }

    /// Puts the blocks of so many frames together by `fill` and writes them in one go. What cannot be written as a whole is cut off again,
    /// and the file closed.
    fn put(
        &mut self,
        frames: usize,
        first: Option<Timestamp>,
        troubles: &mut Vec<String>,
        fill: impl FnOnce(&mut PcapngWriter<Vec<u8>>) -> io::Result<()>,
    ) {
        let Some(open) = &mut self.open else { return };
        let filled = fill(&mut open.writer);
        let (written, error) = put_all(&mut open.file, open.writer.out());
        let whole = if error.is_none() {
            (written, frames as u64)
        } else {
            whole_blocks(open.writer.out().get(..written).unwrap_or(&[]))
        };
        let (octets, whole) = whole;
        open.octets += octets as u64;
        open.first = open.first.or(first);
        self.state.octets += octets as u64;
        self.state.frames += whole;
        self.frames += whole;
        open.writer.out().clear();
        if let Some(error) = filled.err().or(error) {
            let _ = open.file.set_len(open.octets);
            self.open = None;
            self.state.file = None;
            self.state.lost += (frames as u64).saturating_sub(whole);
            self.failed(&error, troubles);
        }
    }

    fn failed(&mut self, error: &io::Error, troubles: &mut Vec<String>) {
        self.tried = Some(Instant::now());
        if !std::mem::replace(&mut self.troubled, true) {
            troubles.push(format!(
                "cannot write captures to {}: {error}; the diagnosis goes on, and writing is tried again every {} s",
                self.options.folder.display(),
                RETRY.as_secs()
            ));
        }
    }

    /// Closes the file with what was dropped meanwhile.
    fn close(&mut self, dropped: u64, troubles: &mut Vec<String>) {
        let dropped_here = dropped.saturating_sub(self.dropped);
        let received = self.frames;
        self.put(0, None, troubles, |writer| {
            writer.statistics(now(), received, dropped_here)
        });
        self.open = None;
    }
}

/// Octets that a waiting frame takes in memory.
const fn octets_of((_, _, octets): &Waiting) -> usize {
    octets.len() + size_of::<Waiting>()
}

/// Writes as much as the file takes; gives the octets that it took.
fn put_all(file: &mut File, mut octets: &[u8]) -> (usize, Option<io::Error>) {
    let all = octets.len();
    while !octets.is_empty() {
        match file.write(octets) {
            Ok(0) => return (all - octets.len(), Some(io::ErrorKind::WriteZero.into())),
            Ok(n) => octets = octets.get(n..).unwrap_or(&[]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (all - octets.len(), Some(error)),
        }
    }
    (all, None)
}

/// Octets and number of the blocks at the start of `octets` that are there as a whole.
fn whole_blocks(octets: &[u8]) -> (usize, u64) {
    let (mut at, mut blocks) = (0, 0);
    while let Some(length) = octets.get(at + 4..at + 8).and_then(|l| l.first_chunk()) {
        let next = at + u32::from_le_bytes(*length) as usize;
        if next > octets.len() || next == at {
            break;
        }
        (at, blocks) = (next, blocks + 1);
    }
    (at, blocks)
}

/// The interfaces as one name.
fn names(interfaces: &[Opened]) -> String {
    let names: Vec<&str> = interfaces.iter().map(|i| i.name.as_str()).collect();
    names.join("+")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::capture::{LinkType, OpenOptions as ReadOptions, open};

    const SECOND: i64 = 1_000_000_000;

    /// A folder of its own, which goes with the test.
    struct Place(PathBuf);

    impl Place {
        fn new(name: &str) -> Self {
            let name = format!("tcptriage-ring-{}-{name}", std::process::id());
            let path = std::env::temp_dir().join(name);
            let _ = fs::remove_dir_all(&path);
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        /// Octets and frames of each file, in order; each can be read to its end.
        fn files(&self) -> Vec<(u64, u64)> {
            let mut files: Vec<PathBuf> = fs::read_dir(&self.0)
                .unwrap()
                .map(|e| e.unwrap().path())
                .collect();
            files.sort();
            files
                .iter()
                .map(|path| {
                    let mut file = open(path.to_str().unwrap(), &ReadOptions::default()).unwrap();
                    let mut batch = crate::capture::FrameBatch::default();
                    let mut frames = 0;
                    while file.next_batch(&mut batch).unwrap() {
                        frames += batch.frames.len() as u64;
                    }
                    assert_eq!(file.info().problems, [], "{}", path.display());
                    (fs::metadata(path).unwrap().len(), frames)
                })
                .collect()
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn ring(place: &Place, change: impl FnOnce(&mut RingOptions)) -> Ring {
        let mut options = RingOptions {
            folder: place.0.clone(),
            files: 100,
            octets: u64::MAX,
            time: None,
            pre_trigger: None,
        };
        change(&mut options);
        let opened = Opened {
            name: "eth0".to_owned(),
            link: LinkType::ETHERNET,
        };
        Ring::begin(vec![opened], options).unwrap()
    }

    /// So many frames of so many octets, one each so many nanoseconds.
    fn frames(first: usize, frames: usize, octets: usize, every: i64) -> Taken {
        let mut taken = Taken::default();
        for n in first..first + frames {
            let time = Timestamp(1_700_000_000 * SECOND + n as i64 * every);
            taken.push(
                time,
                &vec![n as u8; octets],
                octets as u32,
                LinkType::ETHERNET,
                0,
            );
        }
        taken
    }

    #[test]
    fn one_batch_is_parted_among_as_many_files_as_it_needs() {
        type Change = fn(&mut RingOptions);
        let rows: [(&str, Change, &[u64]); 5] = [
            ("no limit", |_| (), &[1_000]),
            // Of each file some octets are its head's, and some are left for its end.
            (
                "by size",
                |o| o.octets = 300_000,
                &[195, 195, 195, 195, 195, 25],
            ),
            (
                "by time",
                |o| o.time = Some(Duration::from_secs(4)),
                &[400, 400, 200],
            ),
            (
                "the last files",
                |o| (o.octets, o.files) = (300_000, 2),
                &[195, 25],
            ),
            (
                "smaller than a frame",
                |o| (o.octets, o.files) = (10, 3),
                &[1; 3],
            ),
        ];
        for (name, change, want) in rows {
            let place = Place::new(name);
            let mut ring = ring(&place, change);
            let most = ring.keeper.as_ref().unwrap().options.octets;
            let mut handed = Vec::new();
            let all = ring.take(frames(0, 1_000, 1_500, SECOND / 100), &mut |numbered| {
                for frame in &numbered.taken.frames.frames {
                    let octets = numbered.taken.frames.captured(frame);
                    assert_eq!(octets, [handed.len() as u8; 1_500], "{name}");
                    handed.push((numbered.capture, frame.number));
                }
                true
            });
            assert!(all, "{name}");
            let told: Vec<u64> = ring.finish().iter().map(|info| info.frames).collect();
            let files = place.files();
            let held: Vec<u64> = files.iter().map(|(_, frames)| *frames).collect();
            assert_eq!(held, want, "{name}");
            assert!(
                told.ends_with(&held) && told.iter().sum::<u64>() == 1_000,
                "{name}"
            );
            assert!(
                files
                    .iter()
                    .all(|(octets, frames)| *octets <= most || *frames == 1),
                "{name}: {files:?}"
            );
            assert!(handed.is_sorted() && handed.len() == 1_000, "{name}");
        }
    }

    #[test]
    fn what_waited_is_parted_among_files_as_well() {
        let place = Place::new("before");
        let mut ring = ring(&place, |o| {
            (o.octets, o.pre_trigger) = (300_000, Some(Duration::from_secs(60)));
        });
        let mut ignore = |_: Numbered| true;
        // A hundred seconds, of which the last sixty are kept.
        ring.take(frames(0, 1_000, 1_500, SECOND / 10), &mut ignore);
        assert_eq!(place.files(), [], "nothing was found so far");
        ring.trigger(Timestamp(i64::MAX));
        ring.take(frames(1_000, 100, 1_500, SECOND / 10), &mut ignore);
        let info = ring.finish();
        assert_eq!(info.iter().map(|i| i.frames).collect::<Vec<_>>(), [1_100]);
        let held: Vec<u64> = place.files().iter().map(|(_, frames)| *frames).collect();
        assert_eq!(held, [195, 195, 195, 16]);
        assert!(place.files().iter().all(|(octets, _)| *octets <= 300_000));
    }

    #[test]
    fn a_probe_goes_through_no_link() {
        let place = Place::new("link");
        let (ring_at, other) = (place.0.join("ring"), place.0.join("other"));
        fs::create_dir(&ring_at).unwrap();
        fs::write(&other, "kept").unwrap();
        std::os::unix::fs::symlink(&other, ring_at.join(".tcptriage-probe")).unwrap();
        ring(&place, |o| {
            (o.folder, o.pre_trigger) = (ring_at, Some(Duration::from_secs(1)));
        });
        assert_eq!(fs::read(&other).unwrap(), b"kept");
    }

    #[test]
    fn what_was_written_in_part_ends_with_a_whole_block() {
        let mut writer = PcapngWriter::new(Vec::new(), LinkType::ETHERNET).unwrap();
        writer.out().clear();
        for octets in [60, 61, 1500] {
            let octets = vec![0; octets];
            writer.frame_of(0, Timestamp(1), &octets, 1500).unwrap();
        }
        let all = writer.out().clone();
        let first = BLOCK_OCTETS as usize + 60 - 4;
        for (name, written, want) in [
            ("nothing", 0, (0, 0)),
            ("a few octets", 7, (0, 0)),
            ("one short of a block", first - 1, (0, 0)),
            ("a block", first, (first, 1)),
            ("a block and a bit", first + 9, (first, 1)),
            ("one short of all", all.len() - 1, (2 * first + 4, 2)),
            ("all", all.len(), (all.len(), 3)),
        ] {
            assert_eq!(whole_blocks(&all[..written]), want, "{name}");
        }
        assert_eq!(
            whole_blocks(&[0; 64]),
            (0, 0),
            "a length of nothing ends it"
        );
    }
}
