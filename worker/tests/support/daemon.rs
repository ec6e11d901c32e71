//! A real `mailbusd` on a real address, which a test may kill.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;

/// A running `mailbusd`; dropping it kills it.
pub struct Daemon {
    child: Child,
    out: BufReader<ChildStdout>,
    pub address: SocketAddr,
    pub ready: String,
}

/// `mailbusd` with these arguments, on a port of its own.
pub fn command(data: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mailbusd"));
    command
        .args(["--listen", "127.0.0.1:0", "--json", "--data"])
        .arg(data)
        .args(arguments)
        .env_remove("MAILBUS_ALLOW_ANONYMOUS")
        .env_remove("MAILBUS_SECRET")
        .env_remove("RUST_LOG")
        .stdin(Stdio::null());
    command
}

impl Daemon {
    /// Starts it and waits until it says that it listens. Its log goes to a file beside the data.
    pub fn start(data: &Path, arguments: &[&str]) -> Self {
        let log = data.with_extension("log");
        let mut child = command(data, arguments)
            .stdout(Stdio::piped())
            .stderr(File::options().create(true).append(true).open(&log).unwrap())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut ready = String::new();
        out.read_line(&mut ready).unwrap();
        let Ok(said) = serde_json::from_str::<Value>(&ready) else {
            panic!("not ready: {ready:?}\n{}", std::fs::read_to_string(&log).unwrap());
        };
        let url = said["url"].as_str().unwrap();
        let address = url.strip_prefix("http://").unwrap().parse().unwrap();
        assert_eq!(said["pid"], child.id());
        Self { child, out, address, ready }
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Ends it as a power cut of the process would.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to end.
    pub fn ask_to_stop(&self) {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    }

    /// Waits until it has ended. Returns whether it ended well, and what else it printed.
    pub fn ended(&mut self) -> (bool, String) {
        let ended = self.child.wait().unwrap();
        let mut rest = String::new();
        self.out.read_to_string(&mut rest).unwrap();
        (ended.success(), rest)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
