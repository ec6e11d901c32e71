//! The scripts on disk.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

use super::super::subject::Subject;

/// One script file.
#[derive(Clone, Debug)]
pub struct ScriptFile {
    /// Story that it tells, from the file's name: `a_cancel_leaves_no_orphan`.
    pub name: String,
    /// Path of the file.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
}

/// All scripts of a service, by name. They lie beside the sources of the specification.
///
/// # Errors
/// What the file system says.
pub fn scripts_of<S: Subject>() -> io::Result<Vec<ScriptFile>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts").join(S::NAME);
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "txt") {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().to_string();
            let text = fs::read_to_string(&path)?;
            files.push(ScriptFile { name, path, text });
        }
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}

/// True if expectations are to be written anew: `REWRITE=1`.
#[must_use]
pub fn rewriting() -> bool {
    env::var_os("REWRITE").is_some_and(|value| value == "1")
}
