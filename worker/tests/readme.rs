//! Goal: what a reader can copy works as printed: every command of the README and of the crates'
//! documentation.
//!
//! Method: the blocks of the README are taken out of its text and run, in its order, by the shell, in the
//! repository's root; only the port is changed to one that is free. What is not run here stands on a list
//! with the reason; a block or a command that is neither fails the test. Rust in the crates'
//! documentation is run by `cargo test` itself.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};

use libtest_mimic::{Arguments, Failed, Trial};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;
use support::bundle::release_bundle;

/// The port that the README prints.
const PORT: &str = "8787";

/// Commands that `.ci/run` runs, by the letter: a test that is part of it cannot.
const BY_CI: [&str; 3] = [
    "cargo run --release -p mailbus-sim",
    "cargo test --workspace",
    "cargo run --release -p mailbus-sim -- bugs",
];

/// Commands that nobody runs as they stand, and why.
const NOT_RUN: &[(&str, &str)] = &[
    ("npm ci", "the set-up of the tests runs it, with these files"),
    ("npx wrangler deploy", "it needs an account; it is run with --dry-run"),
    ("cargo bench -p mailbus-benches --bench objects", "figures take minutes; it is compiled"),
    ("cargo bench -p mailbus-benches --bench mail_flat", "figures take minutes; it is compiled"),
    ("cargo bench -p mailbus-benches --bench mail_objects", "figures take minutes; it is compiled"),
    ("cargo test -p mailbus-conformance --test search lease -- --nocapture", "a part of all tests"),
    (
        "cargo test -p mailbus-conformance --test search mailbox -- --nocapture",
        "a part of all tests",
    ),
    ("cargo test -p mailbus-worker --test conformance", "a part of all tests"),
    ("cargo test -p mailbus-worker --test conformance -- mailbox-native", "a part of all tests"),
    ("cargo test -p mailbus-worker --test mailbox_waking", "a part of all tests"),
    ("cargo test -p mailbus-worker --test programs -- rows", "a part of all tests"),
    ("cargo test -p mailbus-fuzz", "a part of all tests"),
    ("cargo run -p mailbus-fuzz --bin TARGET -- FILE", "all seeds are a part of all tests"),
];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let trials = vec![
        Trial::test("the_readme_s_blocks_do_what_it_says", blocks),
        Trial::test("every_command_is_run_or_on_the_list", commands),
        Trial::test("the_deployment_starts_and_would_be_deployed", deployment),
    ];
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn readme() -> String {
    fs::read_to_string(root().join("README.md")).unwrap()
}

/// The fenced blocks: their language, and their lines.
fn blocks_of(text: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(language) = line.trim().strip_prefix("```") {
            let block: Vec<_> = lines.by_ref().take_while(|line| line.trim() != "```").collect();
            blocks.push((language.to_owned(), block.join("\n")));
        }
    }
    blocks
}

/// The commands of a block: one a line, unless a quotation goes on; without comments.
fn commands_of(block: &str) -> Vec<String> {
    let mut commands: Vec<String> = Vec::new();
    let mut open = false;
    for line in block.lines() {
        let line = if open { line } else { line.split("  #").next().unwrap().trim_end() };
        match commands.last_mut().filter(|_| open) {
            Some(command) => *command = format!("{command}\n{line}"),
            None => commands.push(line.to_owned()),
        }
        open ^= line.matches('\'').count() % 2 == 1;
    }
    commands
}

/// A command in a process group of its own, which ends with this.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        let _ = kill_process_group(Pid::from_child(&self.0), Signal::TERM);
        let _ = self.0.wait();
    }
}

/// The shell in a folder, with a command that is as printed but for the port.
fn shell(folder: &Path, command: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).current_dir(folder).stdin(Stdio::null());
    // What cargo tells its tests is not what a reader's shell says.
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CARGO_")) {
        if name != "CARGO_HOME" {
            shell.env_remove(name);
        }
    }
    shell
}

/// Runs a command to its end.
fn output(folder: &Path, command: &str) -> Result<String, Failed> {
    let output = shell(folder, command).output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(said);
    }
    Err(format!("{command}: {}\n{said}{}", output.status, String::from_utf8_lossy(&output.stderr))
        .into())
}

/// Starts a command that goes on, and waits until it says that it is ready.
fn start(folder: &Path, command: &str, ready: &str) -> Result<Group, Failed> {
    let mut started = shell(folder, command);
    let mut child = started.process_group(0).stdout(Stdio::piped()).spawn()?;
    let out = BufReader::new(child.stdout.take().unwrap());
    let group = Group(child);
    let mut said = Vec::new();
    let mut lines = out.lines();
    for line in lines.by_ref() {
        said.push(line?);
        if said.last().is_some_and(|line| line.contains(ready)) {
            // It must not find its output closed.
            std::thread::spawn(move || lines.for_each(drop));
            return Ok(group);
        }
    }
    Err(format!("{command}: it ended before it was ready\n{}", said.join("\n")).into())
}

fn free_port() -> String {
    let free = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    free.local_addr().unwrap().port().to_string()
}

/// The README from "Use it" on, as somebody who reads it does: a server, and what is asked of it.
fn blocks() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let port = free_port();
    let mut server = None;
    let mut answers = Vec::new();
    for (language, block) in blocks_of(&readme()) {
        for command in commands_of(&block) {
            let printed = command.replace(PORT, &port);
            let word = command.split(' ').next().unwrap_or_default();
            match (language.as_str(), word) {
                ("sh", "curl") => {
                    let said = output(&root(), &printed)?;
                    answers.push(serde_json::from_str::<Value>(&said)?);
                }
                ("sh", "cargo") if BY_CI.contains(&command.as_str()) => {
                    let ci = fs::read_to_string(root().join(".ci/run"))?;
                    assert!(ci.contains(&command), ".ci/run does not run `{command}`");
                }
                ("sh", "cargo") if command.contains("--bin mailbusd") => {
                    let data = format!("--data {}", folder.path().join("data").display());
                    let started = printed.replace("--data data", &data);
                    assert_ne!(started, printed, "a reader's data lie in the current folder");
                    server = Some(start(&root(), &started, "listening on")?);
                }
                ("sh", "cargo") if command.ends_with("--example two_agents") => {
                    let told = output(&root(), &format!("{printed} -- http://127.0.0.1:{port}"))?;
                    assert!(told.contains("builder: planner wants"), "{told}");
                }
                // In `deployment`.
                ("sh", "cd" | "npm" | "npx") => {}
                ("", _) => assert!(block.contains("fuzz   benches"), "a picture: {block}"),
                _ => return Err(format!("nobody runs this block:\n{block}").into()),
            }
        }
    }
    assert!(server.is_some());
    let [acquired, leases, mail, sent, inbox] = &answers[..] else { panic!("{answers:?}") };
    assert_eq!(acquired["outcome"], "granted", "{acquired}");
    for recovered in [leases, mail] {
        assert_eq!(recovered["outcome"], "recovered", "{recovered}");
    }
    assert_eq!(sent["accepted"], true, "{sent}");
    assert_eq!(inbox["messages"][0]["id"], "m1", "{inbox}");
    Ok(())
}

/// Deployment as printed: what `wrangler dev` serves, and what `wrangler deploy` would upload.
fn deployment() -> Result<(), Failed> {
    // Its build command finds it done.
    release_bundle()?;
    let block = blocks_of(&readme()).into_iter().find(|(_, block)| block.contains("wrangler"));
    let commands = commands_of(&block.expect("there is a block").1);
    assert_eq!(commands[0], "cd worker");
    let worker = root().join("worker");
    let dev = commands.iter().find(|command| command.contains("wrangler dev")).unwrap();
    let deploy = commands.iter().find(|command| command.contains("wrangler deploy")).unwrap();
    let uploaded = output(&worker, &format!("{deploy} --dry-run"))?;
    for name in ["LEASE", "MAILBOX"] {
        assert!(uploaded.contains(&format!("env.{name}")), "{uploaded}");
    }

    let (port, folder) = (free_port(), tempfile::tempdir()?);
    let here = format!("{dev} --port {port} --persist-to {}", folder.path().display());
    let _server = start(&worker, &here, "Ready on")?;
    let curl = "curl -s --fail-with-body";
    let said = output(&root(), &format!("{curl} http://127.0.0.1:{port}/v1/version"))?;
    assert!(said.contains("mailbus"), "{said}");
    let asks = commands_of(&readme_block("lease/acquire"))[0].replace(PORT, &port);
    let granted: Value = serde_json::from_str(&output(&root(), &asks)?)?;
    assert_eq!(granted["outcome"], "granted", "{granted}");
    Ok(())
}

fn readme_block(with: &str) -> String {
    blocks_of(&readme()).into_iter().find(|(_, block)| block.contains(with)).unwrap().1
}

/// Commands in the text, in tables and in the documentation of the crates.
fn commands() -> Result<(), Failed> {
    let readme = readme();
    let printed: BTreeSet<String> =
        blocks_of(&readme).iter().flat_map(|(_, block)| commands_of(block)).collect();
    let mut texts = vec![("README.md".into(), readme)];
    for package in ["spec", "worker", "client", "sim", "benches", "fuzz"] {
        collect(&root().join(package), &mut texts);
    }
    for (file, text) in texts {
        for command in text.split('`').filter(|span| is_command(span)) {
            let known = printed.contains(command)
                || BY_CI.contains(&command)
                || NOT_RUN.iter().any(|(listed, _)| *listed == command);
            assert!(known, "{}: nobody runs `{command}`", file.display());
        }
    }
    Ok(())
}

fn is_command(span: &str) -> bool {
    let mut words = span.split_whitespace();
    let runs = matches!(words.next(), Some("cargo" | "npm" | "npx" | "curl" | "wrangler"));
    // Two words alone are a tool's name: `cargo fuzz`, `wrangler dev`.
    runs && words.count() > 1 && !span.contains('\n')
}

/// The documentation in the sources below a folder.
fn collect(folder: &Path, texts: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !matches!(name.as_str(), "node_modules" | "target" | "build" | "tests")
        {
            collect(&path, texts);
        } else if name.ends_with(".rs") {
            let text = fs::read_to_string(&path).unwrap();
            let comments = text.lines().filter_map(|line| line.trim().strip_prefix("//"));
            texts.push((path, comments.collect::<Vec<_>>().join("\n")));
        }
    }
}
