//! Folders whose names survive a loss of power.

use std::fs;
use std::io;
use std::path::Path;

/// Makes a folder and what is missing above it, durably: each new name is flushed in the folder that
/// holds it.
///
/// # Errors
/// If a folder cannot be made or flushed.
pub(crate) fn create(folder: &Path) -> io::Result<()> {
    create_with(folder, &mut flush)
}

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
    fn a_folder_that_cannot_be_flushed_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        let failed = create_with(&root.path().join("a/b"), &mut |_| Err(io::Error::other("no")));
        assert!(failed.is_err());
        super::create(&root.path().join("c/d")).unwrap();
        flush(&root.path().join("c/d")).unwrap();
    }
}
