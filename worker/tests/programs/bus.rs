//! A program that runs for one case.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use libtest_mimic::Failed;
use tempfile::TempDir;

use crate::support::bundle::release_bundle;
use crate::support::daemon::{Daemon, Program};
use crate::support::http::{Connection, within_a_minute};
use crate::support::on_event_loop;

/// Builds what the program would build at its start, so that no case waits for it.
pub fn set_up(program: Program) -> Result<(), Failed> {
    match program {
        Program::Mailbusd => Ok(()),
        Program::MailbusWorkerd => release_bundle().map(drop),
    }
}

/// A running program that lets everybody in, with a folder of its own.
pub struct Bus {
    pub daemon: Daemon,
    folder: TempDir,
}

impl Bus {
    pub fn start(program: Program) -> Self {
        Self::start_with(program, &[])
    }

    pub fn start_with(program: Program, arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let daemon = program.start(&data_in(&folder), &[&["--anonymous"], arguments].concat());
        Self { daemon, folder }
    }

    pub fn data(&self) -> PathBuf {
        data_in(&self.folder)
    }

    pub fn address(&self) -> SocketAddr {
        self.daemon.address
    }

    pub async fn connect(&self) -> Connection {
        Connection::open(self.address()).await.unwrap()
    }
}

fn data_in(folder: &TempDir) -> PathBuf {
    folder.path().join("data")
}

/// Log of a program so far.
pub fn log_beside(data: &Path) -> String {
    std::fs::read_to_string(data.with_extension("log")).unwrap()
}

/// Runs a case that must not hang.
pub fn run<T>(case: impl Future<Output = T>) -> T {
    on_event_loop(within_a_minute(case))
}

/// Lets a little real time pass between two looks at something.
#[expect(clippy::disallowed_methods, reason = "the programs are on the real clock")]
pub async fn a_moment() {
    tokio::time::sleep(Duration::from_millis(2)).await;
}
