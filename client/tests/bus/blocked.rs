//! One trial with real threads, sockets and seconds: a handler that blocks its thread.

#![expect(clippy::disallowed_methods, reason = "time is real here")]

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use futures_util::future::join;
use mailbus_client::bus::{CloudflareMailBus, Draft, MailBus};
use mailbus_client::lease::{PathStatus, path_set};
use mailbus_client::session::lease::Acquisition;
use mailbus_client::transport::{Endpoint, open};
use mailbus_spec::{Ttl, Workspace};
use mailbus_worker::lease::ProductionLeaseObject;
use mailbus_worker::mailbox::ProductionMailboxObject;
use mailbus_worker::native::{Classes, HostClock, Server, ServerSettings, SystemClock};
use mailbus_worker::router::{Access, Class};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::{LocalSet, spawn_local};

use crate::bench::{agent, objects};

/// A service on loopback, for as long as the process runs.
fn service() -> SocketAddr {
    let (tell, address) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        LocalSet::new().block_on(&runtime, async {
            let host: Rc<dyn HostClock> = Rc::new(SystemClock::new());
            let classes = Classes::from([
                (Class::Lease, objects(&host, ProductionLeaseObject::wake)),
                (Class::Mailbox, objects(&host, ProductionMailboxObject::wake)),
            ]);
            let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
            tell.send(listener.local_addr().unwrap()).unwrap();
            let server = Server::new(host, Access::Anonymous, ServerSettings::default(), classes);
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                spawn_local(Rc::clone(&server).serve_connection(stream));
            }
        });
    });
    address.recv().unwrap()
}

#[test]
fn a_handler_that_blocks_its_thread_for_longer_than_a_term_keeps_its_lease() {
    const TERM: Duration = Duration::from_secs(3);
    const BLOCKED: Duration = Duration::from_secs(8);
    let url = format!("http://{}", service());
    let endpoint = Endpoint::new(&url, Workspace::new("team").unwrap()).unwrap();
    let (other, _running) = open(endpoint.clone(), agent("other")).unwrap();
    let (bus, driver) = CloudflareMailBus::open(endpoint, agent("blocked")).unwrap();
    // One task on one thread for all that the application does.
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let (done, finished) = oneshot::channel();
        let done = std::sync::Mutex::new(Some(done));
        let own = bus.clone();
        bus.subscribe("work", move |_| {
            let (own, other, done) = (own.clone(), other.clone(), done.lock().unwrap().take());
            async move {
                let ttl = Ttl::from_ms(TERM.as_millis() as u64).unwrap();
                let wanted = Acquisition::new(path_set(["x"])?).ttl(ttl);
                let guard = own.leases().acquire(wanted).await?;
                let epoch = own.mail().inspect(|session, _| session.epoch());
                let began = Instant::now();
                std::thread::sleep(BLOCKED);
                assert!(began.elapsed() > 2 * TERM);
                assert!(guard.is_valid(), "nobody renewed it");
                let path = guard.paths().as_slice()[0].clone();
                let status = other.status(path).await?;
                assert!(
                    matches!(&status, PathStatus::Held { lease, .. } if lease.token == guard.token()),
                    "{status:?}"
                );
                assert_eq!(own.mail().inspect(|session, _| session.epoch()), epoch);
                done.unwrap().send(()).unwrap();
                Ok(())
            }
        })
        .await
        .unwrap();
        let work = async {
            bus.initialize().await.unwrap();
            bus.send_to(&agent("blocked"), Draft::new("work")).await.unwrap();
            finished.await.unwrap();
            bus.shutdown().await.unwrap();
        };
        join(work, driver.run()).await;
    });
}
