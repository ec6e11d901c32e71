//! The real programs on real addresses, which a test may kill.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// A program that runs a bus on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// The native shell on SQLite files.
    Mailbusd,
    /// The release module in Cloudflare's runtime.
    MailbusWorkerd,
}

impl Program {
    pub const ALL: [Self; 2] = [Self::Mailbusd, Self::MailbusWorkerd];

    pub fn name(self) -> &'static str {
        match self {
            Self::Mailbusd => "mailbusd",
            Self::MailbusWorkerd => "mailbus-workerd",
        }
    }

    /// It with these arguments, on a port of its own.
    pub fn command(self, data: &Path, arguments: &[&str]) -> Command {
        self.command_at("127.0.0.1:0", data, arguments)
    }

    /// It with these arguments, at this address, and with nothing of the test's environment that would
    /// change whom it lets in.
    pub fn command_at(self, listen: &str, data: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(match self {
            Self::Mailbusd => env!("CARGO_BIN_EXE_mailbusd"),
            Self::MailbusWorkerd => env!("CARGO_BIN_EXE_mailbus-workerd"),
        });
        command
            .args(["--listen", listen, "--data"])
            .arg(data)
            .args(arguments)
            .env_remove("MAILBUS_ALLOW_ANONYMOUS")
            .env_remove("MAILBUS_SECRET")
            .env_remove("MAILBUS_SUSPENDED")
            .env_remove("RUST_LOG")
            .stdin(Stdio::null());
        command
    }

    /// Starts it and waits until it says that it listens. Its log goes to a file beside the data.
    pub fn start(self, data: &Path, arguments: &[&str]) -> Daemon {
        Daemon::spawn(self.command(data, arguments).arg("--json"), data)
    }
}

/// A running program; dropping it kills it.
pub struct Daemon {
    child: Child,
    out: BufReader<ChildStdout>,
    pub address: SocketAddr,
    /// The line it printed when it was ready.
    pub ready: String,
}

impl Daemon {
    /// Starts `mailbusd`.
    pub fn start(data: &Path, arguments: &[&str]) -> Self {
        Program::Mailbusd.start(data, arguments)
    }

    /// Starts a program that was made to order.
    pub fn spawn(command: &mut Command, data: &Path) -> Self {
        let log = data.with_extension("log");
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(File::options().create(true).append(true).open(&log).unwrap())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut ready = String::new();
        out.read_line(&mut ready).unwrap();
        let Some(address) = address_in(&ready) else {
            let _ = child.kill();
            let _ = child.wait();
            panic!("not ready: {ready:?}\n{}", std::fs::read_to_string(&log).unwrap());
        };
        Self { child, out, address, ready }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Ends it as a power cut of the process would. What it had started is not told.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ends it and all of its process group, which must be its own.
    pub fn kill_group(&mut self) {
        kill_process_group(Pid::from_child(&self.child), Signal::KILL).unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to end.
    pub fn ask_to_stop(&self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
    }

    /// Waits until it has ended, which it has to in a minute. Returns whether it ended well, and what else it
    /// printed.
    pub fn ended(&mut self) -> (bool, String) {
        let looks = (0..6_000).find_map(|_| {
            std::thread::sleep(Duration::from_millis(10));
            self.child.try_wait().unwrap()
        });
        let ended = looks.unwrap_or_else(|| panic!("{} still runs after a minute", self.id()));
        let mut rest = String::new();
        self.out.read_to_string(&mut rest).unwrap();
        (ended.success(), rest)
    }
}

/// The address in a line that says where a program listens.
fn address_in(ready: &str) -> Option<SocketAddr> {
    let (_, rest) = ready.split_once("http://")?;
    rest.split(['"', '\n']).next()?.parse().ok()
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
