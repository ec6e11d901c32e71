//! A disk that loses its power: what of a process's calls is still there afterwards.
//!
//! It is as bad as POSIX allows. A name is durable once its folder has been flushed, bytes once their
//! file has; a flush covers what was done before it began. A flush that failed has forgotten what it
//! should have written: the system keeps those pages and takes them for clean, so no later flush writes
//! them either, unless somebody writes the bytes again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A call, as `preload.c` writes it down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    Open { inode: u64, made: bool, path: PathBuf },
    MakeFolder { path: PathBuf },
    Rename { from: PathBuf, to: PathBuf },
    Unlink { path: PathBuf },
    Write { inode: u64, offset: usize, bytes: Vec<u8> },
    Resize { inode: u64, length: usize },
    Flush { number: u64, inode: u64, path: PathBuf },
    Flushed { number: u64, well: bool },
    Send { bytes: Vec<u8> },
}

impl Call {
    /// The answer of HTTP that begins to leave here, if one does: from its status on.
    pub fn answer(&self) -> Option<&str> {
        let Self::Send { bytes } = self else { return None };
        std::str::from_utf8(bytes).ok()?.strip_prefix("HTTP/1.1 ")
    }
}

/// Reads a record. What was being written when the process died is left out.
pub fn read_record(mut record: &[u8]) -> Vec<Call> {
    let mut calls = Vec::new();
    while let Some(call) = read_call(&mut record) {
        calls.push(call);
    }
    calls
}

fn read_call(record: &mut &[u8]) -> Option<Call> {
    let end = record.iter().position(|byte| *byte == b'\n')?;
    let (line, rest) = record.split_at(end);
    *record = &rest[1..];
    let line = std::str::from_utf8(line).unwrap();
    let words: Vec<&str> = line.split(' ').collect();
    let number = |index: usize| words[index].parse::<u64>().unwrap();
    let path = |index: usize| PathBuf::from(words[index]);
    let mut bytes = |count: &str| {
        let count: usize = count.parse().unwrap();
        let bytes = record.get(..count)?.to_vec();
        *record = record.get(count + 1..)?;
        Some(bytes)
    };
    Some(match words[0] {
        "open" => Call::Open { inode: number(1), made: number(2) == 1, path: path(3) },
        "mkdir" => Call::MakeFolder { path: path(1) },
        "rename" => Call::Rename { from: path(1), to: path(2) },
        "unlink" => Call::Unlink { path: path(1) },
        "write" => {
            let offset = usize::try_from(number(2)).unwrap();
            Call::Write { inode: number(1), offset, bytes: bytes(words[3])? }
        }
        "size" => Call::Resize { inode: number(1), length: usize::try_from(number(2)).unwrap() },
        "flush" => Call::Flush { number: number(1), inode: number(2), path: path(3) },
        "flushed" => Call::Flushed { number: number(1), well: number(2) == 1 },
        "send" => Call::Send { bytes: bytes(words[2])? },
        other => panic!("{other}: {line}"),
    })
}

/// Thing that a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Named {
    Folder,
    /// The file of this number: the system gives the inodes of files that are gone to others.
    File(usize),
}

type Names = BTreeMap<PathBuf, Named>;

#[derive(Clone, Debug)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Resize { length: usize },
}

impl Change {
    fn apply(self, contents: &mut Vec<u8>) {
        match self {
            Self::Write { offset, bytes } => {
                let end = offset + bytes.len();
                if contents.len() < end {
                    contents.resize(end, 0);
                }
                contents[offset..end].copy_from_slice(&bytes);
            }
            Self::Resize { length } => contents.resize(length, 0),
        }
    }
}

#[derive(Clone, Debug, Default)]
struct Contents {
    durable: Vec<u8>,
    /// Changes since, and how many came before the first of these.
    pending: Vec<Change>,
    before: usize,
}

impl Contents {
    fn changes(&self) -> usize {
        self.before + self.pending.len()
    }

    /// The pending ones of the first `count` changes that there ever were. They are pending no more.
    fn take(&mut self, count: usize) -> Vec<Change> {
        let taken = count.saturating_sub(self.before);
        self.before += taken;
        self.pending.drain(..taken).collect()
    }
}

/// A flush that has begun.
enum Flushing {
    File { file: usize, changes: usize },
    Folder { path: PathBuf, names: Names },
    Nothing,
}

/// The files below one folder.
#[derive(Default)]
pub struct Disk {
    names: Names,
    durable_names: Names,
    files: Vec<Contents>,
    by_inode: BTreeMap<u64, usize>,
    flushing: BTreeMap<u64, Flushing>,
}

impl Disk {
    /// An empty one, whose own folder is durable.
    pub fn new(folder: &Path) -> Self {
        let names = Names::from([(folder.to_path_buf(), Named::Folder)]);
        Self { durable_names: names.clone(), names, ..Self::default() }
    }

    /// The calls of another process.
    pub fn restarted(&mut self) {
        self.flushing.clear();
    }

    pub fn call(&mut self, call: &Call) {
        match call.clone() {
            Call::Open { inode, made, path } => {
                if made || !self.by_inode.contains_key(&inode) {
                    self.by_inode.insert(inode, self.files.len());
                    self.files.push(Contents::default());
                }
                self.names.insert(path, Named::File(self.by_inode[&inode]));
            }
            Call::MakeFolder { path } => drop(self.names.insert(path, Named::Folder)),
            Call::Rename { from, to } => {
                let named = self.names.remove(&from).unwrap();
                self.names.insert(to, named);
            }
            Call::Unlink { path } => drop(self.names.remove(&path)),
            Call::Write { inode, offset, bytes } => {
                self.change(inode, Change::Write { offset, bytes });
            }
            Call::Resize { inode, length } => self.change(inode, Change::Resize { length }),
            Call::Flush { number, inode, path } => {
                let flushing = self.begin_flush(inode, path);
                self.flushing.insert(number, flushing);
            }
            Call::Flushed { number, well } => {
                if let Some(flushing) = self.flushing.remove(&number) {
                    self.end_flush(flushing, well);
                }
            }
            Call::Send { .. } => {}
        }
    }

    fn change(&mut self, inode: u64, change: Change) {
        if let Some(file) = self.by_inode.get(&inode) {
            self.files[*file].pending.push(change);
        }
    }

    fn begin_flush(&self, inode: u64, path: PathBuf) -> Flushing {
        if self.names.get(&path) == Some(&Named::Folder) {
            let names = self.names.iter().filter(|(name, _)| name.parent() == Some(&path));
            let names = names.map(|(name, named)| (name.clone(), *named)).collect();
            return Flushing::Folder { path, names };
        }
        let Some(file) = self.by_inode.get(&inode) else { return Flushing::Nothing };
        Flushing::File { file: *file, changes: self.files[*file].changes() }
    }

    fn end_flush(&mut self, flushing: Flushing, well: bool) {
        match flushing {
            Flushing::File { file, changes } => {
                let file = &mut self.files[file];
                for change in file.take(changes).into_iter().filter(|_| well) {
                    change.apply(&mut file.durable);
                }
            }
            Flushing::Folder { path, names } if well => {
                self.durable_names.retain(|name, _| name.parent() != Some(&path));
                self.durable_names.extend(names);
            }
            Flushing::Folder { .. } | Flushing::Nothing => {}
        }
    }

    /// Path of the file of this inode.
    pub fn path_of(&self, inode: u64) -> Option<&Path> {
        let file = Named::File(*self.by_inode.get(&inode)?);
        self.names.iter().find(|(_, named)| **named == file).map(|(path, _)| path.as_path())
    }

    /// Loss by a cut as the process sees it, of the files that `of_interest`: names that are not
    /// durable, and files with bytes that are not.
    pub fn at_stake(&self, of_interest: impl Fn(&Path) -> bool) -> Vec<String> {
        let mut found = Vec::new();
        for (path, named) in self.names.iter().filter(|(path, _)| of_interest(path)) {
            if self.durable_names.get(path) != Some(named) {
                found.push(format!("the name {}", path.display()));
            }
            if let Named::File(file) = named
                && !self.files[*file].pending.is_empty()
            {
                found.push(format!(
                    "{} changes of {}",
                    self.files[*file].pending.len(),
                    path.display()
                ));
            }
        }
        found
    }

    /// Cuts the power: makes `folder` what the disk's own folder, `from`, is afterwards.
    pub fn cut(&self, from: &Path, folder: &Path) {
        // In the order of their names, so a folder comes before what is in it.
        for (path, named) in &self.durable_names {
            let target = folder.join(path.strip_prefix(from).unwrap());
            if !target.parent().is_some_and(Path::is_dir) {
                continue;
            }
            match named {
                Named::Folder if target == folder => {}
                Named::Folder => std::fs::create_dir(target).unwrap(),
                Named::File(file) => std::fs::write(target, &self.files[*file].durable).unwrap(),
            }
        }
    }
}
