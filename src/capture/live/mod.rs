//! Captures on interfaces, through libpcap (feature `live`, Linux).
//!
//! Takes:  names of interfaces, [`TapOptions`]
//! Gives:  [`Taken`] frames in order of time, what the kernel and the interfaces dropped, what befell the interfaces
//! Never:  waits longer than it is told to; gives up because an interface went away
//!
//! The handles do not block, and are read until empty before the next wait: libpcap's immediate mode costs a wake-up a packet, and its
//! blocking mode sleeps for ever on a silent link.

mod list;
mod ring;
mod state;

use std::os::fd::AsFd;
use std::time::{Duration, Instant, SystemTime};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use pcap::{Active, Capture, Linktype, Precision, TimestampType};

use super::{BATCH_FRAMES, CaptureError, Frame, FrameBatch, LinkType, Octets};
use crate::net::{FrameNo, Timestamp};

pub use list::{Interface, interfaces};
pub use ring::{Numbered, Ring, RingOptions, RingState};
use state::{State, States};

/// Octets after which a batch is handed on although frames are missing.
const MAX_BATCH_OCTETS: usize = 1 << 20;

/// Frames read from a handle at once, so that a batch of large ones does not get much larger than it may.
const AT_ONCE: usize = 256;

/// How long the kernel collects packets before it wakes us up.
const COLLECT_MILLIS: i32 = 100;

/// With several interfaces, frames wait so long for earlier ones of another interface: longer than the kernel collects.
const HOLD_NANOS: i64 = 200_000_000;

/// Octets that wait for other interfaces at most.
const MAX_HELD: usize = 16 << 20;

/// Counters are asked for, and interfaces that are down looked after, this often.
const RETRY: Duration = Duration::from_secs(1);

/// The interface that stands for all of them.
const ANY: &str = "any";

/// How interfaces are opened.
#[derive(Clone, Debug)]
pub struct TapOptions {
    /// Octets captured of a frame at most.
    pub snap_length: u32,
    /// Octets of the kernel's buffer, for each interface.
    pub buffer_octets: u32,
    /// Take in frames for other hosts too.
    pub promiscuous: bool,
    /// Capture filter in the language of libpcap.
    pub filter: Option<String>,
}

impl Default for TapOptions {
    fn default() -> Self {
        Self {
            snap_length: 262_144,
            buffer_octets: 32 << 20,
            promiscuous: false,
            filter: None,
        }
    }
}

/// What the kernel says it did, over all interfaces.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Drops {
    /// Frames dropped because the buffer was full.
    pub by_kernel: u64,
    /// Frames dropped by the interface or its driver.
    pub by_interface: u64,
}

impl Drops {
    /// Both together.
    #[must_use]
    pub const fn all(self) -> u64 {
        self.by_kernel.saturating_add(self.by_interface)
    }
}

/// Frames as they were taken from the interfaces; their numbers are still to be given.
#[derive(Debug, Default)]
pub struct Taken {
    /// The frames in order of time.
    pub frames: FrameBatch,
    /// Which interface each came from, in the order of [`Tap::interfaces`].
    pub interface: Vec<u16>,
    /// What was dropped since the run began.
    pub drops: Drops,
    /// Sentences on what befell the interfaces since the last batch.
    pub troubles: Vec<String>,
}

impl Taken {
    fn clear(&mut self) {
        self.frames.frames.clear();
        self.interface.clear();
        self.troubles.clear();
        match &mut self.frames.octets {
            Octets::Owned(octets) => octets.clear(),
            mapped @ Octets::Mapped(_) => *mapped = Octets::default(),
        }
    }

    fn is_full(&self) -> bool {
        self.frames.frames.len() >= BATCH_FRAMES
            || self.frames.octets.as_slice().len() >= MAX_BATCH_OCTETS
    }

    /// Takes the first `n` frames out; what was told stays with the rest.
    fn split_off_front(&mut self, n: usize) -> Self {
        let mut part = Self {
            drops: self.drops,
            ..Self::default()
        };
        for (frame, at) in self.frames.frames.iter().zip(&self.interface).take(n) {
            let octets = self.frames.captured(frame);
            part.push(frame.time, octets, frame.wire_octets, frame.link, *at);
        }
        self.frames.frames.drain(..n);
        self.interface.drain(..n);
        part
    }

    fn push(&mut self, time: Timestamp, octets: &[u8], wire_octets: u32, link: LinkType, at: u16) {
        let Octets::Owned(buffer) = &mut self.frames.octets else {
            return;
        };
        let start = buffer.len();
        buffer.extend_from_slice(octets);
        self.frames.frames.push(Frame {
            number: FrameNo(0),
            time,
            range: start..buffer.len(),
            wire_octets,
            link,
        });
        self.interface.push(at);
    }
}

/// Name and link type of an open interface.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Opened {
    /// Its name.
    pub name: String,
    /// The link type of its frames.
    pub link: LinkType,
}

struct Handle {
    opened: Opened,
    at: u16,
    /// `None` once the interface is gone.
    capture: Option<Capture<Active>>,
    down: bool,
    counted: (u32, u32),
    inode: u64,
}

/// Open interfaces.
pub struct Tap {
    handles: Vec<Handle>,
    drops: Drops,
    counted: Instant,
    states: States,
    looked: Instant,
    /// Frames that wait for earlier ones of other interfaces, and the buffer that takes those that wait on.
    held: Taken,
    rest: Taken,
}

impl Tap {
    /// Opens the interfaces. Needs the privileges for it; reading from them later needs none.
    ///
    /// # Errors
    /// Where one cannot be opened, or the filter is none.
    pub fn open(names: &[String], options: &TapOptions) -> Result<Self, CaptureError> {
        let mut handles = Vec::new();
        for (at, name) in (0u16..).zip(names) {
            let (capture, link) = open(name, options)?;
            handles.push(Handle {
                opened: Opened {
                    name: name.clone(),
                    link,
                },
                at,
                inode: state::inode(&capture),
                capture: Some(capture),
                down: false,
                counted: (0, 0),
            });
        }
        Ok(Self {
            handles,
            drops: Drops::default(),
            counted: Instant::now(),
            states: States::open(),
            looked: Instant::now(),
            held: Taken::default(),
            rest: Taken::default(),
        })
    }

    /// The interfaces in the order in which they were named.
    #[must_use]
    pub fn interfaces(&self) -> Vec<Opened> {
        self.handles.iter().map(|h| h.opened.clone()).collect()
    }

    /// Whether all interfaces are gone for good.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.handles.iter().all(|h| h.capture.is_none())
    }

    /// Clears `taken` and fills it with the next frames; waits for them no longer than `wait`, and gives what there is then.
    pub fn take(&mut self, taken: &mut Taken, wait: Duration) {
        taken.clear();
        self.drain(taken);
        if taken.frames.frames.is_empty() {
            self.wait(wait, &mut taken.troubles);
            self.drain(taken);
        }
        if self.handles.len() > 1 {
            self.merge(taken);
        }
        self.count(taken);
    }

    /// What is left when the run ends: all that lies in the kernel's buffers, and what waited here. To be called until it gives
    /// nothing more.
    pub fn take_rest(&mut self, taken: &mut Taken) -> bool {
        taken.clear();
        self.drain(taken);
        if taken.frames.frames.is_empty() {
            std::mem::swap(taken, &mut self.held);
            in_order(taken);
        } else if self.handles.len() > 1 {
            self.merge(taken);
        }
        self.counted -= RETRY.min(self.counted.elapsed());
        self.count(taken);
        !taken.frames.frames.is_empty() || !self.held.frames.frames.is_empty()
    }

    /// Reads all handles until they are empty or the batch is full.
    fn drain(&mut self, taken: &mut Taken) {
        let mut dry = false;
        while !dry && !taken.is_full() {
            dry = true;
            for handle in &mut self.handles {
                dry &= handle.read(taken) == 0;
            }
        }
        if self.looked.elapsed() >= RETRY {
            self.looked = Instant::now();
            self.states.read();
            for handle in &mut self.handles {
                handle.stands(self.states.of(handle.inode), &mut taken.troubles);
            }
        }
    }

    /// Waits until a frame is there.
    fn wait(&self, wait: Duration, troubles: &mut Vec<String>) {
        let open: Vec<_> = self
            .handles
            .iter()
            .filter_map(|h| h.capture.as_ref())
            .collect();
        if open.is_empty() {
            std::thread::sleep(wait);
            return;
        }
        let mut descriptors: Vec<PollFd<'_>> = open
            .iter()
            .map(|c| PollFd::new(c.as_fd(), PollFlags::POLLIN))
            .collect();
        let wait = PollTimeout::try_from(wait).unwrap_or(PollTimeout::ZERO);
        match poll(&mut descriptors, wait) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => troubles.push(format!("cannot wait for frames: {error}")),
        }
    }

    /// Puts the frames of several interfaces in order of time; the latest wait for those of the other interfaces.
    fn merge(&mut self, taken: &mut Taken) {
        for (frame, at) in taken.frames.frames.iter().zip(&taken.interface) {
            let octets = taken.frames.captured(frame);
            self.held
                .push(frame.time, octets, frame.wire_octets, frame.link, *at);
        }
        let troubles = std::mem::take(&mut taken.troubles);
        taken.clear();
        taken.troubles = troubles;
        in_order(&mut self.held);
        let horizon = if self.held.frames.octets.as_slice().len() > MAX_HELD {
            Timestamp(i64::MAX)
        } else {
            now().plus_nanos(-HOLD_NANOS)
        };
        let ready = self
            .held
            .frames
            .frames
            .partition_point(|f| f.time <= horizon);
        if ready == 0 {
            return;
        }
        self.rest.clear();
        for (n, (frame, at)) in self
            .held
            .frames
            .frames
            .iter()
            .zip(&self.held.interface)
            .enumerate()
        {
            let octets = self.held.frames.captured(frame);
            let to = if n < ready {
                &mut *taken
            } else {
                &mut self.rest
            };
            to.push(frame.time, octets, frame.wire_octets, frame.link, *at);
        }
        std::mem::swap(&mut self.held, &mut self.rest);
    }

    /// Asks the kernel what it dropped, once in a while.
    fn count(&mut self, taken: &mut Taken) {
        if self.counted.elapsed() >= RETRY {
            self.counted = Instant::now();
            for handle in &mut self.handles {
                let Some(Ok(stat)) = handle.capture.as_mut().map(Capture::stats) else {
                    continue;
                };
                let (kernel, interface) = handle.counted;
                let more = |now: u32, before: u32| u64::from(now.wrapping_sub(before));
                self.drops.by_kernel += more(stat.dropped, kernel);
                self.drops.by_interface += more(stat.if_dropped, interface);
                handle.counted = (stat.dropped, stat.if_dropped);
            }
        }
        taken.drops = self.drops;
    }
}

impl Handle {
    /// Reads what is there, as far as it fits; gives the number of frames.
    fn read(&mut self, taken: &mut Taken) -> usize {
        let room = AT_ONCE.min(BATCH_FRAMES.saturating_sub(taken.frames.frames.len()));
        let (link, at) = (self.opened.link, self.at);
        let Some(capture) = self.capture.as_mut().filter(|_| room > 0) else {
            return 0;
        };
        let read = capture.dispatch(Some(room), |packet| {
            let stamp = packet.header.ts;
            #[allow(clippy::useless_conversion)] // the fields are 32 bits wide on some systems
            let (seconds, nanos) = (i64::from(stamp.tv_sec), i64::from(stamp.tv_usec));
            // With the precision asked for at the opening, the fraction counts nanoseconds.
            let time = Timestamp(seconds.saturating_mul(1_000_000_000).saturating_add(nanos));
            taken.push(time, packet.data, packet.header.len, link, at);
        });
        read.unwrap_or_else(|error| {
            self.complain(&error.to_string(), &mut taken.troubles);
            0
        })
    }

    /// The interface cannot be read, or frames come no more. Of one that is only down the handle works again once it is up.
    fn complain(&mut self, why: &str, troubles: &mut Vec<String>) {
        if !std::mem::replace(&mut self.down, true) {
            let name = &self.opened.name;
            troubles.push(format!("nothing is captured on {name} now: {why}"));
        }
    }

    /// Tells what became of the interface.
    fn stands(&mut self, state: Option<State>, troubles: &mut Vec<String>) {
        let name = self.opened.name.clone();
        match state {
            Some(State::Gone) if self.capture.take().is_some() => troubles.push(format!(
                "the interface {name} is gone; nothing more is captured on it, even if it comes back: start the run again then"
            )),
            Some(State::Down) => self.complain("the interface is down", troubles),
            Some(State::Up) if std::mem::take(&mut self.down) => {
                troubles.push(format!("the interface {name} is up again"));
            }
            _ => {}
        }
    }
}

fn in_order(taken: &mut Taken) {
    let frames = &mut taken.frames.frames;
    if frames.is_sorted_by_key(|f| f.time) {
        return;
    }
    let mut both: Vec<(Frame, u16)> = frames.drain(..).zip(taken.interface.drain(..)).collect();
    both.sort_by_key(|(frame, _)| frame.time);
    for (frame, at) in both {
        frames.push(frame);
        taken.interface.push(at);
    }
}

/// The clock of the machine, which is that of a live capture.
#[must_use]
pub fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

fn open(name: &str, options: &TapOptions) -> Result<(Capture<Active>, LinkType), CaptureError> {
    let refused = |error: pcap::Error| {
        let text = error.to_string();
        let lower = text.to_lowercase();
        let hint = if lower.contains("permission") || lower.contains("permitted") {
            "; run it as root, or give it the capabilities once: sudo setcap cap_net_raw,cap_net_admin=eip \
             \"$(command -v tcptriage)\""
        } else if lower.contains("no such device") || lower.contains("doesn't exist") {
            "; tcptriage interfaces lists those that are there"
        } else {
            ""
        };
        CaptureError::Interface {
            name: name.to_owned(),
            reason: format!("{}{hint}", text.trim_start_matches("libpcap error: ")),
        }
    };
    let number = |octets: u32| i32::try_from(octets).unwrap_or(i32::MAX);
    let inactive = Capture::from_device(name)
        .map_err(refused)?
        .snaplen(number(options.snap_length))
        .buffer_size(number(options.buffer_octets))
        .promisc(options.promiscuous && name != ANY)
        .timeout(COLLECT_MILLIS)
        .tstamp_type(TimestampType::Host)
        .precision(Precision::Nano);
    let mut capture = inactive.open().map_err(refused)?;
    if name == ANY {
        // Its longer header names the interface of each frame. Where it is not to be had, the shorter one does.
        let _ = capture.set_datalink(Linktype(276));
    }
    if let Some(expression) = &options.filter {
        capture
            .filter(expression, true)
            .map_err(|error| CaptureError::Filter {
                expression: expression.clone(),
                reason: error.to_string(),
            })?;
    }
    let link = match capture.get_datalink().0 {
        // The one number in which libpcap's own link types differ from the registry's on Linux: raw IP.
        12 => LinkType(101),
        other => LinkType(u16::try_from(other).unwrap_or(u16::MAX)),
    };
    Ok((capture.setnonblock().map_err(refused)?, link))
}

/// A filter that lets pass what the diagnosis needs of some TCP ports: their segments, and the ICMP errors that tell of their path.
#[must_use]
pub fn filter_of_ports(ports: &[u16]) -> String {
    let mut text = "icmp or icmp6".to_owned();
    for port in ports {
        text.push_str(" or tcp port ");
        text.push_str(&port.to_string());
    }
    text
}
