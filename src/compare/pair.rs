//! Finds which connection of one side is which of the other.
//!
//! Takes:  two [`View`]s
//! Gives:  [`Pair`]s of connections; each connection is in one of them
//! Never:  pairs on ports alone: where addresses or ports differ (NAT), both initial sequence numbers or the payload have to agree

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use super::table::{Connection, Half, Sighting, View};
use crate::decode::FlowKey;
use crate::net::{Endpoint, SeqNum};

/// Data segments at the beginning of each direction that are compared where numbers were rewritten.
const LOOKED_AT: usize = 64;
/// Octets from which a payload is likely to be one of its kind.
const TELLING: u32 = 24;
/// Agreeing segments that make two connections one.
const LEAST_ALIKE: usize = 2;
/// Connections of the same ends looked at for one whose initial numbers do not tell.
const CANDIDATES: usize = 64;
/// Messages up to this length leave in one segment, and come in one.
const MESSAGE: u32 = 536;

/// How a pair was found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Basis {
    /// The same addresses and ports, and the same sequence numbers.
    Same,
    /// The same addresses and ports; sequence numbers were rewritten between.
    Renumbered,
    /// Both initial sequence numbers; addresses or ports were translated between.
    Translated,
    /// The payload; addresses and sequence numbers were rewritten between.
    Payload,
    /// One side only.
    Alone,
}

/// One connection as both sides saw it: places in their views.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair {
    pub(super) sides: [Option<usize>; 2],
    pub(super) basis: Basis,
    /// By client and server: what is added to a sequence number of the left to get that of the right.
    pub(super) shift: [u32; 2],
}

/// The pairs, in the order of the left side; what only the right side saw comes last.
pub(super) fn pairs(views: [&View; 2]) -> Vec<Pair> {
    let [left, right] = views;
    let mut matcher = Matcher {
        left: &left.connections,
        right: &right.connections,
        of_left: vec![None; left.connections.len()],
        taken: vec![false; right.connections.len()],
    };
    matcher.by_ends();
    matcher.by_initial_numbers();
    matcher.by_payload();
    let mut pairs: Vec<Pair> = (0..)
        .zip(&matcher.of_left)
        .map(|(n, found)| match found {
            Some((m, basis, shift)) => Pair {
                sides: [Some(n), Some(*m)],
                basis: *basis,
                shift: *shift,
            },
            None => alone([Some(n), None]),
        })
        .collect();
    pairs.extend(
        (0..)
            .zip(&matcher.taken)
            .filter(|(_, taken)| !**taken)
            .map(|(m, _)| alone([None, Some(m)])),
    );
    pairs
}

const fn alone(sides: [Option<usize>; 2]) -> Pair {
    Pair {
        sides,
        basis: Basis::Alone,
        shift: [0; 2],
    }
}

/// Makes connections whose SYN neither side or one side alone saw have the same client on both: who was seen to accept a connection at a
/// port is the server there.
pub(super) fn agree_on_roles(views: [&mut View; 2]) {
    let [left, right] = views;
    let sides = [&mut left.connections, &mut right.connections];
    let mut servers: HashSet<Endpoint> = HashSet::new();
    for c in sides.iter().flat_map(|list| list.iter()).filter(|c| c.sure) {
        servers.insert(c.end(false));
    }
    for c in sides
        .into_iter()
        .flat_map(|list| list.iter_mut())
        .filter(|c| !c.sure)
    {
        let [a, b] = [0, 1].map(|end| servers.contains(&c.key.endpoint(end)));
        if a != b {
            c.client = usize::from(a);
        }
    }
}

/// What tells a connection from others of the same ends: the initial number of either of them.
fn numbers(c: &Connection) -> impl Iterator<Item = (FlowKey, bool, SeqNum)> {
    [true, false].into_iter().filter_map(|of_client| {
        let syn = c.half(of_client).syn()?;
        Some((c.key, of_client, syn.seq))
    })
}

struct Matcher<'a> {
    left: &'a [Connection],
    right: &'a [Connection],
    of_left: Vec<Option<(usize, Basis, [u32; 2])>>,
    taken: Vec<bool>,
}

impl Matcher<'_> {
    fn take(&mut self, n: usize, m: usize, basis: Basis, shift: [u32; 2]) {
        if let (Some(of), Some(taken)) = (self.of_left.get_mut(n), self.taken.get_mut(m)) {
            *of = Some((m, basis, shift));
            *taken = true;
        }
    }

    fn free_left(&self) -> Vec<usize> {
        (0..self.left.len())
            .filter(|n| self.of_left.get(*n).is_some_and(Option::is_none))
            .collect()
    }

    fn free_right(&self) -> Vec<usize> {
        (0..self.right.len())
            .filter(|m| self.taken.get(*m).is_some_and(|t| !t))
            .collect()
    }

    /// The same addresses and ports. Where they were used again, initial numbers tell which is which: all whose numbers are the same come
    /// first, so that none of them is taken for another one with numbers rewritten.
    fn by_ends(&mut self) {
        let mut by_number: HashMap<_, Vec<usize>> = HashMap::new();
        for (m, c) in self.right.iter().enumerate().rev() {
            for mark in numbers(c) {
                by_number.entry(mark).or_default().push(m);
            }
        }
        let mut exact = HashSet::new();
        for n in 0..self.left.len() {
            let Some(l) = self.left.get(n) else { continue };
            for mark in numbers(l) {
                let Some(list) = by_number.get_mut(&mark) else {
                    continue;
                };
                while list
                    .pop_if(|m| self.taken.get(*m).is_none_or(|t| *t))
                    .is_some()
                {}
                let found = list.iter().rev().take(CANDIDATES).copied().find(|m| {
                    self.taken.get(*m).is_some_and(|t| !t)
                        && self
                            .right
                            .get(*m)
                            .is_some_and(|r| agree(l, r) == Some(true))
                });
                if let Some(m) = found {
                    self.take(n, m, Basis::Same, [0; 2]);
                    exact.insert(l.key.addrs);
                    break;
                }
            }
        }
        let mut by_key: HashMap<FlowKey, Vec<usize>> = HashMap::new();
        for m in self.free_right().into_iter().rev() {
            if let Some(c) = self.right.get(m) {
                by_key.entry(c.key).or_default().push(m);
            }
        }
        for n in self.free_left() {
            let Some(l) = self.left.get(n) else { continue };
            let Some(list) = by_key.get_mut(&l.key) else {
                continue;
            };
            while list
                .pop_if(|m| self.taken.get(*m).is_none_or(|t| *t))
                .is_some()
            {}
            let free = || {
                list.iter()
                    .rev()
                    .take(CANDIDATES)
                    .filter(|m| self.taken.get(**m).is_some_and(|t| !t))
                    .filter_map(|m| Some((*m, self.right.get(*m)?)))
            };
            let same = free().find(|(_, r)| agree(l, r).is_none());
            if let Some((m, _)) = same {
                self.take(n, m, Basis::Same, [0; 2]);
            } else if !exact.contains(&l.key.addrs)
                // What rewrites the numbers of two hosts does so to all of their connections.
                && let Some((m, shift)) = free().find_map(|(m, r)| Some((m, shift(l, r)?)))
            {
                self.take(n, m, Basis::Renumbered, shift);
            }
        }
    }

    /// Both initial sequence numbers, which are 64 random bits; of a lone SYN, its number and its time stamp.
    fn by_initial_numbers(&mut self) {
        let key = |c: &Connection| {
            let syn = c.half(true).syn()?;
            let second = match c.half(false).syn() {
                Some(answer) => u64::from(answer.seq.0),
                None if syn.timestamps => 1 << 32 | u64::from(syn.ts_val),
                None => return None,
            };
            Some((syn.seq.0, second))
        };
        let mut by_key: HashMap<_, usize> = HashMap::new();
        for m in self.free_right() {
            if let Some(k) = self.right.get(m).and_then(key) {
                by_key.entry(k).or_insert(m);
            }
        }
        for n in self.free_left() {
            if let Some(k) = self.left.get(n).and_then(key)
                && let Some(m) = by_key.remove(&k)
            {
                self.take(n, m, Basis::Translated, [0; 2]);
            }
        }
    }

    /// The same payload at the same places of the stream.
    fn by_payload(&mut self) {
        let mut by_mark: HashMap<u64, Vec<usize>> = HashMap::new();
        for m in self.free_right() {
            for mark in self.right.get(m).map(marks).unwrap_or_default() {
                by_mark.entry(mark).or_default().push(m);
            }
        }
        if by_mark.is_empty() {
            return;
        }
        for n in self.free_left() {
            let Some(l) = self.left.get(n) else { continue };
            let mut votes: HashMap<usize, usize> = HashMap::new();
            for mark in marks(l) {
                // What many connections begin with (a greeting) tells nothing.
                for m in by_mark.get(&mark).into_iter().flatten().take(64) {
                    if self.taken.get(*m).is_some_and(|t| !t) {
                        *votes.entry(*m).or_default() += 1;
                    }
                }
            }
            let mut best: Vec<(usize, usize)> = votes.into_iter().map(|(m, v)| (v, m)).collect();
            best.sort_by_key(|(v, m)| (std::cmp::Reverse(*v), *m));
            let (Some((most, m)), second) = (best.first(), best.get(1)) else {
                continue;
            };
            if *most >= LEAST_ALIKE
                && second.is_none_or(|(v, _)| v < most)
                && let Some(shift) = self.right.get(*m).and_then(|r| shift(l, r))
            {
                let basis = if shift == [0; 2] {
                    Basis::Translated
                } else {
                    Basis::Payload
                };
                self.take(n, *m, basis, shift);
            }
        }
    }
}

/// Whether initial numbers say that two connections of the same ends are one; `None` where they do not tell.
fn agree(l: &Connection, r: &Connection) -> Option<bool> {
    let mut said = None;
    for of_client in [true, false] {
        if let (Some(a), Some(b)) = (l.half(of_client).syn(), r.half(of_client).syn()) {
            if a.seq != b.seq {
                return Some(false);
            }
            said = Some(true);
        }
    }
    if said.is_some() {
        return said;
    }
    // Mid-stream on one side: what both saw has to meet.
    let mut met = false;
    for which in [0, 1] {
        let span = |c: &Connection| {
            let segments = &c.halves.get(which)?.segments;
            let (first, last) = (segments.first()?, segments.last()?);
            Some((first.seq, last.seq.plus(last.length())))
        };
        if let (Some((a, a_end)), Some((b, b_end))) = (span(l), span(r)) {
            if a.distance_to(b).unsigned_abs() >= 1 << 30 {
                return Some(false);
            }
            met |= a.distance_to(b_end) >= 0 && b.distance_to(a_end) >= 0;
        }
    }
    (!met).then_some(false)
}

/// What was added to the sequence numbers of both directions between the two sides; `None` where that cannot be told. Two connections
/// that have little in common but ends are not renumbered: they are two, and a greeting is the same for all.
fn shift(l: &Connection, r: &Connection) -> Option<[u32; 2]> {
    let mut shifts = [None; 2];
    let (mut alike, mut likely, mut spoken) = (0, false, false);
    for (place, of_client) in [true, false].into_iter().enumerate() {
        let (a, b) = (l.half(of_client), r.half(of_client));
        let by_syn = match (a.syn(), b.syn()) {
            (Some(a), Some(b)) => Some(b.seq.0.wrapping_sub(a.seq.0)),
            _ => None,
        };
        let found = data_shift(a, b, by_syn);
        if found.others > found.alike {
            return None;
        }
        let both = first_data(a).count().min(first_data(b).count());
        alike += found.alike;
        likely |= found.alike > 0 && found.alike * 2 >= both;
        spoken |= both > 0;
        if let Some(shift) = shifts.get_mut(place) {
            *shift = by_syn.or(found.shift);
        }
    }
    if spoken && (alike < LEAST_ALIKE || !likely) {
        return None;
    }
    let [a, b] = shifts;
    Some([a?, b.unwrap_or(0)])
}

/// How the payload of one direction compares.
#[derive(Debug, Default)]
struct Alike {
    /// The shift that most data segments of like payload agree on.
    shift: Option<u32>,
    /// How many do.
    alike: usize,
    /// Messages that are others at the same place.
    others: usize,
}

fn data_shift(a: &Half, b: &Half, wanted: Option<u32>) -> Alike {
    let mark = |s: &Sighting| (s.payload(), s.digest);
    let of: HashMap<(u32, u32), SeqNum> = first_data(b).map(|s| (mark(s), s.seq)).collect();
    let mut votes: HashMap<u32, usize> = HashMap::new();
    for s in first_data(a) {
        if let Some(seq) = of.get(&mark(s)) {
            *votes.entry(seq.0.wrapping_sub(s.seq.0)).or_default() += 1;
        }
    }
    let most = || {
        votes
            .iter()
            .max_by_key(|(shift, n)| (**n, std::cmp::Reverse(**shift)))
            .map(|(shift, _)| *shift)
    };
    let Some(shift) = wanted.or_else(most) else {
        return Alike::default();
    };
    let there: HashMap<SeqNum, (u32, u32)> = first_data(b).map(|s| (s.seq, mark(s))).collect();
    let short = |mark: (u32, u32)| mark.0 <= MESSAGE;
    let others = first_data(a).filter(|s| {
        there
            .get(&s.seq.plus(shift))
            .is_some_and(|m| *m != mark(s) && short(*m) && short(mark(s)))
    });
    Alike {
        shift: Some(shift),
        alike: votes.get(&shift).copied().unwrap_or_default(),
        others: others.count(),
    }
}

fn first_data(half: &Half) -> impl Iterator<Item = &Sighting> {
    half.segments
        .iter()
        .filter(|s| s.payload() > 0 && s.is_whole())
        .take(LOOKED_AT)
}

/// Marks of a connection: its telling payloads, by direction and place in the stream.
fn marks(c: &Connection) -> Vec<u64> {
    let mut marks = Vec::new();
    for of_client in [true, false] {
        let half = c.half(of_client);
        let Some(base) = half
            .syn()
            .map(|s| s.seq)
            .or(half.segments.first().map(|s| s.seq))
        else {
            continue;
        };
        for s in first_data(half).filter(|s| s.payload() >= TELLING) {
            let mut hasher = DefaultHasher::new();
            (
                of_client,
                s.payload(),
                s.digest,
                half.syn().map(|_| base.distance_to(s.seq)),
            )
                .hash(&mut hasher);
            marks.push(hasher.finish());
        }
    }
    marks
}
