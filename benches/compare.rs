//! Two sides of one path: a capture of the project, from its file to the fates of its segments, compared with itself.
#![allow(missing_docs)]

use std::hint::black_box;
use std::path::Path;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tcptriage::pipeline::{Settings, fates};

fn compare(c: &mut Criterion) {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("captures/exchange2007-nic-team/capture.pcapng");
    let octets = std::fs::metadata(&path).map_or(0, |m| m.len());
    let side = [path.display().to_string()];
    let mut group = c.benchmark_group("compare");
    group.sample_size(20);
    group.throughput(Throughput::Bytes(octets * 2));
    for (name, jobs) in [("one_job", Some(1)), ("all_jobs", None)] {
        let settings = Settings {
            jobs,
            ..Settings::default()
        };
        group.bench_function(name, |b| {
            b.iter(|| {
                let mut segments = 0_u64;
                let done = fates(&settings, [&side, &side], &mut |f| segments += f.segments);
                black_box((done.is_ok(), segments))
            });
        });
    }
    group.finish();
}

criterion_group!(benches, compare);
criterion_main!(benches);
