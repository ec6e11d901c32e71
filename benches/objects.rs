//! Price of one event on the production lease object, natively: in memory, on disk, and on disk
//! with a flush shared by 1, 16 and 64 events that arrive together.
//!
//! Every event is an HTTP request with its JSON, writes one row, and is answered. The ratio between
//! the groups is what group flush is worth on this disk.

use std::hint::black_box;
use std::rc::Rc;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use futures_util::future::join_all;
use mailbus_benches::clock::TickingClock;
use mailbus_spec::Workspace;
use mailbus_worker::lease::ProductionLeaseObject;
use mailbus_worker::native::sockets::Sockets;
use mailbus_worker::native::sqlite::Database;
use mailbus_worker::native::{
    Arrival, Completion, Databases, FileDatabases, HostClock, Instance, MemoryDatabases, Namespace,
    NamespaceSettings, Objects,
};
use mailbus_worker::object::{Body, Request};

/// Agent `n` renews its file as the original's clients do, by acquiring it again.
fn renewal(n: usize) -> String {
    format!(r#"{{"file":"src/module_{n}.rs","agentId":"agent-{n}","ttlMs":60000}}"#)
}

fn acquire(body: &str) -> Arrival<'_> {
    let body = Body::Whole(body.as_bytes());
    Arrival::Request(Request { method: "POST", action: "acquire", query: "", upgrade: false, body })
}

fn instances(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let databases = [
        ("in memory", Database::in_memory()),
        ("on disk, unflushed", Database::in_file(&folder.path().join("bench.sqlite"))),
    ];
    let mut group = criterion.benchmark_group("instance");
    group.throughput(Throughput::Elements(1));
    for (name, database) in databases {
        let database = database.expect("a database");
        let mut instance =
            Instance::open(database, Sockets::default(), ProductionLeaseObject::wake)
                .expect("an object");
        let clock = TickingClock::default();
        let body = renewal(0);
        group.bench_function(name, |bencher| {
            bencher
                .iter(|| black_box(instance.deliver(clock.now(), &acquire(&body)).expect("done")));
        });
    }
    group.finish();
}

fn groups(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let workspace = Workspace::new("bench").expect("a plain name");
    let on_disk = FileDatabases::in_folder(folder.path()).expect("a folder of databases");
    let kinds: [(&str, Rc<dyn Databases>); 2] =
        [("in memory", Rc::new(MemoryDatabases::new())), ("on disk", Rc::new(on_disk))];
    for (kind, databases) in kinds {
        let clock = Rc::new(TickingClock::default());
        let settings = NamespaceSettings::default();
        let namespace = Namespace::new(clock, databases, settings, ProductionLeaseObject::wake);
        let mut group = criterion.benchmark_group(format!("group flush, {kind}"));
        for size in [1, 16, 64] {
            let bodies: Vec<String> = (0..size).map(renewal).collect();
            group.throughput(Throughput::Elements(size as u64));
            group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
                let local = tokio::task::LocalSet::new();
                bencher.iter(|| {
                    runtime.block_on(local.run_until(async {
                        let submit = |body: &String| namespace.submit(&workspace, &acquire(body));
                        for completion in join_all(bodies.iter().map(submit)).await {
                            let answered = matches!(&completion, Ok(Completion::Answered(response)) if response.status == 200);
                            assert!(answered, "{completion:?}");
                        }
                    }));
                });
            });
        }
        group.finish();
    }
}

criterion_group!(benches, instances, groups);
criterion_main!(benches);
