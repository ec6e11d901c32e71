//! A process whose calls of the system are written down and spoilt: `preload.c`, compiled and driven.
//!
//! It is the real program on the real system; what is below it is the test's.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

use super::daemon::{Daemon, Program};
use super::disk::{Call, Disk, read_record};

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/preload.c");

/// Reason why there can be no such process here: a trial's kind, if it has to be ignored. One that needs
/// another system says so; a tool that is missing on this one is not forgiven by `.ci/run`.
pub fn lacking() -> Option<&'static str> {
    if !cfg!(target_os = "linux") {
        return Some("needs Linux");
    }
    let compiler = Command::new("cc").arg("--version").output();
    compiler.map_or(true, |said| !said.status.success()).then_some("missing: cc")
}

/// The library, compiled once.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let made = folder.join(format!("preload-{}.so", std::process::id()));
        let mut compile = Command::new("cc");
        compile.args(["-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-o"]).arg(&made).arg(SOURCE);
        let said = compile.output().unwrap();
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        let library = folder.join("preload.so");
        std::fs::rename(made, &library).unwrap();
        library
    })
}

/// Setting that can be changed while the process runs: a member of `struct control`.
#[derive(Clone, Copy)]
enum Control {
    ClockMs,
    Failing,
    Full,
    Left,
}

/// A folder whose programs are watched, one after the other.
pub struct Watched {
    folder: TempDir,
    control: File,
}

impl Watched {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("disk")).unwrap();
        let mut options = File::options();
        options.read(true).write(true).create_new(true);
        let control = options.open(folder.path().join("control")).unwrap();
        control.set_len(4_096).unwrap();
        Self { folder, control }
    }

    /// The disk: everything in it is watched.
    pub fn disk(&self) -> PathBuf {
        self.folder.path().join("disk")
    }

    /// The program's data, which lie on the disk.
    pub fn data(&self) -> PathBuf {
        self.disk().join("data")
    }

    /// Starts a program on [`data`](Self::data). Its log lies beside the disk.
    pub fn start(&self, program: Program, arguments: &[&str]) -> Daemon {
        Daemon::spawn(&mut self.command(program, arguments), &self.folder.path().join("program"))
    }

    pub fn command(&self, program: Program, arguments: &[&str]) -> Command {
        let mut command = program.command(&self.data(), arguments);
        command
            .arg("--json")
            .env("LD_PRELOAD", library())
            .env("SHELLS_FOLDER", self.disk())
            .env("SHELLS_RECORD", self.folder.path().join("record"))
            .env("SHELLS_CONTROL", self.folder.path().join("control"));
        command
    }

    /// Log of the programs so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("program.log")).unwrap()
    }

    /// Shifts the wall clock, for those that run too.
    pub fn shift_clock(&self, milliseconds: i64) {
        self.set(Control::ClockMs, milliseconds);
    }

    /// Lets flushes of this file fail from now on.
    pub fn fail_flushes_of(&self, file: &Path) {
        let inode = std::fs::metadata(file).unwrap().ino();
        self.set(Control::Failing, i64::try_from(inode).unwrap());
    }

    /// Lets all flushes fail from now on, or all of them end well again.
    pub fn fail_flushes(&self, fail: bool) {
        self.set(Control::Failing, -i64::from(fail));
    }

    /// Fills the disk, or makes room on it.
    pub fn fill(&self, full: bool) {
        self.set(Control::Full, full.into());
    }

    /// Kills the process instead of its call of this number from now on, counted from 1. 0 is never.
    pub fn kill_at(&self, call: i64) {
        self.set(Control::Left, call);
    }

    /// Number of calls before that.
    pub fn calls_left(&self) -> i64 {
        let mut value = [0; 8];
        self.control.read_exact_at(&mut value, Control::Left as u64 * 8).unwrap();
        i64::from_ne_bytes(value)
    }

    fn set(&self, control: Control, value: i64) {
        self.control.write_all_at(&value.to_ne_bytes(), control as u64 * 8).unwrap();
    }

    /// The calls so far, of one process after the other.
    ///
    /// A program that starts another writes before it, and no more while that runs.
    pub fn calls(&self) -> Vec<Vec<Call>> {
        let records = std::fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap());
        let mut records: Vec<_> = records
            .filter(|entry| entry.file_name().to_string_lossy().starts_with("record."))
            .map(|entry| (entry.metadata().unwrap().modified().unwrap(), entry.path()))
            .collect();
        records.sort();
        records.iter().map(|(_, path)| read_record(&std::fs::read(path).unwrap())).collect()
    }

    /// The disk as all programs so far have left it.
    pub fn played(&self) -> Disk {
        let mut disk = Disk::new(&self.disk());
        for calls in self.calls() {
            disk.restarted();
            calls.iter().for_each(|call| disk.call(call));
        }
        disk
    }

    /// Cuts the power, after the programs were killed: what outlives it is the disk of another folder.
    pub fn cut(&self) -> Self {
        let cut = Self::new();
        self.played().cut(&self.disk(), &cut.disk());
        cut.adopt();
        cut
    }

    /// Takes what lies on the disk for durable.
    pub fn adopt(&self) {
        let mut before = Vec::new();
        write_down(&self.disk(), &mut before);
        std::fs::write(self.folder.path().join("record.0"), before).unwrap();
    }
}

/// A record of calls that make what lies in a folder, all of it durable.
fn write_down(folder: &Path, record: &mut Vec<u8>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let (inode, name) = (std::fs::metadata(&path).unwrap().ino(), path.display());
        if path.is_dir() {
            writeln!(record, "mkdir {name}").unwrap();
            write_down(&path, record);
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        writeln!(record, "open {inode} 1 {name}\nwrite {inode} 0 {}", bytes.len()).unwrap();
        record.extend(bytes);
        writeln!(record, "\nflush 0 {inode} {name}\nflushed 0 1").unwrap();
    }
    writeln!(record, "flush 0 0 {}\nflushed 0 1", folder.display()).unwrap();
}
