//! The captures in `captures/` that the project makes itself, as octets: `cargo run --example make_captures` writes them,
//! `tests/captures.rs` holds the committed files to them.

pub mod dialogs;
pub mod exchange2007;
pub mod random;
pub mod two_points;

/// A capture that is made here: name of its folder in `captures/`, and its octets.
pub type Made = (&'static str, fn() -> Vec<u8>);

/// All of them. Each folder holds a `capture.pcapng`.
pub const ALL: &[Made] = &[
    ("exchange2007-after", exchange2007::after),
    ("exchange2007-nic-team", || {
        exchange2007::sick(exchange2007::Variant::Unfilled)
    }),
    ("exchange2007-nic-team-wrong-checksum", || {
        exchange2007::sick(exchange2007::Variant::Wrong)
    }),
];
