//! Files: acquired, lapsed, released.

use mailbus_client::bus::{BusError, MailBus};

use crate::bench::{Bench, seconds, setup};

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
fn what_is_no_file_or_no_time_is_refused() {
    Bench::run(async |bench| {
        let a = bench.bus("a");
        assert!(matches!(a.acquire_lease("../x", seconds(30)).await, Err(BusError::Path(_))));
        assert_eq!(a.acquire_lease("x", seconds(0)).await, Err(BusError::Ttl));
        assert_eq!(a.acquire_lease("x", seconds(86_401)).await, Err(BusError::Ttl));
    });
}
