//! A runtime whose objects lose their memory when a case says so.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use mailbus_worker::router::Class;
use mailbus_worker::workerd::{Log, Options, Workerd};
use tempfile::TempDir;

use crate::bus::{Bus, a_moment};
use crate::support::bundle::release_bundle;
use crate::support::daemon::Program;

/// One database is open, whichever the workspace.
const FORGETFUL: &[&str] = &["--open-databases", "1", "--threads", "1"];

/// A runtime that can be made to drop an object's memory.
pub enum Forgetful {
    /// It keeps one database open, and so one object in memory.
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
                let log = bus.data().join(class.as_str()).join("w.sqlite-wal");
                assert!(log.exists(), "it is open");
                let mut connection = bus.connect().await;
                let question = match class {
                    Class::Lease => "/v1/other/lease/list",
                    Class::Mailbox => "/v1/other/mailbox/agents",
                };
                while log.exists() {
                    connection.post(question, "{}").await.unwrap();
                    a_moment().await;
                }
            }
        }
    }
}
