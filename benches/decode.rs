//! Decode stage: frames of one bulk transfer to segments, checksums and all.
#![allow(missing_docs)]

#[path = "../tests/support/mod.rs"]
mod support;

mod inputs;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tcptriage::decode::{Decoder, SegmentBatch};

fn decode(c: &mut Criterion) {
    let mut group = c.benchmark_group("decode");
    // 54 octets of headers, and payload up to the length of the frame.
    for (name, frame) in [("66_octets", 66), ("1500_octets", 1_500)] {
        let filled = inputs::frames(inputs::bulk(2_000, frame - 54));
        let count = filled.frames.len() as u64;
        group.throughput(Throughput::Elements(count));
        let (mut decoder, mut out) = (Decoder::new(0), SegmentBatch::default());
        let mut batch = filled.clone();
        group.bench_function(name, |b| {
            b.iter(|| {
                batch.frames.clone_from(&filled.frames);
                decoder.push(&mut batch, &mut out);
                black_box(out.segments.len());
                // The octets went over to the segments; they are used again.
                std::mem::swap(&mut batch.octets, &mut out.octets);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
