//! Goal: workspaces are spread over event loops, and nobody notices: not their order of events, not
//! their sockets, not their alarms; but what overloads a loop is refused, and a loop that ends is the
//! end of all.
//!
//! Method: two loops on one thread, so that the order of everything is the test's; and real threads
//! where the end of one is looked at.

mod support;

use std::num::NonZeroUsize;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt;
use mailbus_spec::Workspace;
use mailbus_worker::native::loops::{self, CROSSINGS_MAX, Stop};
use mailbus_worker::native::{
    Arrival, Classes, Completion, Databases, EventLoop, MemoryDatabases, Namespace,
    NamespaceSettings, Objects, Outgoing, OwnDatabases,
};
use mailbus_worker::router::Class;
use support::clock::ManualClock;
use support::http::within_a_minute;
use support::toy::{Toy, request};
use support::{on_event_loop, settle, workspace};

fn loops(count: usize) -> Vec<EventLoop> {
    EventLoop::several(NonZeroUsize::new(count).unwrap())
}

/// One of two loops: its toys, and all toys as its connections see them.
struct Side {
    toys: Namespace<Toy>,
    all: Rc<dyn Objects>,
    handle: Option<futures_util::future::LocalBoxFuture<'static, ()>>,
}

impl Side {
    fn new(event_loop: EventLoop, databases: &MemoryDatabases) -> Self {
        let own = OwnDatabases::new(databases.clone(), event_loop.place());
        let clock = Rc::new(ManualClock::default());
        let settings = NamespaceSettings::default();
        let toys = Namespace::new(clock, Rc::new(own), settings, Toy::wake);
        let own: Rc<dyn Objects> = Rc::new(toys.clone());
        let (all, handle) = event_loop.join(Classes::from([(Class::Lease, own)]));
        let all = Rc::clone(&all[&Class::Lease]);
        Self { toys, all, handle: Some(handle.boxed_local()) }
    }

    /// Handles from now on what comes from the other.
    fn run(&mut self) {
        tokio::task::spawn_local(self.handle.take().unwrap());
    }

    fn sockets(&self, workspace: &Workspace) -> usize {
        self.toys.with(workspace, |object| object.sockets().len()).unwrap()
    }
}

/// Two loops, and a workspace of each.
fn two() -> ([Side; 2], [Workspace; 2]) {
    let databases = MemoryDatabases::new();
    let both = loops(2);
    let of = |event_loop: &EventLoop| {
        let place = event_loop.place().clone();
        let mut names = (0..).map(|n| workspace(&format!("w{n}")));
        names.find(|name| place.owns(name)).unwrap()
    };
    let workspaces = [of(&both[0]), of(&both[1])];
    let sides: Vec<_> = both.into_iter().map(|one| Side::new(one, &databases)).collect();
    (sides.try_into().ok().unwrap(), workspaces)
}

fn body(completion: Completion) -> String {
    match completion {
        Completion::Answered(response) => response.body,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_workspace_lives_on_the_same_loop_in_every_process() {
    let four = loops(4);
    let index = |name: &str| {
        let own = four.iter().filter(|one| one.place().owns(&workspace(name)));
        let own: Vec<_> = own.map(|one| one.place().index()).collect();
        let [index] = own[..] else { panic!("{name}: {own:?}") };
        index
    };
    let found = ["a", "w", "global-mailbox", "project:1", "Z"].map(index);
    assert_eq!(found, [0, 2, 3, 3, 1], "arbitrary, and the same for ever");
    let mut each = [0; 4];
    (0..4_000).for_each(|n| each[index(&format!("workspace-{n}"))] += 1);
    assert!(each.iter().all(|workspaces| (800..1_200).contains(workspaces)), "{each:?}");
}

#[test]
fn events_find_their_loop_and_their_outcomes_the_way_back() {
    on_event_loop(within_a_minute(async {
        let ([mut here, mut there], [near, far]) = two();
        here.run();
        there.run();
        for n in 1..=3 {
            for name in [&near, &far] {
                let told = here.all.submit(name, &request("add", "a")).await.unwrap();
                assert_eq!(body(told), format!(r#"{{"n":{n}}}"#));
            }
        }
        assert_eq!(
            body(there.all.submit(&near, &request("add", "a")).await.unwrap()),
            r#"{"n":4}"#
        );
        assert_eq!(
            body(here.toys.submit(&near, &request("add", "a")).await.unwrap()),
            r#"{"n":5}"#
        );
        // A socket's events arrive in their order, whatever becomes of their outcomes.
        let Completion::Accepted { socket, outbox } =
            here.all.submit(&far, &request("subscribe", "")).await.unwrap()
        else {
            panic!("no socket")
        };
        let texts: Vec<String> = (0..100).map(|n| format!("t{n}")).collect();
        for text in &texts {
            drop(here.all.submit(&far, &Arrival::Frame { socket, text }));
        }
        here.all.submit(&far, &Arrival::Closed { socket }).await.unwrap();
        let echoed: Vec<_> = std::iter::from_fn(|| outbox.try_next()).collect();
        let expected = texts.iter().enumerate().map(|(n, text)| format!("{}:{text}", n + 1));
        let expected: Vec<_> = expected.map(|text| Outgoing::Frame(text.as_str().into())).collect();
        assert_eq!(echoed, expected);
        assert_eq!(there.sockets(&far), 0);
    }));
}

#[test]
fn what_too_much_waits_before_is_refused_but_never_a_close() {
    on_event_loop(within_a_minute(async {
        let ([here, mut there], [near, far]) = two();
        let accepted = here.all.submit(&far, &request("subscribe", ""));
        let waiting: Vec<_> =
            (1..CROSSINGS_MAX).map(|_| here.all.submit(&far, &request("add", "a"))).collect();
        match here.all.submit(&far, &request("add", "a")).await.unwrap() {
            Completion::Refused(problem) => {
                assert_eq!(problem.code, mailbus_spec::wire::Code::Overloaded);
            }
            other => panic!("{other:?}"),
        }
        let socket = mailbus_worker::object::SocketId(1);
        let closed = here.all.submit(&far, &Arrival::Closed { socket });
        assert!(here.all.submit(&near, &request("add", "a")).await.is_ok(), "others go on");
        settle().await;
        there.run();
        assert!(matches!(accepted.await.unwrap(), Completion::Accepted { .. }));
        for told in waiting {
            told.await.unwrap();
        }
        assert!(matches!(closed.await.unwrap(), Completion::Done));
        assert_eq!(there.sockets(&far), 0);
        let told = body(there.toys.submit(&far, &request("count", "")).await.unwrap());
        let expected = format!(r#"{{"n":{CROSSINGS_MAX},"#);
        assert!(
            told.starts_with(&expected),
            "all that waited, the close, not what was refused: {told}"
        );
    }));
}

#[test]
fn a_socket_accepted_for_somebody_who_is_gone_is_closed() {
    on_event_loop(within_a_minute(async {
        let ([here, mut there], [_, far]) = two();
        drop(here.all.submit(&far, &request("subscribe", "")));
        let kept = here.all.submit(&far, &request("subscribe", ""));
        there.run();
        assert!(matches!(kept.await.unwrap(), Completion::Accepted { .. }));
        settle().await;
        assert_eq!(there.sockets(&far), 1);
    }));
}

#[test]
fn one_loop_alone_sends_itself_nothing() {
    on_event_loop(async {
        let side = Side::new(loops(1).remove(0), &MemoryDatabases::new());
        // Nobody runs what would handle it.
        let mut told = side.all.submit(&workspace("w"), &request("add", "a"));
        assert_eq!(body((&mut told).now_or_never().unwrap().unwrap()), r#"{"n":1}"#);
    });
}

#[test]
fn a_loop_knows_the_databases_of_its_own_workspaces_alone() {
    let databases = MemoryDatabases::new();
    let names: Vec<_> = (0..40).map(|n| workspace(&format!("w{n:02}"))).collect();
    for name in &names {
        databases.open(name).unwrap();
    }
    let mut found: Vec<_> = loops(3)
        .iter()
        .map(|one| OwnDatabases::new(databases.clone(), one.place()).existing().unwrap())
        .inspect(|own| assert!(own.len() < names.len()))
        .flatten()
        .collect();
    found.sort();
    assert_eq!(found, names, "each once");
}

/// Runs three loops on threads until `body` has one of them end, or until it is asked to stop.
fn run<Running>(
    body: impl Fn(usize, Stop) -> Running + Clone + Send + 'static,
    stop: impl Future<Output = ()>,
) -> Result<(), String>
where
    Running: Future<Output = Result<(), String>>,
{
    let run = loops::run(NonZeroUsize::new(3).unwrap(), stop, move |one: EventLoop, stop| {
        body(one.place().index(), stop)
    });
    on_event_loop(within_a_minute(run)).map_err(|error| error.to_string())
}

#[test]
fn a_loop_that_ends_ends_all() {
    let never = || std::future::pending::<()>();
    let ended = run(
        |index, stop| async move {
            if index == 1 {
                return Ok(());
            }
            stop.asked().await;
            Ok(())
        },
        never(),
    );
    assert_eq!(ended, Err("event loop 1 ended: nobody asked".to_owned()));
    let failed = run(
        |index, stop| async move {
            if index == 2 {
                return Err("no file is left".to_owned());
            }
            stop.asked().await;
            Ok(())
        },
        never(),
    );
    assert_eq!(failed, Err("event loop 2 ended: no file is left".to_owned()));
}

#[test]
fn so_does_one_that_panics_in_whatever_task() {
    for in_a_task in [false, true] {
        let ended = run(
            move |index, stop| async move {
                let panics = async move { assert_ne!(index, 1, "for the test") };
                if in_a_task {
                    tokio::task::spawn_local(panics);
                } else {
                    panics.await;
                }
                stop.asked().await;
                Ok(())
            },
            std::future::pending::<()>(),
        );
        let why = ended.unwrap_err();
        assert!(why.starts_with("event loop 1 ended: panicked at"), "{why}");
        assert!(why.contains("for the test"), "{why}");
    }
}

#[test]
fn loops_that_are_asked_to_end_do() {
    let ended = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&ended);
    let body = move |_, stop: Stop| {
        let counted = Arc::clone(&counted);
        async move {
            stop.asked().await;
            counted.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }
    };
    assert_eq!(run(body, std::future::ready(())), Ok(()));
    assert_eq!(ended.load(Ordering::Relaxed), 3);
}
