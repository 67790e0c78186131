//! All stages: a capture of the project from its file to the finished report, with one job and with as many as are of use.
#![allow(missing_docs)]

use std::hint::black_box;
use std::path::Path;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tcptriage::pipeline::{Settings, analyze};

fn whole_file(c: &mut Criterion) {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("captures/exchange2007-nic-team/capture.pcapng");
    let octets = std::fs::metadata(&path).map_or(0, |m| m.len());
    let mut group = c.benchmark_group("whole_file");
    group.sample_size(20);
    group.throughput(Throughput::Bytes(octets));
    for (name, jobs) in [("one_job", Some(1)), ("all_jobs", None)] {
        let settings = Settings {
            captures: vec![path.display().to_string()],
            jobs,
            ..Settings::default()
        };
        group.bench_function(name, |b| {
            b.iter(|| black_box(analyze(&settings).is_ok()));
        });
    }
    group.finish();
}

criterion_group!(benches, whole_file);
criterion_main!(benches);
