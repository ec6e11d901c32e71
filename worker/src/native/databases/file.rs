//! Databases in files, one for each workspace.
//!
//! # What is trusted to be on the disk
//!
//! What the log of a database holds when a process opens it first may never have been flushed, or a
//! flush may have failed: of that no trace is left. So the log is [written
//! anew](fsync::write_anew) before the database is opened, and again after each flush that failed.
//! A log that this process has flushed well is opened as it is.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use mailbus_spec::{Workspace, limits};

use crate::native::flush::{Flush, WalFlush};
use crate::native::fsync;
use crate::native::sqlite::{Database, log_of};
use crate::storage::StorageError;

use super::{Databases, Opened};

/// A folder with one SQLite file for each workspace that something was written to.
#[derive(Clone, Debug)]
pub struct FileDatabases {
    folder: PathBuf,
    known: Arc<Known>,
    /// Number that there may be.
    most: usize,
}

/// Knowledge that all handles to the databases of a folder share, on whichever thread.
#[derive(Debug, Default)]
struct Known {
    /// The files whose logs this process has opened, and flushed well since.
    trusted: Mutex<BTreeSet<PathBuf>>,
    /// Number of databases.
    count: AtomicUsize,
}

impl Known {
    fn trusted<T>(&self, look: impl FnOnce(&mut BTreeSet<PathBuf>) -> T) -> T {
        look(&mut self.trusted.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

/// Extension of the files. No encoded name has a dot.
const EXTENSION: &str = "sqlite";

/// The longest part of an encoded name that is one file's name: with what SQLite appends, below the
/// 255 bytes that file systems allow.
const PART_MAX: usize = 200;

impl FileDatabases {
    /// The databases in this folder, which is created if it is not there.
    ///
    /// # Errors
    /// [`StorageError`] if it cannot be created or read.
    pub fn in_folder(folder: &Path) -> Result<Self, StorageError> {
        fsync::create(folder).map_err(failed(folder))?;
        let databases =
            Self { folder: folder.to_path_buf(), known: Arc::default(), most: limits::WORKSPACES };
        databases.known.count.store(databases.existing()?.len(), Ordering::Relaxed);
        Ok(databases)
    }

    /// The same with room for so many workspaces.
    #[must_use]
    pub fn with_room_for(self, most: usize) -> Self {
        Self { most, ..self }
    }

    /// The file of a workspace.
    #[must_use]
    pub fn file_of(&self, workspace: &Workspace) -> PathBuf {
        let mut file = self.folder.clone();
        let name = encode(workspace);
        let mut rest = name.as_str();
        while let Some((part, left)) =
            rest.split_at_checked(PART_MAX).filter(|(_, left)| !left.is_empty())
        {
            file.push(part);
            rest = left;
        }
        file.push(rest);
        file.set_extension(EXTENSION);
        file
    }
}

impl Databases for FileDatabases {
    fn open(&self, workspace: &Workspace) -> Result<Opened, StorageError> {
        let file = self.file_of(workspace);
        let flush = Rc::new(WalFlush::default());
        let (log, known, most) = (Rc::clone(&flush), Arc::clone(&self.known), self.most);
        let open = move |file: &Path| {
            if known.count() >= most && !file.exists() {
                return Err(StorageError(format!(
                    "there are {most} workspaces, and may be no more"
                )));
            }
            if let Some(folder) = file.parent() {
                fsync::create(folder).map_err(failed(folder))?;
            }
            let is_new = fs::File::create_new(file).is_ok();
            let is_trusted = known.trusted(|trusted| trusted.contains(file));
            let opened = open(file, is_trusted, &log);
            if opened.is_ok() {
                known.trusted(|trusted| trusted.insert(file.to_path_buf()));
                known.count.fetch_add(usize::from(is_new), Ordering::Relaxed);
            } else if is_new {
                // Nobody knows what of it is on the disk.
                remove(file);
            }
            opened
        };
        let database = Database::once_written(file, open)?;
        Ok(Opened { database, flush: Some(flush as Rc<dyn Flush>) })
    }

    fn distrust(&self, workspace: &Workspace) {
        let file = self.file_of(workspace);
        self.known.trusted(|trusted| trusted.remove(&file));
    }

    fn has_room(&self) -> bool {
        self.known.count() < self.most
    }

    fn delete(&self, workspace: &Workspace) -> Result<(), StorageError> {
        let file = self.file_of(workspace);
        fs::remove_file(&file).map_err(failed(&file))?;
        remove(&file);
        self.distrust(workspace);
        self.known.count.fetch_sub(1, Ordering::Relaxed);
        Ok(())
    }

    fn existing(&self) -> Result<Vec<Workspace>, StorageError> {
        let mut found = Vec::new();
        collect(&self.folder, "", &mut found)?;
        found.sort();
        Ok(found)
    }
}

/// Opens the database in this file, which may be empty, with the log that `flush` is for.
fn open(file: &Path, is_trusted: bool, flush: &WalFlush) -> Result<Database, StorageError> {
    if !is_trusted {
        let log = log_of(file);
        fsync::write_anew(&log).map_err(failed(&log))?;
    }
    let database = Database::in_file(file)?;
    flush.attach(file).map_err(failed(file))?;
    Ok(database)
}

/// Removes what is there of a database.
fn remove(file: &Path) {
    for end in ["", "-journal", "-wal"] {
        let mut name = file.as_os_str().to_owned();
        name.push(end);
        let _ = fs::remove_file(PathBuf::from(name));
    }
}

/// Adds the workspaces below a folder whose path below the databases' is `prefix`.
fn collect(folder: &Path, prefix: &str, found: &mut Vec<Workspace>) -> Result<(), StorageError> {
    for entry in fs::read_dir(folder).map_err(failed(folder))? {
        let path = entry.map_err(failed(folder))?.path();
        let Some(stem) = path.file_stem().and_then(|stem| stem.to_str()) else { continue };
        let name = format!("{prefix}{stem}");
        if path.is_dir() {
            collect(&path, &name, found)?;
        } else if path.extension().is_some_and(|extension| extension == EXTENSION) {
            found.extend(decode(&name));
        }
    }
    Ok(())
}

/// A name that is safe and distinct on file systems that ignore case too: capitals become `_` and the
/// small letter; `_`, `:` and `.` become `__`, `_0` and `_1`.
fn encode(workspace: &Workspace) -> String {
    let mut name = String::new();
    for character in workspace.as_str().chars() {
        match character {
            '_' => name.push_str("__"),
            ':' => name.push_str("_0"),
            '.' => name.push_str("_1"),
            capital if capital.is_ascii_uppercase() => {
                name.push('_');
                name.push(capital.to_ascii_lowercase());
            }
            plain => name.push(plain),
        }
    }
    name
}

fn decode(name: &str) -> Option<Workspace> {
    let mut text = String::new();
    let mut characters = name.chars();
    while let Some(character) = characters.next() {
        text.push(match character {
            '_' => match characters.next()? {
                '_' => '_',
                '0' => ':',
                '1' => '.',
                small => small.to_ascii_uppercase(),
            },
            plain => plain,
        });
    }
    Workspace::new(text).ok()
}

fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> StorageError {
    let path = path.display().to_string();
    move |error| StorageError(format!("{path}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::Storage;

    #[test]
    fn a_name_of_any_length_is_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let databases = FileDatabases::in_folder(folder.path()).unwrap();
        // Each capital is two characters of the file's name.
        for length in 90..=128 {
            let workspace = Workspace::new("W".repeat(length)).unwrap();
            let mut opened = databases.open(&workspace).unwrap();
            let made =
                opened.database.execute("CREATE TABLE t (id INTEGER PRIMARY KEY) STRICT", &[]);
            assert!(made.is_ok(), "{length}: {made:?}");
        }
        assert_eq!(databases.existing().unwrap().len(), 39);
    }

    #[test]
    fn every_workspace_has_a_file_of_its_own_and_is_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let databases = FileDatabases::in_folder(folder.path()).unwrap();
        let (capitals, small) = ("Z".repeat(128), "z".repeat(128));
        let mut names =
            vec![capitals.as_str(), &small, "a", "A", "a.", "a:", "...", ".a", "-", "0"];
        names.extend(["a-1", "_a", "__", "_", "_0", "_1", "a_", "A_"]);
        let mut workspaces: Vec<_> =
            names.iter().map(|name| Workspace::new(*name).unwrap()).collect();
        for workspace in &workspaces {
            let mut opened = databases.open(workspace).unwrap();
            opened.database.execute("CREATE TABLE t (id INTEGER PRIMARY KEY) STRICT", &[]).unwrap();
        }
        workspaces.sort();
        assert_eq!(databases.existing().unwrap(), workspaces);
        // Names that differ in nothing but case would be one file on some systems.
        let folded: std::collections::BTreeSet<_> = workspaces
            .iter()
            .map(|workspace| databases.file_of(workspace).to_str().unwrap().to_lowercase())
            .collect();
        assert_eq!(folded.len(), names.len());
    }
}
