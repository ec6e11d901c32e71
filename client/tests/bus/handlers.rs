//! Handlers that block, panic or are given up on, and what they cost: nothing but their own message.

use std::sync::mpsc;

use mailbus_client::bus::MailBus;
use mailbus_client::lease::path_set;
use mailbus_client::mailbox::Status;
use mailbus_client::session::lease::Acquisition;
use mailbus_spec::{Ordinal, Ttl};
use tokio::runtime::Handle;
use tokio::task::{spawn_blocking, spawn_local};

use crate::bench::{Bench, Bus, Notes, agent, begin, draft, note, seconds, setup};

fn wanted(path: &str, ttl_s: u64) -> Acquisition {
    Acquisition::new(path_set([path]).unwrap()).ttl(Ttl::from_ms(ttl_s * 1_000).unwrap())
}

#[test]
fn a_handler_that_holds_its_thread_for_ten_minutes_costs_neither_lease_nor_session() {
    Bench::run(async |bench| {
        let a = bench.bus("a");
        let (b, _sessions, handlers) = bench.bus_apart(setup("b", "1", 1));
        let told = Notes::default();
        told.listen(&b);
        let (begun, began) = mpsc::channel();
        let (open, latch) = mpsc::channel::<()>();
        let latch = std::sync::Mutex::new(latch);
        b.subscribe("news", move |_| {
            begun.send(()).unwrap();
            latch.lock().unwrap().recv().unwrap();
            std::future::ready(Ok(()))
        })
        .await
        .unwrap();
        let runtime = Handle::current();
        let thread = std::thread::spawn(move || runtime.block_on(handlers.run()));
        begin(&a, &b).await;
        let guard = b.leases().acquire(wanted("x", 30)).await.unwrap();
        let epoch = b.mail().inspect(|session, _| session.epoch());
        a.publish(draft("news", "x")).await.unwrap();
        // Virtual time stands still while a thread is waited for.
        spawn_blocking(move || began.recv().unwrap()).await.unwrap();
        bench.pass(seconds(600)).await;

        assert!(guard.is_valid());
        let path = guard.paths().as_slice()[0].clone();
        assert!(a.leases().verify(path, guard.token()).await.unwrap().is_some(), "so it is there");
        assert_eq!(b.mail().inspect(|session, _| session.epoch()), epoch, "pings went on");
        assert!(b.publish(draft("other", "y")).await.is_ok());
        assert!(b.mail().stats().oldest.unwrap().lasted >= seconds(600));

        open.send(()).unwrap();
        let is_settled = async || {
            let (agents, _) = a.mail().agents(None, 10).await.unwrap();
            let entry = agents.into_iter().find(|entry| entry.agent == agent("b")).unwrap();
            entry.pending == 0 && b.mail().stats().in_hand == 0
        };
        // The other thread runs at its own pace, which virtual time does not wait for; the ack goes out
        // in virtual time.
        let mut looks = 0;
        while !is_settled().await {
            looks += 1;
            assert!(looks < 10_000, "its ack never went out");
            spawn_blocking(std::thread::yield_now).await.unwrap();
            bench.pass(seconds(1)).await;
        }
        assert_eq!(told.all(), ["connected, resumed: false"], "nothing failed and nothing broke");
        b.shutdown().await.unwrap();
        spawn_blocking(move || thread.join().unwrap()).await.unwrap();
    });
}

#[test]
fn handlers_that_are_run_late_still_hear_that_the_session_has_begun() {
    Bench::run(async |bench| {
        let (bus, _sessions, handlers) = bench.bus_apart(setup("a", "1", 1));
        let told = Notes::default();
        told.listen(&bus);
        bus.initialize().await.unwrap();
        bench.pass(seconds(60)).await;
        assert_eq!(told.all(), [""; 0], "nobody tells it yet");
        let running = spawn_local(handlers.run());
        bench.pass(seconds(1)).await;
        assert_eq!(told.all(), ["connected, resumed: false"]);
        bus.shutdown().await.unwrap();
        running.await.unwrap();
    });
}

#[test]
fn a_handler_that_panics_has_failed_and_nothing_else_has() {
    Bench::run(async |bench| {
        let (a, b) = (bench.bus("a"), bench.bus("b"));
        let (heard, told) = (Notes::default(), Notes::default());
        told.listen(&b);
        let noted = heard.clone();
        b.subscribe("news", move |mail| {
            let attempt = mail.attempt();
            assert_ne!(attempt, 1, "at once");
            let noted = noted.clone();
            async move {
                tokio::task::yield_now().await;
                assert_ne!(attempt, 2, "later");
                noted.add(format!("attempt {attempt}"));
                Ok(())
            }
        })
        .await
        .unwrap();
        note(&b, "other", &heard).await;
        begin(&a, &b).await;
        let guard = b.leases().acquire(wanted("x", 30)).await.unwrap();
        a.publish(draft("news", "x")).await.unwrap();
        a.publish(draft("other", "y")).await.unwrap();
        bench.pass(seconds(90)).await;
        assert_eq!(heard.all(), [r#"a: "y""#, "attempt 3"]);
        let failed: Vec<String> =
            told.all().into_iter().filter(|line| line.starts_with("failed: ")).collect();
        assert_eq!(failed.len(), 2, "{failed:?}");
        assert!(failed[0].starts_with("failed: the handler panicked: assertion"), "{failed:?}");
        assert!(failed[0].contains("at once") && failed[1].contains("later"), "{failed:?}");
        assert!(guard.is_valid());
    });
}

#[test]
fn a_listener_that_panics_has_not_understood() {
    Bench::run(async |bench| {
        let (a, b) = (bench.bus("a"), bench.bus("b"));
        let heard = Notes::default();
        b.on_event(|event| panic!("{event:?}"));
        note(&b, "news", &heard).await;
        begin(&a, &b).await;
        a.send_to(&agent("b"), draft("unheard.of", "x")).await.unwrap();
        bench.pass(seconds(700)).await;
        let told = Notes::default();
        told.listen(&b);
        bench.break_connections();
        a.publish(draft("news", "x")).await.unwrap();
        bench.pass(seconds(60)).await;
        assert_eq!(heard.all(), [r#"a: "x""#]);
        assert!(told.all().contains(&"lost 1".to_owned()), "it is told again: {:?}", told.all());
    });
}

/// Has `news` handled under a guard on `x` for 30 s at a time: the first time without end.
async fn work_under_a_guard(bus: &Bus, notes: &Notes) {
    let (own, notes) = (bus.clone(), notes.clone());
    bus.subscribe("news", move |mail| {
        let (own, notes) = (own.clone(), notes.clone());
        async move {
            let _guard = own.leases().acquire(wanted("x", 30)).await?;
            notes.add(format!("attempt {}", mail.attempt()));
            if mail.attempt() == 1 {
                std::future::pending::<()>().await;
            }
            Ok(())
        }
    })
    .await
    .unwrap();
}

#[test]
fn the_guard_of_a_handler_that_is_given_up_on_lapses() {
    Bench::run(async |bench| {
        let a = bench.bus("a");
        let mut limited = setup("b", "limited", 99);
        limited.mail.handler_timeout = Some(seconds(40));
        let (b, tries) = (bench.bus_of(limited), Notes::default());
        work_under_a_guard(&b, &tries).await;
        begin(&a, &b).await;
        a.publish(draft("news", "x")).await.unwrap();
        bench.pass(seconds(45)).await;
        assert_eq!(tries.all(), ["attempt 1"], "the next waits for the end of what lapses");
        assert_eq!(a.acquire_lease("x", seconds(5)).await, Ok(false), "its work may go on");
        bench.pass(seconds(120)).await;
        assert_eq!(tries.all(), ["attempt 1", "attempt 2"], "one failure, not five");
        assert_eq!(
            a.acquire_lease("x", seconds(5)).await,
            Ok(true),
            "a return gives it back at once"
        );
        assert_eq!(b.mail().dead_letters(Ordinal::ZERO, 10).await.unwrap().0, []);
    });
}

#[test]
fn the_guard_of_a_handler_that_a_shutdown_gives_up_on_lapses() {
    Bench::run(async |bench| {
        let (a, tries) = (bench.bus("a"), Notes::default());
        let (b, running) = bench.bus_and_loop(setup("b", "1", 99));
        work_under_a_guard(&b, &tries).await;
        begin(&a, &b).await;
        a.publish(draft("news", "x")).await.unwrap();
        bench.pass(seconds(1)).await;
        let began = bench.now();
        b.shutdown().await.unwrap();
        running.await.unwrap();
        assert!(bench.now() - began < seconds(10), "nobody waits for what lapses");
        assert_eq!(a.acquire_lease("x", seconds(5)).await, Ok(false));
        bench.pass(seconds(31)).await;
        assert_eq!(a.acquire_lease("x", seconds(5)).await, Ok(true));
    });
}

#[test]
fn a_handler_that_fails_gives_its_guard_back_at_once() {
    Bench::run(async |bench| {
        let (a, b) = (bench.bus("a"), bench.bus("b"));
        let own = b.clone();
        b.subscribe("news", move |_| {
            let own = own.clone();
            async move {
                let _guard = own.leases().acquire(wanted("x", 3_600)).await?;
                Err("too hard".into())
            }
        })
        .await
        .unwrap();
        begin(&a, &b).await;
        a.publish(draft("news", "x")).await.unwrap();
        bench.pass(seconds(1) / 4).await;
        assert_eq!(a.acquire_lease("x", seconds(5)).await, Ok(true));
    });
}

#[test]
fn who_is_replaced_at_mail_keeps_its_leases() {
    Bench::run(async |bench| {
        let (first, running) = bench.bus_and_loop(setup("a", "first", 1));
        let told = Notes::default();
        told.listen(&first);
        first.initialize().await.unwrap();
        let guard = first.leases().acquire(wanted("x", 30)).await.unwrap();
        let second = bench.bus("a");
        second.initialize().await.unwrap();
        bench.pass(seconds(300)).await;
        assert_eq!(told.all().last().unwrap(), "ended: Replaced");
        assert!(matches!(*second.mail().status().borrow(), Status::Connected { .. }));
        assert!(guard.is_valid(), "another session took over the mail, not the leases");
        assert_eq!(first.acquire_lease("y", seconds(30)).await, Ok(true));
        assert_eq!(second.acquire_lease("x", seconds(30)).await, Ok(false));
        drop(guard);
        assert!(!running.is_finished());
        first.shutdown().await.unwrap();
        running.await.unwrap();
    });
}

#[test]
fn ephemeral_messages_that_nobody_takes_make_room_for_later_ones() {
    const KEPT: u64 = 1_024;
    Bench::run(async |bench| {
        let a = bench.bus("a");
        let (b, _sessions, handlers) = bench.bus_apart(setup("b", "1", 1));
        let heard = Notes::default();
        note(&b, "tick", &heard).await;
        begin(&a, &b).await;
        for number in 0..KEPT + 10 {
            a.publish(draft("tick", &number.to_string()).ephemeral()).await.unwrap();
        }
        bench.pass(seconds(1)).await;
        let handling = tokio::task::spawn_local(handlers.run());
        bench.pass(seconds(1)).await;
        let heard = heard.all();
        assert_eq!((heard.len(), heard[0].as_str()), (1_024, r#"a: "10""#));
        handling.abort();
    });
}
