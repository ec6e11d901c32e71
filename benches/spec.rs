//! Price of one event in the reference model, by how much is already live.
//!
//! The model is written to be read: it scans. These figures say how many steps a search, a
//! simulation or a replay can afford.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use mailbus_benches::{acquire, path, release};
use mailbus_spec::lease::{Command, LeaseMachine, Outcome};
use mailbus_spec::machine::Event;
use mailbus_spec::{HostTime, Ordinal, StateMachine};

const NOON: HostTime = HostTime(1_800_000_000_000);

/// A workspace in which `live` holders each hold a path of their own.
fn workspace(live: u64) -> LeaseMachine {
    let mut machine = LeaseMachine::default();
    for n in 0..live {
        machine.handle(NOON, &Event::Command(acquire(n, 0)));
    }
    machine
}

fn token_of(machine: &mut LeaseMachine, command: Command) -> Option<Ordinal> {
    match machine.handle(NOON, &Event::Command(command)).reply?.answer {
        Ok(Outcome::Granted { token, .. }) => Some(token),
        _ => None,
    }
}

fn steps(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("spec");
    for live in [0, 16, 256] {
        let machine = workspace(live);
        group.throughput(Throughput::Elements(2));
        group.bench_function(BenchmarkId::new("acquire and release", live), |bencher| {
            bencher.iter(|| {
                let mut machine = machine.clone();
                if let Some(token) = token_of(&mut machine, acquire(live, 1)) {
                    machine.handle(NOON, &Event::Command(release(live, token)));
                }
                black_box(machine)
            });
        });
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::new("status", live), |bencher| {
            let mut machine = machine.clone();
            let status = Event::Command(Command::Status { path: path(0) });
            bencher.iter(|| black_box(machine.handle(NOON, black_box(&status))));
        });
    }
    group.finish();
}

criterion_group!(benches, steps);
criterion_main!(benches);
