//! Flow stage: segments to the lives of connections.
#![allow(missing_docs)]

#[path = "../tests/support/mod.rs"]
mod support;

mod inputs;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tcptriage::flow::{FlowTable, Limits};

fn flow(c: &mut Criterion) {
    let mut group = c.benchmark_group("flow");
    group.sample_size(20);
    for (name, frames) in [
        ("1x10000_bulk", inputs::bulk(10_000, 1_000)),
        ("1000x50_interleaved", inputs::interleaved(1_000, 50)),
        ("20000_syn_flood", inputs::syn_flood(20_000)),
    ] {
        let batches = inputs::segments(frames);
        let count: usize = batches.iter().map(|b| b.segments.len()).sum();
        group.throughput(Throughput::Elements(count as u64));
        let mut observed = Vec::new();
        group.bench_function(name, |b| {
            b.iter(|| {
                let mut table = FlowTable::new(Limits::default());
                for batch in &batches {
                    table.push(batch, &mut observed);
                    observed.clear();
                }
                while table.finish(&mut observed) {
                    black_box(observed.len());
                    observed.clear();
                }
                observed.clear();
            });
        });
    }
    group.finish();
}

criterion_group!(benches, flow);
criterion_main!(benches);
