//! The simulator as a program: explore, replay, and catch planted bugs.

use std::process::ExitCode;

use clap::Parser;
use mailbus_sim::command::{Arguments, run};

fn main() -> ExitCode {
    run(&Arguments::parse())
}
