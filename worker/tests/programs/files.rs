//! Files of a program: how few it gets along with, and who may look into those that it makes.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use futures_util::future::join_all;

use crate::bus::{Bus, log_beside, run};
use crate::support::daemon::{Daemon, Program};
use crate::support::http::Connection;

/// The program with a limit of open files, which it cannot raise.
fn limited(program: Program, files: u32, data: &Path) -> Command {
    let inner = program.command(data, &["--anonymous", "--json"]);
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("ulimit -n {files}; exec \"$0\" \"$@\""));
    command.arg(inner.get_program()).args(inner.get_args());
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

/// Many more workspaces than it may have databases open, all asked at once.
pub fn few_are_enough(program: Program) {
    if program == Program::MailbusWorkerd {
        // Its runtime has its own ways.
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let refused = limited(program, 100, &data).output().unwrap();
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(
        said.contains("may have 100 files open and needs") && said.contains("ulimit -n"),
        "{said}"
    );
    assert!(!data.exists(), "it has not begun");

    let daemon = Daemon::spawn(&mut limited(program, 256, &data), &data);
    let acquire = r#"{"file":"a","agentId":"ann","ttlMs":60000}"#;
    let publish = r#"{"id":"1","type":"t","from":"ann","payload":{}}"#;
    run(async {
        let clients = (0..60).map(|client| async move {
            let mut connection = Connection::open(daemon.address).await.unwrap();
            for round in 0..3 {
                for (action, body) in [("lease/acquire", acquire), ("mailbox/publish", publish)] {
                    let path = format!("/v1/w{client}-{round}/{action}");
                    let answer = connection.post(&path, body).await.unwrap();
                    assert_eq!(answer.status, 200, "{path}: {}", answer.json());
                }
            }
        });
        join_all(clients).await;
    });
    let log = log_beside(&data);
    assert!(log.contains("open at most") && log.contains("files=256"), "{log}");
    assert!(!log.contains("ERROR"), "{log}");
}

/// Mail and leases are nobody else's.
pub fn are_for_their_owner_alone(program: Program) {
    let bus = Bus::start(program);
    run(async {
        let mut connection = bus.connect().await;
        let body = r#"{"file":"a","agentId":"ann","ttlMs":60000}"#;
        assert_eq!(connection.post("/v1/w/lease/acquire", body).await.unwrap().status, 200);
    });
    let mut looked = 0;
    let mut folders = vec![bus.data()];
    while let Some(folder) = folders.pop() {
        looked += 1;
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&folder), 0o700, "{}", folder.display());
        for entry in folder.read_dir().unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                looked += 1;
                assert_eq!(mode(&path) & 0o077, 0, "{}", path.display());
            }
        }
    }
    assert!(looked >= 4, "the folder, the lock, one of a class, and a database: {looked}");
}
