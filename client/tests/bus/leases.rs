//! Files: acquired, lapsed, released.

use futures_util::future::{join, select};
use mailbus_client::bus::{BusError, MailBus};
use mailbus_client::error::{AcquireError, CallError};
use mailbus_client::lease::{PathStatus, path_set};
use mailbus_client::session::lease::Acquisition;
use mailbus_spec::LeasePath;

use crate::bench::{Bench, Mode, seconds, setup};

#[test]
fn a_file_is_held_by_one_and_lapses_at_its_time_to_live() {
    Bench::run(async |bench| {
        let (a, b) = (bench.bus("a"), bench.bus("b"));
        assert_eq!(a.is_leased("src/lib.rs").await, Ok(false));
        assert_eq!(a.acquire_lease("src/lib.rs", seconds(30)).await, Ok(true));
        assert_eq!(b.acquire_lease("./src/lib.rs", seconds(30)).await, Ok(false));
        assert_eq!(b.is_leased("src/lib.rs").await, Ok(true));
        assert_eq!(b.release_lease("src/lib.rs").await, Ok(false), "it is not its own");
        bench.pass(seconds(31)).await;
        assert_eq!(b.acquire_lease("src/lib.rs", seconds(30)).await, Ok(true), "nobody renews it");
        assert_eq!(a.release_lease("src/lib.rs").await, Ok(false), "it was lost");
        assert_eq!(b.release_lease("src/lib.rs").await, Ok(true));
        assert_eq!(a.is_leased("src/lib.rs").await, Ok(false));
    });
}

#[test]
fn under_the_originals_identity_another_process_may_release() {
    Bench::run(async |bench| {
        let first = bench.bus_of(setup("a", "", 1));
        let second = bench.bus_of(setup("a", "", 2));
        assert_eq!(first.acquire_lease("x", seconds(30)).await, Ok(true));
        assert_eq!(second.release_lease("x").await, Ok(true));
        assert_eq!(first.is_leased("x").await, Ok(false));
    });
}

#[test]
fn what_was_acquired_by_a_spelling_that_is_refused_may_be_given_back_by_it() {
    Bench::run(async |bench| {
        for session in ["", "1"] {
            let a = bench.bus_of(setup("a", session, 1));
            assert_eq!(a.acquire_lease("x", seconds(30)).await, Ok(true));
            assert!(matches!(a.acquire_lease("x/", seconds(30)).await, Err(BusError::Path(_))));
            assert_eq!(a.release_lease("x/").await, Ok(true));
            assert_eq!(a.release_lease("*.rs").await, Ok(false), "it is not held");
            assert!(matches!(a.release_lease("../x").await, Err(BusError::Path(_))));
        }
    });
}

#[test]
fn what_drains_is_not_extended_and_may_be_given_back() {
    Bench::run(async |bench| {
        let a = bench.bus("a");
        assert_eq!(a.acquire_lease("x", seconds(30)).await, Ok(true));
        let path = LeasePath::new("x").unwrap();
        let status = a.leases().status(path).await;
        let Ok(PathStatus::Held { lease, .. }) = status else { panic!("{status:?}") };
        assert_eq!(a.leases().force_release(lease.token, "make room", true).await, Ok(true));
        assert_eq!(a.acquire_lease("x", seconds(60)).await, Ok(false), "its end does not move");
        assert_eq!(a.is_leased("x").await, Ok(true));
        assert_eq!(a.release_lease("x").await, Ok(true), "it is held all the same");
        assert_eq!(a.acquire_lease("x", seconds(60)).await, Ok(true));
    });
}

#[test]
fn what_is_no_file_or_no_time_is_refused() {
    Bench::run(async |bench| {
        let a = bench.bus("a");
        assert!(matches!(a.acquire_lease("../x", seconds(30)).await, Err(BusError::Path(_))));
        assert_eq!(a.acquire_lease("x", seconds(0)).await, Err(BusError::Ttl));
        assert_eq!(a.acquire_lease("x", seconds(86_401)).await, Err(BusError::Ttl));
    });
}

#[test]
fn what_one_holds_is_true_again_and_extended() {
    Bench::run(async |bench| {
        let (a, b) = (bench.bus("a"), bench.bus("b"));
        assert_eq!(a.acquire_lease("x", seconds(30)).await, Ok(true));
        bench.pass(seconds(20)).await;
        assert_eq!(a.acquire_lease("./x", seconds(30)).await, Ok(true), "it is one's own");
        bench.pass(seconds(20)).await;
        assert_eq!(b.acquire_lease("x", seconds(30)).await, Ok(false), "it was extended");
        bench.pass(seconds(11)).await;
        assert_eq!(b.acquire_lease("x", seconds(30)).await, Ok(true), "and lapses all the same");
        assert_eq!(a.acquire_lease("x", seconds(30)).await, Ok(false), "it is another's now");
    });
}

#[test]
fn two_acquisitions_at_once_are_both_true() {
    Bench::run(async |bench| {
        let a = bench.bus("a");
        let both = join(a.acquire_lease("x", seconds(30)), a.acquire_lease("x", seconds(60)));
        assert_eq!(both.await, (Ok(true), Ok(true)));
        bench.pass(seconds(40)).await;
        assert_eq!(a.is_leased("x").await, Ok(true), "the longer one counts");
        assert_eq!(a.release_lease("x").await, Ok(true));
        assert_eq!(a.is_leased("x").await, Ok(false));
    });
}

#[test]
fn what_a_guard_holds_is_ones_own_and_the_guards_to_give_back() {
    Bench::run(async |bench| {
        let a = bench.bus("a");
        let guard = a.leases().acquire(Acquisition::new(path_set(["x"]).unwrap())).await.unwrap();
        assert_eq!(a.acquire_lease("x", seconds(5)).await, Ok(true));
        bench.pass(seconds(60)).await;
        assert!(guard.is_valid());
        assert_eq!(a.release_lease("x").await, Ok(false));
        guard.release().await.unwrap();
        assert_eq!(a.is_leased("x").await, Ok(false));
    });
}

#[test]
fn an_acquisition_that_nobody_waits_for_any_more_is_given_back() {
    Bench::run(async |bench| {
        let (a, b) = (bench.bus("a"), bench.bus("b"));
        bench.set_mode(Mode::Mute);
        bench.break_connections();
        {
            let acquiring = std::pin::pin!(a.acquire_lease("x", seconds(3_600)));
            let patience = std::pin::pin!(bench.pass(seconds(10)));
            assert!(matches!(
                select(acquiring, patience).await,
                futures_util::future::Either::Right(_)
            ));
        }
        bench.set_mode(Mode::Whole);
        bench.break_connections();
        bench.pass(seconds(30)).await;
        assert_eq!(b.acquire_lease("x", seconds(30)).await, Ok(true));
    });
}

#[test]
fn an_acquisition_without_an_answer_is_given_back() {
    Bench::run(async |bench| {
        let (a, b) = (bench.bus("a"), bench.bus("b"));
        bench.set_mode(Mode::Mute);
        bench.break_connections();
        let unknown = Err(BusError::Acquire(AcquireError::Unanswered));
        assert_eq!(a.acquire_lease("x", seconds(3_600)).await, unknown);
        bench.set_mode(Mode::Whole);
        bench.break_connections();
        bench.pass(seconds(30)).await;
        assert_eq!(b.acquire_lease("x", seconds(30)).await, Ok(true));
    });
}

#[test]
fn a_release_without_an_answer_may_be_asked_for_again() {
    Bench::run(async |bench| {
        let (a, b) = (bench.bus("a"), bench.bus("b"));
        assert_eq!(a.acquire_lease("x", seconds(3_600)).await, Ok(true));
        bench.set_mode(Mode::Deaf);
        bench.break_connections();
        let unknown = Err(BusError::Lease(CallError::Unanswered));
        assert_eq!(a.release_lease("x").await, unknown);
        bench.set_mode(Mode::Whole);
        bench.break_connections();
        assert_eq!(b.acquire_lease("x", seconds(30)).await, Ok(false));
        assert_eq!(a.release_lease("x").await, Ok(true));
        assert_eq!(b.acquire_lease("x", seconds(30)).await, Ok(true));
        assert_eq!(a.release_lease("x").await, Ok(false));
    });
}

#[test]
fn what_was_given_back_without_an_answer_may_be_acquired_again() {
    Bench::run(async |bench| {
        let a = bench.bus("a");
        assert_eq!(a.acquire_lease("x", seconds(3_600)).await, Ok(true));
        bench.set_mode(Mode::Deaf);
        bench.break_connections();
        assert!(a.release_lease("x").await.is_err());
        bench.set_mode(Mode::Whole);
        bench.break_connections();
        assert_eq!(a.acquire_lease("x", seconds(30)).await, Ok(true));
    });
}

#[test]
fn a_bus_that_is_dropped_leaves_its_files_to_lapse() {
    Bench::run(async |bench| {
        let (a, running) = bench.bus_and_loop(setup("a", "1", 1));
        let b = bench.bus("b");
        assert_eq!(a.acquire_lease("x", seconds(30)).await, Ok(true));
        drop(a);
        running.await.unwrap();
        assert!(bench.now() < seconds(20), "the loop does not wait for it");
        assert_eq!(b.acquire_lease("x", seconds(30)).await, Ok(false));
        bench.pass(seconds(31)).await;
        assert_eq!(b.acquire_lease("x", seconds(30)).await, Ok(true));
    });
}
