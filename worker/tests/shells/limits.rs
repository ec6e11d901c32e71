//! A process that may have few files open.

use std::process::Command;

use serde_json::json;

use crate::bus::run;
use crate::mail;
use crate::support::daemon::{Daemon, Program};
use crate::support::http::Connection;

/// Number of connections that there have to be files for, besides the databases.
const CONNECTIONS: usize = 64;

/// The program, under this limit of open files.
fn limited(program: Program, data: &std::path::Path, files: u64) -> Command {
    let plain = program.command(data, &["--anonymous", "--json", "--threads", "2"]);
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -n \"$0\" && exec \"$@\"", &files.to_string()]);
    limited.arg(plain.get_program()).args(plain.get_args());
    limited.stdin(std::process::Stdio::null()).env_remove("RUST_LOG");
    limited
}

/// With the limits that systems set by themselves it serves many connections and workspaces at once.
pub fn small_limits_are_lived_with(program: Program) {
    for files in [256, 512, 840] {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let daemon = Daemon::spawn(&mut limited(program, &data, files), &data);
        run(async {
            let mut sockets = Vec::new();
            let mut connections = Vec::new();
            for n in 0..CONNECTIONS / 2 {
                sockets.push(mail::open(daemon.address, &format!("agent-{n}"), "").await);
                connections.push(Connection::open(daemon.address).await.unwrap());
            }
            for n in 0..160 {
                let connection = &mut connections[n % (CONNECTIONS / 2)];
                let body = json!({"agentId": "ann", "file": "f", "ttlMs": 60_000});
                let path = format!("/v1/w{}/lease/acquire", n % 80);
                let answer = connection.post(&path, &body.to_string()).await.unwrap();
                assert_eq!(answer.status, 200, "{files} files: {answer:?}");
            }
        });
    }
}

/// Below what it needs it does not start, and says what to do.
pub fn too_small_a_limit_is_refused(program: Program) {
    let folder = tempfile::tempdir().unwrap();
    let refused = limited(program, &folder.path().join("data"), 40).output().unwrap();
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("ulimit -n"), "{said}");
}
