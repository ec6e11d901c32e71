//! A runtime whose objects lose their memory when a case says so.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use mailbus_worker::router::Class;
use mailbus_worker::workerd::{Log, Options, Workerd};
use tempfile::TempDir;

use crate::bus::Bus;
use crate::support::bundle::release_bundle;
use crate::support::daemon::Program;

/// One database of a class is open, and no memory is kept but its object's.
const FORGETFUL: &[&str] = &["--open-databases", "1", "--threads", "1", "--kept-memory", "0"];

/// A runtime that can be made to drop an object's memory.
pub enum Forgetful {
    /// It keeps one database of a class open, and the memory of no other.
    Mailbusd(Bus),
    /// It takes a request to evict, which `mailbus-workerd` does not let anybody send.
    Workerd { runtime: Box<Workerd>, _folder: TempDir },
}

impl Forgetful {
    pub fn start(program: Program) -> Self {
        if program == Program::Mailbusd {
            return Self::Mailbusd(Bus::start_with(program, FORGETFUL));
        }
        let folder = tempfile::tempdir().unwrap();
        let anonymous = ("MAILBUS_ALLOW_ANONYMOUS".to_owned(), "true".to_owned());
        let options = Options {
            bundle: release_bundle().unwrap_or_else(|failed| panic!("{failed:?}")),
            data: folder.path().join("data"),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            environment: BTreeMap::from([anonymous]),
            evictable: true,
            companion: None,
            front: None,
            log: Log::File(folder.path().join("log")),
        };
        let runtime = Box::new(Workerd::start(options).unwrap());
        Self::Workerd { runtime, _folder: folder }
    }

    pub fn address(&self) -> SocketAddr {
        match self {
            Self::Mailbusd(bus) => bus.address(),
            Self::Workerd { runtime, .. } => runtime.address(),
        }
    }

    /// Drops the workspace `w`'s object of a class from memory.
    pub async fn forget(&self, class: Class) {
        match self {
            Self::Workerd { runtime, .. } => {
                let exported = match class {
                    Class::Lease => "LeaseDurableObject",
                    Class::Mailbox => "MailboxDurableObject",
                };
                runtime.evict(exported, "w").unwrap();
            }
            Self::Mailbusd(bus) => {
                let mut connection = bus.connect().await;
                let (action, write) = match class {
                    Class::Lease => ("acquire", r#"{"file":"a","agentId":"z","ttlMs":60000}"#),
                    Class::Mailbox => {
                        ("publish", r#"{"id":"1","type":"t","from":"z","payload":{}}"#)
                    }
                };
                // It is answered when there was room for it: then `w` is closed.
                let path = format!("/v1/other/{}/{action}", class.as_str());
                assert_eq!(connection.post(&path, write).await.unwrap().status, 200);
            }
        }
    }
}
