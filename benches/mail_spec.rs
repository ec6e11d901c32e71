//! Price of one event on mail in the reference model, by who is connected and by how much it keeps.
//!
//! The model is written to be read: it scans. These figures say how many steps a search, a
//! simulation or a replay can afford.

use std::hint::black_box;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use mailbus_benches::clock::NOON;
use mailbus_benches::mail::{agent, connect, publish, settle};
use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::{Ask, Command, MailboxMachine, Outcome};
use mailbus_spec::{HostTime, Ordinal, StateMachine};

fn told(machine: &mut MailboxMachine, command: Command) -> Outcome {
    let step = machine.handle(HostTime(NOON), &Event::Command(command));
    step.reply.expect("a command is answered").answer.expect("nothing is in the way")
}

/// A workspace with that many connected agents, and their epochs.
fn workspace(connected: u64) -> (MailboxMachine, Vec<Ordinal>) {
    let mut machine = MailboxMachine::default();
    let mut connect = |n| match told(&mut machine, connect(n)) {
        Outcome::Connected { epoch, .. } => epoch,
        other => panic!("{other:?}"),
    };
    let epochs = (0..connected).map(&mut connect).collect();
    (machine, epochs)
}

fn accepted(outcome: Outcome) -> Ordinal {
    match outcome {
        Outcome::Accepted { seq, .. } => seq,
        other => panic!("{other:?}"),
    }
}

/// One message to everybody, and everybody settles it.
fn by_recipients(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("mail spec, by recipients");
    for connected in [1, 16, 128] {
        let (machine, epochs) = workspace(connected);
        group.throughput(Throughput::Elements(connected + 1));
        group.bench_function(BenchmarkId::new("publish and settle", connected), |bencher| {
            let fresh = || machine.clone();
            let routine = |mut machine: MailboxMachine| {
                let seq = accepted(told(&mut machine, publish(1)));
                for (n, epoch) in (0..).zip(&epochs) {
                    told(&mut machine, settle(n, *epoch, seq));
                }
                machine
            };
            bencher.iter_batched(fresh, routine, BatchSize::SmallInput);
        });
    }
    group.finish();
}

/// One message that one agent settles, by how many settled ones the log still keeps.
fn by_log(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("mail spec, by log");
    for kept in [0, 256, 4_096] {
        let (mut machine, epochs) = workspace(1);
        for number in 0..kept {
            let seq = accepted(told(&mut machine, publish(number)));
            told(&mut machine, settle(0, epochs[0], seq));
        }
        group.throughput(Throughput::Elements(2));
        group.bench_function(BenchmarkId::new("publish and settle", kept), |bencher| {
            let fresh = || machine.clone();
            let routine = |mut machine: MailboxMachine| {
                let seq = accepted(told(&mut machine, publish(kept)));
                told(&mut machine, settle(0, epochs[0], seq));
                machine
            };
            bencher.iter_batched(fresh, routine, BatchSize::SmallInput);
        });
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::new("inbox", kept), |bencher| {
            let mut machine = machine.clone();
            let ask = Ask::Inbox { agent: agent(0), after: Ordinal::ZERO, limit: 100 };
            let inbox = Event::Command(Command::alone(ask));
            bencher.iter(|| black_box(machine.handle(HostTime(NOON), black_box(&inbox))));
        });
    }
    group.finish();
}

criterion_group!(benches, by_recipients, by_log);
criterion_main!(benches);
