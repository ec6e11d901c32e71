//! Disk that an object takes: no more than it needs, and nothing when nobody would miss it.
//! Time is the test's.

mod support;

use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use mailbus_worker::lease::ProductionLeaseObject;
use mailbus_worker::native::{
    Completion, Databases, FileDatabases, Namespace, NamespaceSettings, Objects,
};
use mailbus_worker::storage::Storage;
use support::clock::ManualClock;
use support::objects::{count, namespace, response, submit, submit_to};
use support::toy::request;
use support::{on_event_loop, settle, workspace};

fn size(file: &Path) -> u64 {
    file.metadata().map_or(0, |metadata| metadata.len())
}

/// Lets time pass in steps of two seconds, and everything be done that is due.
async fn pass(clock: &ManualClock, seconds: u64) {
    for _ in 0..seconds / 2 {
        clock.advance(Duration::from_secs(2)).await;
    }
    for _ in 0..32 {
        settle().await;
    }
}

#[test]
fn a_file_shrinks_after_a_burst_and_its_log_is_emptied() {
    on_event_loop(async {
        let folder = tempfile::tempdir().unwrap();
        let clock = ManualClock::default();
        let objects = namespace(&clock, FileDatabases::in_folder(folder.path()).unwrap());
        tokio::task::spawn_local(objects.keep_tidy());
        for _ in 0..80 {
            submit(&objects, "add", &"x".repeat(100_000)).await.unwrap();
        }
        let file = folder.path().join("w.sqlite");
        let log = folder.path().join("w.sqlite-wal");
        pass(&clock, 30).await;
        let full = size(&file);
        assert!(full > 8_000_000 && size(&log) == 0, "{full} bytes and {}", size(&log));

        let all = "DELETE FROM text";
        objects
            .with(&workspace("w"), |instance| instance.database().execute(all, &[]))
            .unwrap()
            .unwrap();
        submit(&objects, "add", "a").await.unwrap();
        pass(&clock, 30).await;
        assert!(size(&file) < full / 4, "{} of {full} bytes", size(&file));
        assert_eq!(size(&log), 0);
        assert_eq!(count(&objects, "w").0, 1);
    });
}

#[test]
fn a_new_workspace_is_refused_when_there_are_as_many_as_may_be() {
    on_event_loop(async {
        let folder = tempfile::tempdir().unwrap();
        let databases = FileDatabases::in_folder(folder.path()).unwrap().with_room_for(2);
        let objects = namespace(&ManualClock::default(), databases.clone());
        for name in ["a", "b", "a"] {
            submit_to(&objects, name, "add", "x").await.unwrap();
        }
        for _ in 0..2 {
            let refused = response(&mut submit_to(&objects, "c", "add", "x")).unwrap();
            assert_eq!((refused.status, refused.retry_after), (429, Some(5)));
            assert!(refused.body.contains("as many workspaces as it may"), "{}", refused.body);
        }
        assert_eq!(databases.existing().unwrap().len(), 2);
        assert_eq!(count(&objects, "b").0, 1);
        // It counts what was there before, too.
        let again = FileDatabases::in_folder(folder.path()).unwrap().with_room_for(2);
        assert!(!again.has_room());
        drop(objects);
        again.delete(&workspace("a")).unwrap();
        let objects = namespace(&ManualClock::default(), again);
        submit_to(&objects, "c", "add", "x").await.unwrap();
        assert_eq!(count(&objects, "c").0, 1);
    });
}

#[test]
fn a_workspace_that_nobody_has_used_for_a_day_leaves_no_file_and_begins_anew() {
    on_event_loop(async {
        let folder = tempfile::tempdir().unwrap();
        let clock = ManualClock::default();
        let databases = FileDatabases::in_folder(folder.path()).unwrap();
        let leases = Namespace::new(
            Rc::new(clock.clone()),
            Rc::new(databases.clone()),
            NamespaceSettings::default(),
            ProductionLeaseObject::wake,
        );
        tokio::task::spawn_local(leases.ring_alarms());
        tokio::task::spawn_local(leases.keep_tidy());
        let acquire = async |name: &str, ttl_ms: u64| {
            let body = format!(r#"{{"file":"a","agentId":"ann","ttlMs":{ttl_ms}}}"#);
            match leases.submit(&workspace(name), &request("acquire", &body)).await.unwrap() {
                Completion::Answered(told) => {
                    let told: serde_json::Value = serde_json::from_str(&told.body).unwrap();
                    told["token"].as_u64().unwrap_or_else(|| panic!("{told}"))
                }
                other => panic!("{other:?}"),
            }
        };
        let first = acquire("w", 1_000).await;
        acquire("held", 86_400_000).await;
        // The lease ends, and it is forgotten that there was one.
        pass(&clock, 600).await;
        assert!(leases.pending_alarms().iter().all(|(_, name)| *name != workspace("w")));
        assert_eq!(databases.existing().unwrap().len(), 2, "a clock may be set back by a day");
        for _ in 0..26 {
            clock.advance(Duration::from_secs(3_600)).await;
            pass(&clock, 10).await;
        }
        assert!(!databases.existing().unwrap().contains(&workspace("w")));
        assert!(databases.existing().unwrap().contains(&workspace("held")), "it is used by then");
        assert!(acquire("w", 1_000).await > first);
    });
}
