//! The run loop against a small service in memory.
//!
//! Goal: commands arrive by either way and in time, pushes come in, a broken way costs time and
//! nothing else, and nothing waits for ever. Method: the specification's object behind a real HTTP and
//! WebSocket server, over in-memory streams, in virtual time: nothing sleeps, and no test depends on
//! how fast the machine is. What needs this machine's sockets (addresses, proxies, TLS) has them, on the
//! loopback.

mod log;
mod proxies;
mod service;
mod tls;
mod wires;

use std::time::Duration;

use futures_util::future::join_all;
use mailbus_client::error::{AcquireError, CallError};
use mailbus_client::lease::{PathStatus, path_set};
use mailbus_client::session::lease::{Acquisition, Config, LossCause};
use mailbus_client::transport::{Endpoint, open};
use mailbus_spec::{AgentId, LeasePath, Workspace};

use service::{Bench, Mode, Step};

fn wanted() -> Acquisition {
    Acquisition::new(path_set(["src/lib.rs"]).unwrap())
}

fn patient() -> Acquisition {
    wanted().patience(Duration::from_secs(120))
}

/// A session that keeps no socket open.
fn http_alone() -> Config {
    Config { socket: None, ..Config::default() }
}

fn path(text: &str) -> LeasePath {
    LeasePath::new(text).unwrap()
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

#[test]
fn a_lease_is_acquired_kept_and_released() {
    Bench::run(async |bench| {
        let client = bench.client("a");
        let lease = client.acquire(wanted()).await.unwrap();
        assert!(lease.is_valid());
        assert_eq!(lease.paths().as_slice()[0].as_str(), "src/lib.rs");
        bench.pass(seconds(95)).await;
        assert!(lease.is_valid(), "it is renewed");
        assert!(lease.remaining() > seconds(15) && lease.remaining() < seconds(30));
        let status = client.status(path("src/lib.rs")).await.unwrap();
        assert!(
            matches!(status, PathStatus::Held { lease: held, .. } if held.token == lease.token())
        );
        let verified = client.verify(path("src/lib.rs"), lease.token()).await;
        assert!(verified.unwrap().is_some());
        assert_eq!(client.list("src/", None, 10).await.unwrap().0.len(), 1);
        lease.release().await.unwrap();
        let status = client.status(path("src/lib.rs")).await.unwrap();
        assert_eq!(status, PathStatus::Free { queue: 0, reserved: None });
    });
}

#[test]
fn commands_take_the_socket_while_it_is_open_and_http_otherwise() {
    Bench::run(async |bench| {
        let client = bench.client("a");
        bench.pass(seconds(1)).await;
        let lease = client.acquire(wanted()).await.unwrap();
        assert_eq!(bench.log(), ["socket acquire"]);
        bench.set_mode(Mode::NoSockets);
        bench.close_sockets();
        bench.pass(seconds(12)).await;
        assert_eq!(bench.log(), ["socket acquire", "http renew"]);
        bench.set_mode(Mode::Whole);
        bench.pass(seconds(20)).await;
        assert_eq!(bench.log().last().unwrap(), "socket renew");
        assert!(lease.is_valid());
    });
}

#[test]
fn without_a_socket_everything_goes_over_http_on_one_connection() {
    Bench::run(async |bench| {
        let client = bench.client_with("a", http_alone());
        let lease = client.acquire(wanted()).await.unwrap();
        bench.pass(seconds(25)).await;
        lease.release().await.unwrap();
        assert_eq!(bench.log(), ["http acquire", "http renew", "http renew", "http release"]);
        assert_eq!(bench.connections(), 1);
    });
}

#[test]
fn who_waits_is_told_by_a_push() {
    Bench::run(async |bench| {
        let first = bench.client("a");
        let second = bench.client("b");
        bench.pass(seconds(1)).await;
        let held = first.acquire(wanted()).await.unwrap();
        let refused = second.acquire(wanted()).await.unwrap_err();
        assert!(
            matches!(&refused, AcquireError::Held(blocker) if blocker.holder.agent.as_str() == "a")
        );
        assert_eq!(refused.to_string(), "a/1 holds src/lib.rs");
        let waits = bench.spawn(async move { second.acquire(patient()).await });
        bench.pass(seconds(3)).await;
        let released_at = bench.now();
        held.release().await.unwrap();
        let lease = waits.await.unwrap().unwrap();
        assert!(bench.now() - released_at < Duration::from_millis(100), "not by the next question");
        assert!(lease.is_valid());
    });
}

#[test]
fn who_waits_without_a_socket_is_told_by_its_next_question() {
    Bench::run(async |bench| {
        let first = bench.client("a");
        let second = bench.client_with("b", http_alone());
        let held = first.acquire(wanted()).await.unwrap();
        let waits = bench.spawn(async move { second.acquire(patient()).await });
        bench.pass(seconds(3)).await;
        let released_at = bench.now();
        held.release().await.unwrap();
        let _lease = waits.await.unwrap().unwrap();
        assert!(bench.now() - released_at < seconds(10));
    });
}

#[test]
fn a_socket_that_swallows_everything_costs_no_lease() {
    Bench::run(async |bench| {
        let client = bench.client("a");
        bench.pass(seconds(1)).await;
        let lease = client.acquire(wanted()).await.unwrap();
        bench.set_mode(Mode::DeafSockets);
        bench.pass(seconds(300)).await;
        assert!(lease.is_valid());
        assert!(bench.log().iter().any(|entry| entry == "http renew"));
        bench.set_mode(Mode::Whole);
        bench.pass(seconds(60)).await;
        assert_eq!(bench.log().last().unwrap(), "socket renew", "a ping found it out");
    });
}

#[test]
fn a_lease_that_cannot_be_renewed_is_lost_in_time_and_released_later() {
    Bench::run(async |bench| {
        let client = bench.client("a");
        let acquired_at = bench.now();
        let lease = client.acquire(wanted()).await.unwrap();
        bench.set_mode(Mode::Silent);
        assert_eq!(lease.lost().await, LossCause::RanOut);
        let lasted = bench.now() - acquired_at;
        assert!(lasted >= Duration::from_millis(29_689) && lasted < Duration::from_millis(29_700));
        assert!(!lease.is_valid() && lease.deadline().is_none());
        bench.set_mode(Mode::Whole);
        bench.pass(seconds(20)).await;
        assert!(bench.log().iter().any(|entry| entry.ends_with("release")));
        assert!(!lease.is_valid());
    });
}

#[test]
fn a_service_that_never_answers_is_given_up_on() {
    for mode in [Mode::Silent, Mode::NoConnection, Mode::BlackHole] {
        Bench::run(async |bench| {
            bench.set_mode(mode);
            let client = bench.client("a");
            let asked_at = bench.now();
            assert_eq!(client.acquire(wanted()).await.unwrap_err(), AcquireError::Unanswered);
            assert!(bench.now() - asked_at < seconds(66), "{mode:?}");
            assert_eq!(client.status(path("x")).await.unwrap_err(), CallError::Unanswered);
        });
    }
}

#[test]
fn connections_that_died_together_cost_one_attempt_and_not_one_each() {
    Bench::run(async |bench| {
        let client = bench.client_with("a", http_alone());
        join_all((0..12).map(|_| client.status(path("x")))).await;
        assert_eq!(bench.connections(), 12);
        bench.forget_connections();
        let asked_at = bench.now();
        client.status(path("x")).await.unwrap();
        assert!(bench.now() - asked_at < seconds(6), "{:?}", bench.now() - asked_at);
        assert_eq!(bench.connections(), 13);
    });
}

#[test]
fn what_a_client_was_about_to_send_when_it_was_put_aside_is_not_sent_afterwards() {
    let (before, connecting) = (Step::BeforeWriting, Step::Connecting);
    for (socket, step) in [(true, before), (false, before), (false, connecting)] {
        Bench::run(async |bench| {
            let config = if socket { Config::default() } else { http_alone() };
            let client = bench.client_with("a", config);
            bench.pass(seconds(1)).await;
            bench.pause_at(step, seconds(70));
            // A minute after its sending a request is given up: a copy would come too late.
            let refused = client.acquire(wanted()).await.unwrap_err();
            assert_eq!(refused, AcquireError::Unanswered, "{socket} {step:?}");
            bench.pass(seconds(1)).await;
            let log = bench.log();
            assert!(matches!(&log[..], [only] if only.ends_with("cancel")), "{step:?}: {log:?}");
        });
    }
}

#[test]
fn a_dropped_lease_is_released_and_the_loop_ends_with_its_last_handle() {
    Bench::run(async |bench| {
        let (client, running) = bench.client_and_loop("a");
        let lease = client.acquire(wanted()).await.unwrap();
        drop(client);
        bench.pass(seconds(40)).await;
        assert!(lease.is_valid(), "the lease alone keeps the loop running");
        drop(lease);
        running.await.unwrap();
        assert!(bench.log().last().unwrap().ends_with("release"));
        assert_eq!(bench.live_leases(), 0);
    });
}

#[test]
fn a_caller_that_stops_waiting_leaves_no_place_in_the_queue() {
    Bench::run(async |bench| {
        let first = bench.client("a");
        let second = bench.client("b");
        let _held = first.acquire(wanted()).await.unwrap();
        let waits = bench.spawn(async move {
            let _ = second.acquire(patient()).await;
        });
        bench.pass(seconds(3)).await;
        assert_eq!(bench.live_tickets(), 1);
        waits.abort();
        bench.pass(seconds(1)).await;
        assert_eq!(bench.live_tickets(), 0);
    });
}

#[test]
fn a_drained_lease_says_so_and_a_forced_one_is_lost() {
    Bench::run(async |bench| {
        let client = bench.client("a");
        let admin = bench.client("admin");
        bench.pass(seconds(1)).await;
        let lease = client.acquire(wanted()).await.unwrap();
        assert!(admin.force_release(lease.token(), "make room", true).await.unwrap());
        bench.pass(seconds(1)).await;
        assert_eq!(lease.draining().as_deref(), Some("make room"));
        assert!(lease.is_valid());
        assert!(admin.force_release(lease.token(), "at once", false).await.unwrap());
        let reason = "at once".to_owned();
        assert_eq!(lease.lost().await, LossCause::Forced { reason });
        assert!(!lease.is_valid());
    });
}

#[test]
fn a_restore_is_seen_by_its_generation() {
    Bench::run(async |bench| {
        let client = bench.client("a");
        let lease = client.acquire(wanted()).await.unwrap();
        let mut generation = client.generation();
        assert_eq!(*generation.borrow_and_update(), 0);
        let at_least = lease.token();
        let new = client.recover(at_least).await.unwrap();
        generation.changed().await.unwrap();
        assert_eq!(*generation.borrow(), new);
        assert_eq!(lease.lost().await, LossCause::Restored);
        assert!(!lease.is_valid());
        drop(lease);
        bench.pass(seconds(1)).await;
        assert_eq!(bench.live_leases(), 0, "what the storage still held is given back");
    });
}

#[test]
fn a_token_is_shown_both_ways() {
    Bench::run(async |bench| {
        bench.require_token("sesame");
        let stranger = bench.client("b");
        let refused = stranger.acquire(wanted()).await.unwrap_err();
        assert!(matches!(refused, AcquireError::Refused(_)), "{refused:?}");
        let client = bench.client_with_token("a", "sesame");
        bench.pass(seconds(1)).await;
        client.acquire(wanted()).await.unwrap().release().await.unwrap();
        assert_eq!(bench.log(), ["socket acquire", "socket release"]);
    });
}

#[test]
fn without_its_loop_a_client_fails_and_does_not_hang() {
    Bench::run(async |bench| {
        let (client, running) = bench.client_and_loop("a");
        let lease = client.acquire(wanted()).await.unwrap();
        running.abort();
        bench.pass(seconds(1)).await;
        assert_eq!(client.acquire(wanted()).await.unwrap_err(), AcquireError::Closed);
        assert!(lease.is_valid(), "what was granted is granted");
        bench.pass(seconds(30)).await;
        assert!(!lease.is_valid());
        assert_eq!(lease.lost().await, LossCause::RanOut);
    });
}

#[test]
fn a_client_of_this_machine_reaches_a_service_over_tcp() {
    Bench::run_on_loopback(async |bench| {
        let url = format!("http://{}", bench.listen().await);
        let endpoint = Endpoint::new(&url, Workspace::new("team").unwrap()).unwrap();
        let (client, driver) = open(endpoint, AgentId::new("a").unwrap()).unwrap();
        let running = bench.spawn(driver.run());
        let lease = client.acquire(wanted()).await.unwrap();
        assert!(lease.is_valid());
        drop(client);
        lease.release().await.unwrap();
        running.await.unwrap();
        assert_eq!(bench.live_leases(), 0);
    });
}

#[test]
fn the_loop_may_run_on_any_thread() {
    fn is_send<T: Send>(value: T) -> T {
        value
    }
    let endpoint = service::endpoint();
    let (client, driver) = mailbus_client::transport::connect(
        service::session("a", Config::default()),
        endpoint,
        mailbus_client::transport::TokioConnector::new(),
        mailbus_client::clocks::SystemClocks::new(),
    );
    drop(is_send(driver.run()));
    drop(is_send(client));
}
