//! Running a tool: its output is kept back and shown only when it fails.

use std::process::Command;

use super::Error;

/// Enough lines of a failed tool's output to see the reason, few enough to read.
const OUTPUT_LINES: usize = 120;

/// Runs `command` to its end and returns what it wrote to its standard output.
///
/// `advice` completes both "install …" and, for a tool that ran and failed, the sentence after it.
pub(super) fn run(
    command: &mut Command,
    install: &'static str,
    advice: &'static str,
) -> Result<String, Error> {
    let output = command.output().map_err(|source| Error::MissingProgram {
        program: command.get_program().to_string_lossy().into_owned(),
        advice: install,
        source,
    })?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    let printed = format!("{text}{}", String::from_utf8_lossy(&output.stderr));
    let lines: Vec<&str> = printed.lines().collect();
    let last = lines.get(lines.len().saturating_sub(OUTPUT_LINES)..).unwrap_or_default();
    Err(Error::Failed {
        command: line(command),
        status: output.status,
        advice,
        output: last.join("\n"),
    })
}

fn line(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}
