//! In which manner replies are late: the same pause each time, a staircase, a reply that is held back.
//!
//! Takes:  the late replies of one server, less what the network took of them
//! Gives:  a [`Pattern`]: which of them share the manner, how long it is, and how sure
//! Never:  looks at flows; words a finding (`smtp_late`)

use std::borrow::Cow;

use super::smtp_reply::Maker;
use super::trace::Place;
use super::wait::{Acknowledged, median};
use crate::net::{FrameNo, Timestamp};
use crate::proto::SmtpPhase;

/// A set pause holds to within so many seconds.
const STEADY: f64 = 0.3;
/// Exchange's tarpit, and the step of its back pressure.
const FIVE: f64 = 5.0;
/// Refusals that show a pause of any other length to be set.
const FIXED_REFUSALS: usize = 3;
/// Least such pause: Postfix sleeps a second.
const LEAST_PAUSE: f64 = 0.9;
/// Exchange 2010 holds a 250 so long at most.
const MAX_HOLD: f64 = 30.0;
/// So near to it a reply counts as piled up.
pub(super) const PILE: f64 = 1.0;
/// Least hold that is worth a word without a pile-up.
const MIN_HOLD: f64 = 1.0;
/// A 250 of an unknown server counts as held back on purpose from here, if its other replies are prompt.
const HOLD_OF_UNKNOWN: f64 = 2.0;

/// A late reply.
#[derive(Clone, Debug)]
pub(super) struct Late {
    pub(super) place: Place,
    pub(super) phase: SmtpPhase,
    pub(super) verb: Cow<'static, str>,
    pub(super) code: Option<u16>,
    pub(super) enhanced: Option<[u16; 3]>,
    pub(super) text: String,
    pub(super) seconds: f64,
    pub(super) acknowledged: Acknowledged,
    pub(super) authenticated: bool,
    /// Whether something had been refused in this session before.
    pub(super) after_refusal: bool,
    pub(super) inferred: bool,
    pub(super) sent: Timestamp,
    pub(super) replied: Timestamp,
    pub(super) frame: FrameNo,
    pub(super) reply_frame: FrameNo,
}

impl Late {
    pub(super) fn is_refusal(&self) -> bool {
        self.code.is_some_and(|code| code >= 400)
    }
}

/// Late replies that share a manner.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pattern {
    /// Length that stands for it.
    pub(super) seconds: f64,
    pub(super) confidence: f64,
    /// Places in the list that was looked at, ascending.
    pub(super) members: Vec<usize>,
}

/// A set pause before refusals. `prompt` replies of the same server were not late.
pub(super) fn tarpit(late: &[Late], prompt: u64) -> Option<Pattern> {
    let near = |s: f64, to: f64| (s - to).abs() <= STEADY;
    let refusals: Vec<usize> = of(late, Late::is_refusal);
    let accepted = of(late, |l| !l.is_refusal() && l.phase != SmtpPhase::EndOfData);
    // A server that is as late with what it accepts is slow, and delays nothing on purpose.
    let alike = |pause: f64| {
        accepted
            .iter()
            .filter(|&&n| late[n].seconds > pause / 2.0)
            .count()
    };
    let strangers = of(late, |l| {
        !l.is_refusal() && l.phase == SmtpPhase::Rcpt && !l.authenticated && near(l.seconds, FIVE)
    });
    let fives: Vec<usize> = refusals
        .iter()
        .copied()
        .filter(|&n| near(late[n].seconds, FIVE) && !late[n].authenticated)
        .collect();
    if !fives.is_empty()
        && fives.len() * 2 >= refusals.len()
        && alike(FIVE).saturating_sub(strangers.len()) < fives.len()
    {
        let confidence = match fives.len() {
            1 => 0.7,
            2 => 0.85,
            _ => 0.94,
        };
        return Some(pattern(late, FIVE, confidence, [fives, strangers].concat()));
    }
    let mut seconds: Vec<f64> = refusals.iter().map(|&n| late[n].seconds).collect();
    let pause = median(&mut seconds);
    let holds = |l: &Late| near(l.seconds, pause) && (l.seconds - pause).abs() <= pause * 0.15;
    // Postfix sleeps before whatever follows in a session with errors, be it accepted.
    let followed = of(late, |l| {
        !l.is_refusal() && l.after_refusal && l.phase != SmtpPhase::EndOfData && holds(l)
    });
    let members: Vec<usize> = refusals
        .iter()
        .copied()
        .filter(|&n| holds(&late[n]))
        .collect();
    if members.len() >= FIXED_REFUSALS
        && members.len() * 5 >= refusals.len() * 4
        && pause >= LEAST_PAUSE
        && alike(pause).saturating_sub(followed.len()) * 2 < members.len()
        && prompt > 0
    {
        return Some(pattern(late, pause, 0.75, [members, followed].concat()));
    }
    // Pauses before recipients that are then accepted.
    (strangers.len() >= FIXED_REFUSALS && alike(FIVE) == strangers.len() && prompt > 0)
        .then(|| pattern(late, FIVE, 0.55, strangers))
}

/// Answers to MAIL in steps of five seconds from ten on, or plain words.
pub(super) fn back_pressure(late: &[Late], shortages: u64) -> Option<Pattern> {
    let step = |s: f64| {
        let n = (s / FIVE).round();
        ((2.0..=11.0).contains(&n) && (s - n * FIVE).abs() <= STEADY + 0.2).then_some(n)
    };
    let members = of(late, |l| {
        l.phase == SmtpPhase::Mail && !l.is_refusal() && step(l.seconds).is_some()
    });
    let mut heights: Vec<f64> = members
        .iter()
        .filter_map(|&n| step(late[n].seconds))
        .collect();
    heights.sort_by(f64::total_cmp);
    let top = heights.last().copied().unwrap_or(0.0) * FIVE;
    heights.dedup();
    let confidence = match (shortages, heights.len(), members.len()) {
        (1.., _, _) => 0.95,
        (0, 2.., _) => 0.9,
        (0, 1, 2..) => 0.6,
        _ => return None,
    };
    Some(pattern(late, top, confidence, members))
}

/// Replies to the end of data that are held back.
pub(super) fn held_back(late: &[Late], maker: Maker, prompt: u64) -> Option<Pattern> {
    if maker == Maker::Other {
        return None;
    }
    let members = of(late, |l| {
        l.phase == SmtpPhase::EndOfData
            && !l.is_refusal()
            && (MIN_HOLD..=MAX_HOLD + PILE).contains(&l.seconds)
    });
    let mut seconds: Vec<f64> = members.iter().map(|&n| late[n].seconds).collect();
    let middle = median(&mut seconds);
    let longest = seconds.last().copied()?;
    let at = |value: f64, within: f64| {
        seconds
            .iter()
            .filter(|s| (**s - value).abs() <= within)
            .count()
    };
    let exchange = matches!(maker, Maker::Exchange { .. });
    let pile = at(MAX_HOLD, PILE);
    if pile > 0 {
        let confidence = if exchange { 0.9 } else { 0.8 } + if pile > 2 { 0.05 } else { 0.0 };
        return Some(pattern(late, MAX_HOLD, confidence, members));
    }
    // Other late replies than these make it a slow server.
    let others = late.len() - members.len();
    if others * 2 > members.len() || prompt == 0 {
        return None;
    }
    let shorter = at(longest, longest * 0.03);
    if shorter >= 3 && longest >= FIVE {
        return Some(pattern(
            late,
            longest,
            if exchange { 0.85 } else { 0.7 },
            members,
        ));
    }
    let confidence = match maker {
        Maker::Exchange { is_2010: true, .. } => 0.8,
        Maker::Exchange { .. } => 0.6,
        _ if middle >= HOLD_OF_UNKNOWN => 0.45,
        _ => return None,
    };
    Some(pattern(late, middle, confidence, members))
}

fn of(late: &[Late], is: impl Fn(&Late) -> bool) -> Vec<usize> {
    late.iter()
        .enumerate()
        .filter(|(_, l)| is(l))
        .map(|(n, _)| n)
        .collect()
}

/// Where hardly any request was seen acknowledged, nothing is sure.
fn pattern(late: &[Late], seconds: f64, confidence: f64, mut members: Vec<usize>) -> Pattern {
    members.sort_unstable();
    let acknowledged = members
        .iter()
        .filter(|&&n| late[n].acknowledged.is_seen())
        .count();
    let confidence = if acknowledged * 2 < members.len() {
        confidence - 0.2
    } else {
        confidence
    };
    Pattern {
        seconds,
        confidence,
        members,
    }
}

/// Those that are members, and the rest.
pub(super) fn split(late: Vec<Late>, members: Option<&[usize]>) -> (Vec<Late>, Vec<Late>) {
    let Some(members) = members else {
        return (Vec::new(), late);
    };
    let (inside, outside): (Vec<_>, Vec<_>) = late
        .into_iter()
        .enumerate()
        .partition(|(n, _)| members.binary_search(n).is_ok());
    let plain = |list: Vec<(usize, Late)>| list.into_iter().map(|(_, l)| l).collect();
    (plain(inside), plain(outside))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    /// A late reply: phase, code, seconds.
    fn late(list: &[(SmtpPhase, u16, f64)]) -> Vec<Late> {
        list.iter()
            .enumerate()
            .map(|(n, &(phase, code, seconds))| Late {
                place: Place {
                    flow: 0,
                    capture: 0,
                    client: Ipv4Addr::new(192, 0, 2, 1).into(),
                    server: Ipv4Addr::new(192, 0, 2, 2).into(),
                },
                phase,
                verb: "RCPT".into(),
                code: Some(code),
                enhanced: None,
                text: String::new(),
                seconds,
                acknowledged: Acknowledged::AtOnce,
                authenticated: false,
                after_refusal: list[..n].iter().any(|(_, code, _)| *code >= 400),
                inferred: false,
                sent: Timestamp(0),
                replied: Timestamp(0),
                frame: FrameNo(1),
                reply_frame: FrameNo(2),
            })
            .collect()
    }

    const EXCHANGE: Maker = Maker::Exchange {
        is_2010: false,
        is_later: false,
    };

    #[test]
    fn tarpits() {
        use SmtpPhase::{Auth, EndOfData, Mail, Rcpt};
        for (name, list, prompt, want) in [
            (
                "one refusal at five seconds",
                &[(Rcpt, 550, 5.01)][..],
                4,
                Some((5.0, 1)),
            ),
            ("not at six", &[(Rcpt, 550, 6.0)], 4, None),
            (
                "three of one length, whatever it is",
                &[(Rcpt, 550, 2.0), (Rcpt, 550, 2.02), (Rcpt, 550, 1.99)],
                4,
                Some((2.0, 3)),
            ),
            (
                "three of three lengths",
                &[(Rcpt, 550, 2.0), (Rcpt, 550, 3.1), (Rcpt, 550, 4.2)],
                4,
                None,
            ),
            (
                "what is accepted is as late",
                &[(Rcpt, 550, 5.0), (Mail, 250, 5.1), (Mail, 250, 4.8)],
                0,
                None,
            ),
            (
                "the 250 to a message says nothing",
                &[(Rcpt, 550, 5.0), (EndOfData, 250, 9.0)],
                3,
                Some((5.0, 1)),
            ),
            (
                "failed logons",
                &[(Auth, 535, 5.0), (Auth, 535, 5.1)],
                3,
                Some((5.0, 2)),
            ),
            (
                "recipients that are accepted",
                &[(Rcpt, 250, 5.0), (Rcpt, 250, 5.0), (Rcpt, 250, 5.1)],
                3,
                Some((5.0, 3)),
            ),
            (
                "two of them are chance",
                &[(Rcpt, 250, 5.0), (Rcpt, 250, 5.0)],
                3,
                None,
            ),
            (
                "Postfix sleeps a second",
                &[(Rcpt, 550, 1.0), (Rcpt, 550, 1.0), (Rcpt, 550, 1.01)],
                9,
                Some((1.0, 3)),
            ),
            (
                "or before what follows, too",
                &[
                    (Rcpt, 550, 2.0),
                    (Rcpt, 550, 2.0),
                    (Rcpt, 550, 2.0),
                    (Rcpt, 250, 2.0),
                    (Mail, 250, 2.0),
                ],
                3,
                Some((2.0, 5)),
            ),
            (
                "but what came before it is as late",
                &[
                    (Mail, 250, 2.0),
                    (Mail, 250, 2.0),
                    (Rcpt, 550, 2.0),
                    (Rcpt, 550, 2.0),
                    (Rcpt, 550, 2.0),
                ],
                3,
                None,
            ),
            ("nothing", &[], 3, None),
        ] {
            let found = tarpit(&late(list), prompt);
            let got = found.map(|p| ((p.seconds * 10.0).round() / 10.0, p.members.len()));
            assert_eq!(got, want, "{name}");
        }
    }

    #[test]
    fn staircases() {
        use SmtpPhase::{Mail, Rcpt};
        for (name, list, shortages, want) in [
            (
                "it grows",
                &[(Mail, 250, 10.1), (Mail, 250, 15.0), (Mail, 250, 20.2)][..],
                0,
                Some(0.9),
            ),
            (
                "it stays",
                &[(Mail, 250, 10.0), (Mail, 250, 10.1)],
                0,
                Some(0.6),
            ),
            ("one is chance", &[(Mail, 250, 10.0)], 0, None),
            (
                "five is a tarpit's",
                &[(Mail, 250, 5.0), (Mail, 250, 5.0)],
                0,
                None,
            ),
            (
                "off the steps",
                &[(Mail, 250, 12.4), (Mail, 250, 17.2)],
                0,
                None,
            ),
            (
                "not at MAIL",
                &[(Rcpt, 250, 10.0), (Rcpt, 250, 15.0)],
                0,
                None,
            ),
            ("in plain words", &[], 2, Some(0.95)),
        ] {
            let got = back_pressure(&late(list), shortages).map(|p| p.confidence);
            assert_eq!(got, want, "{name}");
        }
    }

    #[test]
    fn holds() {
        use SmtpPhase::{EndOfData, Rcpt};
        let end = |s: f64| (EndOfData, 250, s);
        for (name, list, maker, prompt, want) in [
            (
                "pile-up at thirty",
                &[end(30.0)][..],
                Maker::Unknown,
                5,
                Some(30.0),
            ),
            ("beyond thirty is no hold", &[end(45.0)], EXCHANGE, 5, None),
            (
                "shorter ones of Exchange",
                &[end(4.0), end(9.0), end(7.0)],
                EXCHANGE,
                5,
                Some(7.0),
            ),
            (
                "a pile-up elsewhere",
                &[end(15.0), end(15.1), end(15.0), end(3.0)],
                EXCHANGE,
                5,
                Some(15.1),
            ),
            (
                "Postfix has a filter there",
                &[end(30.0)],
                Maker::Other,
                5,
                None,
            ),
            (
                "a second of an unknown server",
                &[end(1.2)],
                Maker::Unknown,
                5,
                None,
            ),
            (
                "all replies are late",
                &[end(4.0), (Rcpt, 250, 3.0), (Rcpt, 250, 3.0)],
                EXCHANGE,
                5,
                None,
            ),
            (
                "a refusal is none",
                &[(EndOfData, 550, 30.0)],
                EXCHANGE,
                5,
                None,
            ),
            ("nothing", &[], EXCHANGE, 5, None),
        ] {
            let got = held_back(&late(list), maker, prompt).map(|p| p.seconds);
            assert_eq!(got, want, "{name}");
        }
    }
}
