//! The process: its files, its start, the report of its ports, its end.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use serde::Deserialize;
use tokio::sync::oneshot;

use crate::native::fsync;

use super::{Error, Log, Options, config, eviction};

/// Enough of the last messages to see why a start failed.
const MESSAGE_LINES: usize = 20;

/// Addresses where a process listens.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ports {
    /// The worker.
    pub http: u16,
    /// The service that evicts, if there is one.
    pub eviction: Option<u16>,
    /// The companion, if there is one.
    pub companion: Option<u16>,
}

/// A running process. Dropping it kills it.
#[derive(Debug)]
pub(super) struct Process {
    guard: Child,
    ports: Ports,
    /// Told when the runtime's report ends, and so the runtime.
    over: oneshot::Receiver<()>,
}

/// A line of the runtime's report on descriptor 3.
#[derive(Deserialize)]
struct Listening {
    socket: String,
    port: u16,
}

impl Process {
    pub(super) fn start(options: &Options) -> Result<Self, Error> {
        let config = write_files(options)?;
        let mut guard = command(options, &config)?.spawn().map_err(Error::Spawn)?;
        let report = guard.stdout.take().map(BufReader::new);
        let ready = report.and_then(|mut report| {
            let ports = read_ports(&mut report, Expected::by(options))?;
            Some((ports, report))
        });
        match ready {
            Some((ports, report)) => Ok(Self { guard, ports, over: until_over(report) }),
            None => Err(not_listening(guard, options)),
        }
    }

    /// Ends when the runtime has ended without being asked to, and says how. To be asked once.
    pub(super) async fn ended(&mut self) -> io::Result<ExitStatus> {
        // Whether told or dropped: nobody reads the report any more.
        let _ = (&mut self.over).await;
        self.guard.wait()
    }

    pub(super) fn ports(&self) -> Ports {
        self.ports
    }

    /// Has the runtime killed and waits for its end. One that has ended already is no error.
    pub(super) fn kill(&mut self) {
        // Waiting closes the pipe that the guard reads.
        let _ = self.guard.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Writes the configuration and what it refers to, and returns its path.
fn write_files(options: &Options) -> Result<PathBuf, Error> {
    let unwritable = |path: &Path| {
        let path = path.to_path_buf();
        move |source| Error::Data { path, source }
    };
    let objects = options.data.join(config::OBJECTS);
    let deployment = options.bundle.deployment();
    for binding in deployment.bindings() {
        // The runtime would make it too, and not flush its name.
        let class = objects.join(config::unique_key(deployment, &binding.class));
        fsync::create(&class).map_err(unwritable(&class))?;
    }
    let objects = fs::canonicalize(&objects).map_err(unwritable(&objects))?;
    let eviction = options.evictable.then_some((config::EVICTION_SCRIPT, eviction::SCRIPT));
    let companion = options.companion.as_deref().map(|text| (config::COMPANION_SCRIPT, text));
    let front = options.front.as_deref().map(|text| (config::FRONT_SCRIPT, text));
    for (name, text) in eviction.into_iter().chain(companion).chain(front) {
        let script = options.data.join(name);
        fs::write(&script, text).map_err(unwritable(&script))?;
    }
    let path = options.data.join("workerd.capnp");
    let text = config::render(options, &objects.to_string_lossy());
    fs::write(&path, text).map_err(unwritable(&path))?;
    Ok(path)
}

/// The shell between this program and the runtime.
///
/// The standard library can neither hand over descriptor 3, which the runtime reports on, nor tie a
/// child's life to its parent's without unsafe code. The shell can: it reads a pipe whose other end
/// this program holds, and kills the runtime as soon as that end is closed, also when this program was
/// itself killed. It ends with the runtime, however that ended, and passes its status on; only the
/// runtime holds the other end of the report then, so that the report's end says the same. The signals
/// that it ignores are those that a terminal sends to the whole group: it would leave the runtime
/// behind.
const GUARD: &str = r#"
trap '' HUP INT TERM
exec 4<&0
"$0" "$@" 3>&1 1>&2 </dev/null 4<&- &
runtime=$!
exec >/dev/null 2>&1
{ read -r _ <&4; kill -KILL $runtime; } &
watch=$!
wait $runtime
status=$?
kill -KILL $watch
exit $status
"#;

fn command(options: &Options, config: &Path) -> Result<Command, Error> {
    let mut command = Command::new("sh");
    command
        .args(["-c", GUARD])
        .arg(options.bundle.workerd())
        .args(["serve", "--control-fd=3", "--verbose"])
        .arg(format!("--import-path={}", options.bundle.folder().display()))
        .args(options.evictable.then_some("--experimental"))
        .arg(config)
        .envs(&options.environment)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(match &options.log {
            Log::Inherit => Stdio::inherit(),
            Log::File(path) => Stdio::from(append_to(path)?),
        });
    Ok(command)
}

fn append_to(path: &Path) -> Result<File, Error> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .map_err(|source| Error::Data { path: path.to_path_buf(), source })
}

/// Sockets that a start has to report besides the worker's.
#[derive(Clone, Copy, Default)]
struct Expected {
    eviction: bool,
    companion: bool,
}

impl Expected {
    fn by(options: &Options) -> Self {
        Self { eviction: options.evictable, companion: options.companion.is_some() }
    }
}

/// Reads the rest of the report, so that the runtime never finds the pipe broken or full, and tells
/// when it ends.
fn until_over(mut report: impl BufRead + Send + 'static) -> oneshot::Receiver<()> {
    let (tell, over) = oneshot::channel();
    std::thread::spawn(move || {
        let _ = io::copy(&mut report, &mut io::sink());
        // Nobody may be waiting.
        let _ = tell.send(());
    });
    over
}

/// Reads the report until every socket listens; `None` if it ends before.
fn read_ports(report: &mut impl BufRead, expected: Expected) -> Option<Ports> {
    let mut http = None;
    let mut eviction = None;
    let mut companion = None;
    for line in report.lines() {
        let line = line.ok()?;
        // Other events may be reported: what is not a socket's is skipped.
        let Ok(Listening { socket, port }) = serde_json::from_str(&line) else { continue };
        match socket.as_str() {
            config::HTTP => http = Some(port),
            config::EVICTION => eviction = Some(port),
            config::COMPANION => companion = Some(port),
            _ => {}
        }
        if let Some(http) = http
            && (eviction.is_some() || !expected.eviction)
            && (companion.is_some() || !expected.companion)
        {
            return Some(Ports { http, eviction, companion });
        }
    }
    None
}

fn not_listening(mut guard: Child, options: &Options) -> Error {
    // The report has ended, and so has the runtime: the guard passes its status on.
    let status = guard.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
    let messages = match &options.log {
        Log::File(path) => fs::read_to_string(path).unwrap_or_default(),
        Log::Inherit => String::new(),
    };
    let lines: Vec<&str> = messages.lines().collect();
    let last = lines.get(lines.len().saturating_sub(MESSAGE_LINES)..).unwrap_or_default();
    let messages = last.iter().map(|line| format!("\n{line}")).collect();
    Error::NotListening { listen: options.listen, status, messages }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_complete_when_every_socket_listens() {
        let report = concat!(
            r#"{"event":"listen","socket":"http","port":4}"#,
            "\n",
            r#"{"event":"something else"}"#,
            "\n",
            r#"{"event":"listen","socket":"eviction","port":5}"#,
            "\n",
        );
        let read = |expected| read_ports(&mut report.as_bytes(), expected);
        let alone = Expected::default();
        let evictable = Expected { eviction: true, ..alone };
        let accompanied = Expected { companion: true, ..alone };
        assert!(matches!(read(alone), Some(Ports { http: 4, eviction: None, .. })));
        assert!(matches!(read(evictable), Some(Ports { http: 4, eviction: Some(5), .. })));
        assert!(read(accompanied).is_none(), "its socket is missing");
        assert!(read_ports(&mut &b""[..], alone).is_none());
    }
}
