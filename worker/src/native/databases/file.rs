//! Databases in files, one for each workspace.

use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use mailbus_spec::Workspace;

use crate::native::flush::{Flush, WalFlush};
use crate::native::folder;
use crate::native::sqlite::Database;
use crate::storage::StorageError;

use super::{Databases, Opened};

/// A folder with one SQLite file for each workspace that something was written to.
#[derive(Clone, Debug)]
pub struct FileDatabases {
    folder: PathBuf,
}

/// What the files end in. No encoded name has a dot.
const EXTENSION: &str = "sqlite";

/// The longest part of an encoded name that is one file's name: with what SQLite appends, below the
/// 255 bytes that file systems allow.
const PART_MAX: usize = 200;

impl FileDatabases {
    /// The databases in this folder, which is created if it is not there.
    ///
    /// # Errors
    /// [`StorageError`] if it cannot be created.
    pub fn in_folder(folder: &Path) -> Result<Self, StorageError> {
        folder::create(folder).map_err(failed(folder))?;
        Ok(Self { folder: folder.to_path_buf() })
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
        let log = Rc::clone(&flush);
        let open = move |file: &Path| {
            if let Some(folder) = file.parent() {
                folder::create(folder).map_err(failed(folder))?;
            }
            let database = Database::in_file(file)?;
            log.attach(file).map_err(failed(file))?;
            Ok(database)
        };
        let database = Database::once_written(file, open)?;
        Ok(Opened { database, flush: Some(flush as Rc<dyn Flush>) })
    }

    fn existing(&self) -> Result<Vec<Workspace>, StorageError> {
        let mut found = Vec::new();
        collect(&self.folder, "", &mut found)?;
        found.sort();
        Ok(found)
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
    fn every_workspace_has_a_file_of_its_own_and_is_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let databases = FileDatabases::in_folder(folder.path()).unwrap();
        let (capitals, small) = ("Z".repeat(128), "z".repeat(128));
        let mut names = vec![capitals.as_str(), &small, "a", "A", "a.", "a:", "..", ".", "-", "0"];
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
