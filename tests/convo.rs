//! The conversation builder keeps its promises: numbers over the wrap, fates, repeats, SACK, checksums.
#![allow(clippy::unwrap_used)]

mod support;

use support::convo::{C2S, Convo, S2C, Step};
use support::scene::{Scene, pcap};
use support::wire::{Checksum, fold, sum};

/// Sequence and acknowledgement number of each step.
fn numbers(convo: Convo) -> Vec<(u32, u32)> {
    let steps = convo.steps();
    steps.iter().map(|s| (s.packet.seq, s.packet.ack)).collect()
}

#[test]
fn both_sides_numbers_are_kept() {
    // The client's ISN is 2^32 - 6, the server's 1000.
    let open = || Convo::new().handshake();
    let handshake = [
        (u32::MAX - 5, 0),
        (1_000, u32::MAX - 4),
        (u32::MAX - 4, 1_001),
    ];
    for (name, convo, want) in [
        ("handshake", open(), &[][..]),
        (
            "over the wrap",
            open().send(C2S, b"0123456789").ack(S2C).send(C2S, b"x"),
            &[(u32::MAX - 4, 1_001), (1_001, 5), (5, 1_001)],
        ),
        (
            "what is lost is not acknowledged",
            open().send(C2S, b"0123456789").lost().ack(S2C),
            &[(u32::MAX - 4, 1_001), (1_001, u32::MAX - 4)],
        ),
        (
            "what the capture missed is",
            open().send(C2S, b"0123456789").unseen().ack(S2C),
            &[(u32::MAX - 4, 1_001), (1_001, 5)],
        ),
        (
            "a repeat of what came after the hole leaves it open",
            open()
                .send(C2S, b"0123456789")
                .lost()
                .send(C2S, b"x")
                .ack(S2C)
                .repeat(C2S)
                .ack(S2C),
            &[
                (u32::MAX - 4, 1_001),
                (5, 1_001),
                (1_001, u32::MAX - 4),
                (5, 1_001),
                (1_001, u32::MAX - 4),
            ],
        ),
        (
            "again",
            open()
                .send(C2S, b"0123456789")
                .lost()
                .wait_ms(300)
                .again()
                .ack(S2C),
            &[(u32::MAX - 4, 1_001), (u32::MAX - 4, 1_001), (1_001, 5)],
        ),
        (
            "FIN takes a number",
            open().close(C2S),
            &[
                (u32::MAX - 4, 1_001),
                (1_001, u32::MAX - 3),
                (1_001, u32::MAX - 3),
                (u32::MAX - 3, 1_002),
            ],
        ),
    ] {
        let all = numbers(convo);
        assert_eq!(all[..3], handshake, "{name}");
        assert_eq!(&all[3..], want, "{name}");
    }
}

#[test]
fn sack_blocks_name_what_came_beyond_the_hole() {
    let steps = Convo::new()
        .isn(99, 499)
        .handshake()
        .send(C2S, &[0; 10])
        .lost()
        .send(C2S, &[0; 10])
        .ack(S2C)
        .send(C2S, &[0; 10])
        .lost()
        .send(C2S, &[0; 10])
        .ack(S2C)
        .steps();
    let options = |step: &Step| step.packet.options.clone();
    assert_eq!(
        options(&steps[5]),
        [1, 1, 5, 10, 0, 0, 0, 110, 0, 0, 0, 120]
    );
    assert_eq!(
        options(&steps[8]),
        [
            1, 1, 5, 18, 0, 0, 0, 130, 0, 0, 0, 140, 0, 0, 0, 110, 0, 0, 0, 120
        ]
    );
}

#[test]
fn checksum_fields_hold_what_was_asked_for() {
    for (asked, payload) in [
        (Checksum::Good, &b"even"[..]),
        (Checksum::Good, b"odd"),
        (Checksum::UnfilledPartial, b"odd"),
        (Checksum::UnfilledLso, b"odd"),
        (Checksum::Zero, b"odd"),
        (Checksum::Wrong, b"odd"),
    ] {
        let steps = Convo::new()
            .handshake()
            .send(C2S, payload)
            .checksum(asked)
            .steps();
        let frame = steps[3].packet.frame(1);
        let tcp = &frame[34..54 + payload.len()];
        let field = u16::from_be_bytes([tcp[16], tcp[17]]);
        let addresses = sum(&frame[26..34]) + 6;
        let length = tcp.len() as u64;
        let is_good = fold(addresses + length + sum(tcp)) == 0xffff;
        assert_eq!(is_good, asked == Checksum::Good, "{asked:?}");
        match asked {
            Checksum::UnfilledPartial => assert_eq!(field, fold(addresses + length)),
            Checksum::UnfilledLso => assert_eq!(field, fold(addresses)),
            Checksum::Zero => assert_eq!(field, 0),
            Checksum::Good | Checksum::Wrong => assert_ne!(field, fold(addresses + length)),
        }
    }
}

#[test]
fn conversations_are_put_in_order_of_time() {
    let mut scene = Scene::new();
    scene.add(Convo::new().at(5_000_000).send(C2S, b"second"));
    scene.add(
        Convo::new()
            .at(1_000_000)
            .send(C2S, b"first")
            .send(C2S, b"missed")
            .unseen(),
    );
    let frames = scene.frames();
    let texts: Vec<_> = frames.iter().map(|f| &f.octets[54..59]).collect();
    assert_eq!(texts, [b"first", b"secon"]);
    // One counter a host: the frame that the capture missed has used a number up.
    let id = |n: usize| u16::from_be_bytes([frames[n].octets[18], frames[n].octets[19]]);
    assert_eq!(id(1).wrapping_sub(id(0)), 2);
    assert_eq!(
        pcap(&frames).len(),
        24 + 2 * 16 + frames[0].octets.len() + frames[1].octets.len()
    );
}
