//! Goal: the two programs that run a bus on one machine behave alike: `mailbusd`, which is the native
//! shell, and `mailbus-workerd`, which is the release module in Cloudflare's runtime.
//!
//! Method: real processes on real addresses with real files. One table of cases, each of them a trial
//! for each program, named `program::case`. Time is the machine's: a case waits for what it wants to
//! see, and fails only when that does not come within a minute.
//!
//! ```text
//! cargo test -p mailbus-worker --test programs                          all of it
//! cargo test -p mailbus-worker --test programs -- mailbus-workerd::rows some of it
//! ```

mod support;

#[path = "programs/bus.rs"]
mod bus;
#[path = "programs/ending.rs"]
mod ending;
#[path = "programs/original.rs"]
mod original;
#[path = "programs/refusals.rs"]
mod refusals;
#[path = "programs/rows.rs"]
mod rows;
#[path = "programs/sockets.rs"]
mod sockets;
#[path = "programs/starting.rs"]
mod starting;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};
use support::daemon::Program;

/// A case panics where a program does not do what it should.
type Case = fn(Program);

const CASES: [(&str, Case); 15] = [
    ("refusals::bad_input_changes_nothing", refusals::bad_input_changes_nothing),
    ("original::its_client_reads_every_answer", original::its_client_reads_every_answer),
    ("original::what_its_client_never_sends_is_a_problem", original::others_get_a_problem),
    ("rows::questions_and_refusals_cost_nothing", rows::questions_and_refusals_cost_nothing),
    ("rows::each_event_costs_its_budget", rows::each_event_costs_its_budget),
    ("rows::a_release_costs_a_row_for_each_grant", rows::a_release_costs_a_row_for_each_grant),
    ("rows::the_originals_cycle_costs_two_rows", rows::the_originals_cycle_costs_two_rows),
    ("rows::a_lapse_costs_who_sees_it_one_row", rows::a_lapse_costs_who_sees_it_one_row),
    ("sockets::a_frame_carries_a_batch_and_a_grant_is_pushed", sockets::batch_and_push),
    ("sockets::what_is_no_command_leaves_the_socket_usable", sockets::no_command),
    ("sockets::they_outlive_the_memory_of_their_object", sockets::outlive_memory),
    ("starting::it_says_that_it_is_ready_and_who_may_come_in", starting::ready),
    ("starting::without_anonymous_access_everybody_is_refused", starting::closed),
    ("ending::a_signal_ends_it_well", ending::a_signal_ends_it_well),
    ("ending::what_was_acknowledged_outlives_a_kill", ending::outlives_a_kill),
];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let trial = |program: Program, (name, case): (&str, Case)| {
        Trial::test(format!("{}::{name}", program.name()), move || {
            bus::set_up(program)?;
            case(program);
            Ok(())
        })
    };
    let trials = Program::ALL
        .into_iter()
        .flat_map(|program| CASES.into_iter().map(move |case| trial(program, case)))
        .collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}
