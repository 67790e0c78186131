//! Numbers the frames of a live run, and keeps them in a ring of pcapng files where that is wanted.
//!
//! Takes:  [`Taken`] frames, in order
//! Gives:  the same frames, numbered as they stand in the files; a [`CaptureInfo`] for each file, as reading it would give
//! Never:  leaves a file that cannot be read: whole blocks are written in one go, and what was written in part is cut off; follows a link;
//!         stops the run because a disk is full
//!
//! Files change between batches only. With a time before the trigger, frames wait in memory and are written once [`Ring::trigger`] says so;
//! they are numbered by the run then, as the files hold a part of it alone.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::super::tally::Tally;
use super::super::{CaptureError, CaptureInfo, Frame, PcapngWriter, Problem};
use super::{Drops, Opened, Taken, now, octets_at};
use crate::net::Timestamp;

/// Octets kept in memory before a trigger at most.
const MAX_BEFORE: usize = 256 << 20;

/// After a file could not be written, another is tried this often.
const RETRY: Duration = Duration::from_secs(5);

/// Files that are told apart in the report. Of a run that writes more, the frames of later files count as of the last of these.
const MAX_TOLD: usize = 20_000;

/// Octets of a block that are no captured octets: header, padding and both lengths.
const BLOCK_OCTETS: u64 = 36;

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
    before: VecDeque<(Frame, u16, Vec<u8>)>,
    before_octets: usize,
    /// Until when frames are written after a trigger.
    write_until: Option<Timestamp>,
    /// Drops of the run when the file was begun.
    dropped: u64,
    frames: u64,
}

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
            // Whether it can be written to is better known now than at the trigger.
            let probe = keeper.options.folder.join(".tcptriage-probe");
            // What a run that was killed has left, or a link that somebody else has put there.
            let _ = fs::remove_file(&probe);
            let mut new = OpenOptions::new();
            let made = new.write(true).create_new(true).open(&probe);
            made.map_err(failed)?;
            let _ = fs::remove_file(probe);
        } else {
            keeper.start(&ring.interfaces, now(), 0).map_err(failed)?;
            ring.tally = Tally::new(&keeper.path(), "pcapng");
        }
        ring.keeper = Some(keeper);
        Ok(ring)
    }

    /// Numbers the frames, and writes them where that is wanted.
    pub fn take(&mut self, numbered: &mut Numbered) {
        let taken = &mut numbered.taken;
        self.drops = taken.drops;
        let due = self
            .keeper
            .as_ref()
            .is_some_and(|keeper| keeper.is_due(taken));
        if due {
            self.next_file(&mut taken.troubles);
        }
        numbered.capture = u32::try_from(self.told.len()).unwrap_or(u32::MAX);
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
            if let Some(last) = frames.last_mut().filter(|_| numbered.capture > 0) {
                last.number = last.number.in_capture(numbered.capture);
            }
        }
        numbered.state = self.keeper.as_mut().map(|keeper| {
            keeper.write(&self.interfaces, taken, self.drops.all());
            keeper.state.clone()
        });
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

    /// Whether the next batch belongs into another file.
    fn is_due(&self, taken: &Taken) -> bool {
        let (Some(open), Some(last)) = (&self.open, taken.frames.frames.last()) else {
            return false;
        };
        let first = open.first.unwrap_or(last.time);
        let more = taken.frames.octets.as_slice().len() as u64
            + BLOCK_OCTETS * taken.frames.frames.len() as u64;
        let late = self
            .options
            .time
            .is_some_and(|time| last.time.since(first).is_some_and(|age| age >= time));
        open.first.is_some() && (late || open.octets + more > self.options.octets)
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

    fn write(&mut self, interfaces: &[Opened], taken: &mut Taken, dropped: u64) {
        if let Some(before) = self.options.pre_trigger {
            self.remember(taken, before);
            let last = taken.frames.frames.last().map(|f| f.time);
            let Some(until) = self.write_until else {
                return;
            };
            if self.open.is_none() && !self.try_start(interfaces, taken, dropped) {
                return;
            }
            let waiting = std::mem::take(&mut self.before);
            self.before_octets = 0;
            let first = waiting.front().map(|(frame, ..)| frame.time);
            self.put(waiting.len(), first, &mut taken.troubles, |writer| {
                for (frame, at, octets) in &waiting {
                    writer.frame_of(*at, frame.time, octets, frame.wire_octets)?;
                }
                Ok(())
            });
            if last.is_some_and(|last| last > until) {
                self.write_until = None;
                self.close(dropped, &mut taken.troubles);
            }
            return;
        }
        if taken.frames.frames.is_empty() {
            return;
        }
        if self.open.is_none() && !self.try_start(interfaces, taken, dropped) {
            self.state.lost += taken.frames.frames.len() as u64;
            return;
        }
        let (frames, from) = (&taken.frames, &taken.interface);
        let first = frames.frames.first().map(|f| f.time);
        self.put(frames.frames.len(), first, &mut taken.troubles, |writer| {
            for (frame, at) in frames.frames.iter().zip(from) {
                let octets = frames.captured(frame);
                writer.frame_of(*at, frame.time, octets, frame.wire_octets)?;
            }
            Ok(())
        });
    }

    /// Keeps the frames in memory, and forgets those that are too old.
    fn remember(&mut self, taken: &Taken, span: Duration) {
        let octets = taken.frames.octets.as_slice();
        for (frame, at) in taken.frames.frames.iter().zip(&taken.interface) {
            let copy = octets_at(octets, &frame.range);
            self.before_octets += copy.len() + size_of::<(Frame, u16, Vec<u8>)>();
            self.before.push_back((frame.clone(), *at, copy));
        }
        let Some(last) = self.before.back().map(|(frame, ..)| frame.time) else {
            return;
        };
        while let Some((frame, _, octets)) = self.before.front() {
            let old = last.since(frame.time).is_some_and(|age| age > span);
            if !old && self.before_octets <= MAX_BEFORE {
                break;
            }
            self.before_octets -= octets.len() + size_of::<(Frame, u16, Vec<u8>)>();
            self.before.pop_front();
        }
    }

    /// Begins a file after there was none, or after trouble.
    fn try_start(&mut self, interfaces: &[Opened], taken: &mut Taken, dropped: u64) -> bool {
        if self.tried.is_some_and(|at| at.elapsed() < RETRY) {
            return false;
        }
        match self.start(interfaces, now(), dropped) {
            Ok(()) => {
                if std::mem::take(&mut self.troubled) {
                    taken
                        .troubles
                        .push(format!("captures are written again, to {}", self.path()));
                }
                self.tried = None;
                true
            }
            Err(error) => {
                self.failed(&error, &mut taken.troubles);
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
    use crate::capture::LinkType;

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

    #[test]
    fn a_link_where_the_folder_is_tried_is_not_followed() {
        let folder = std::env::temp_dir().join(format!("tcptriage-probe-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let precious = folder.join("precious");
        fs::write(&precious, "precious").unwrap();
        std::os::unix::fs::symlink(&precious, folder.join(".tcptriage-probe")).unwrap();
        let options = RingOptions {
            folder: folder.clone(),
            files: 1,
            octets: 1_000_000,
            time: None,
            pre_trigger: Some(Duration::from_secs(1)),
        };
        Ring::begin(Vec::new(), options).unwrap();
        assert_eq!(fs::read_to_string(&precious).unwrap(), "precious");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        fs::remove_dir_all(folder).unwrap();
    }
}
