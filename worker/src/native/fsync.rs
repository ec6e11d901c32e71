//! Folders and files that survive a loss of power.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Makes a folder and what is missing above it, durably: each new name is flushed in the folder that
/// holds it.
///
/// # Errors
/// If a folder cannot be made or flushed.
pub(crate) fn create(folder: &Path) -> io::Result<()> {
    create_with(folder, &mut flush)
}

/// Writes a file anew, byte for byte, and makes it durable: for a file whose flush may have failed.
///
/// Flushing it again proves nothing. After a failure the system takes what it could not write for
/// written: it is read from memory, and gone after a loss of power. So every byte is written to a new
/// file, which takes the old one's place when it is durable; until then the old one is as it was.
///
/// # Errors
/// If it cannot be read, written or flushed. Then it has to be written anew before it is used.
pub(super) fn write_anew(file: &Path) -> io::Result<()> {
    let mut old = match fs::File::open(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    if old.metadata()?.len() == 0 {
        return Ok(());
    }
    let mut beside = file.as_os_str().to_owned();
    beside.push("-new");
    let beside = PathBuf::from(beside);
    let mut new = fs::File::create(&beside)?;
    // Not `io::copy`: a system that shares blocks between files would share those that are not there.
    let mut buffer = vec![0; COPIED_AT_ONCE];
    loop {
        let read = old.read(&mut buffer)?;
        let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
        new.write_all(bytes)?;
    }
    new.sync_all()?;
    fs::rename(&beside, file)?;
    file.parent().map_or(Ok(()), flush)
}

const COPIED_AT_ONCE: usize = 1 << 18;

/// Makes the names in this folder durable: those of files that were made or removed.
///
/// # Errors
/// What the system said.
#[cfg(unix)]
pub(super) fn flush(folder: &Path) -> io::Result<()> {
    fs::File::open(folder)?.sync_all()
}

/// Makes the names in this folder durable: here the system does that by itself.
///
/// # Errors
/// Never.
#[cfg(not(unix))]
pub(super) fn flush(_: &Path) -> io::Result<()> {
    Ok(())
}

fn create_with(folder: &Path, flush: &mut dyn FnMut(&Path) -> io::Result<()>) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let parent = match folder.parent() {
        None => return fs::create_dir(folder),
        // A relative name of one part lies in the current folder.
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
    };
    create_with(parent, flush)?;
    match fs::create_dir(folder) {
        // Somebody else was quicker, and may not have flushed it yet.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => {}
        made => made?,
    }
    flush(parent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_new_folder_is_flushed_in_its_parent() {
        let root = tempfile::tempdir().unwrap();
        let [data, lease, nested] =
            ["data", "data/lease", "data/lease/nested"].map(|name| root.path().join(name));
        let mut flushed = Vec::new();
        let mut create = |folder: &Path| {
            create_with(folder, &mut |parent| {
                flushed.push(parent.to_path_buf());
                Ok(())
            })
            .unwrap();
            std::mem::take(&mut flushed)
        };
        assert_eq!(create(&lease), [root.path().to_path_buf(), data.clone()]);
        assert_eq!(create(&nested), [lease]);
        assert!(create(&nested).is_empty(), "nothing is new");
        assert!(nested.is_dir());
    }

    #[test]
    fn a_file_that_is_written_anew_is_another_with_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.sqlite-wal");
        write_anew(&file).unwrap();
        assert!(!file.exists(), "there is nothing to write");
        let bytes: Vec<u8> = (0..COPIED_AT_ONCE * 2 + 17).map(|n| (n % 251) as u8).collect();
        fs::write(&file, &bytes).unwrap();
        let old = fs::File::open(&file).unwrap();
        write_anew(&file).unwrap();
        assert_eq!(fs::read(&file).unwrap(), bytes);
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            let number = |metadata: fs::Metadata| metadata.ino();
            assert_ne!(number(old.metadata().unwrap()), number(file.metadata().unwrap()));
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_folder_that_cannot_be_flushed_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        let failed = create_with(&root.path().join("a/b"), &mut |_| Err(io::Error::other("no")));
        assert!(failed.is_err());
        super::create(&root.path().join("c/d")).unwrap();
        flush(&root.path().join("c/d")).unwrap();
    }
}
