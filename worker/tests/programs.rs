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
#[path = "programs/crowds.rs"]
mod crowds;
#[path = "programs/durable_faults.rs"]
mod durable_faults;
#[path = "programs/ending.rs"]
mod ending;
#[path = "programs/files.rs"]
mod files;
#[path = "programs/forgetful.rs"]
mod forgetful;
#[path = "programs/mail.rs"]
mod mail;
#[path = "programs/mail_abuse.rs"]
mod mail_abuse;
#[path = "programs/mail_memory.rs"]
mod mail_memory;
#[path = "programs/mail_original.rs"]
mod mail_original;
#[path = "programs/mail_rows.rs"]
mod mail_rows;
#[path = "programs/odd.rs"]
mod odd;
#[path = "programs/original.rs"]
mod original;
#[path = "programs/original_client.rs"]
mod original_client;
#[path = "programs/readers.rs"]
mod readers;
#[path = "programs/refusals.rs"]
mod refusals;
#[path = "programs/restoring.rs"]
mod restoring;
#[path = "programs/rows.rs"]
mod rows;
#[path = "programs/socket.rs"]
mod socket;
#[path = "programs/sockets.rs"]
mod sockets;
#[path = "programs/starting.rs"]
mod starting;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};
use support::daemon::Program;

/// A case panics where a program does not do what it should.
type Case = fn(Program);

const CASES: &[(&str, Case)] = &[
    ("odd::requests_are_answered_as_the_page_says", odd::requests),
    ("odd::frames_are_answered_as_the_page_says", odd::frames),
    ("refusals::bad_input_changes_nothing", refusals::bad_input_changes_nothing),
    ("refusals::a_body_without_end_is_answered", refusals::a_body_without_end_is_answered),
    ("original::its_client_reads_every_answer", original::its_client_reads_every_answer),
    ("original::what_its_client_never_sends_is_a_problem", original::others_get_a_problem),
    ("rows::questions_and_refusals_cost_nothing", rows::questions_and_refusals_cost_nothing),
    ("rows::each_event_costs_its_budget", rows::each_event_costs_its_budget),
    ("rows::a_release_costs_a_row_for_each_grant", rows::a_release_costs_a_row_for_each_grant),
    ("rows::the_originals_cycle_costs_two_rows", rows::the_originals_cycle_costs_two_rows),
    ("rows::a_lapse_costs_who_sees_it_one_row", rows::a_lapse_costs_who_sees_it_one_row),
    ("sockets::a_frame_carries_a_batch_and_a_grant_is_pushed", sockets::batch_and_push),
    ("sockets::what_is_no_command_leaves_the_socket_usable", sockets::no_command),
    ("sockets::a_ping_is_answered_whoever_is_asleep", sockets::ping),
    ("sockets::they_outlive_the_memory_of_their_object", sockets::outlive_memory),
    ("starting::it_says_that_it_is_ready_and_who_may_come_in", starting::ready),
    ("starting::without_anonymous_access_everybody_is_refused", starting::closed),
    ("starting::one_word_alone_lets_everybody_in", starting::one_word_alone),
    ("socket::a_known_subprotocol_is_answered_and_a_token_never", socket::subprotocols),
    ("mail::what_is_published_is_pushed_to_whom_it_concerns", mail::published),
    ("mail::what_is_sent_to_somebody_away_waits_in_order", mail::offline),
    ("mail_original::its_client_reads_every_answer", mail_original::answers),
    ("mail_abuse::bad_input_changes_nothing", mail_abuse::bad_input_changes_nothing),
    ("mail_abuse::what_is_no_command_leaves_the_socket_usable", mail_abuse::bad_frames),
    ("mail_abuse::nobody_touches_the_mail_of_another", mail_abuse::others_mail),
    ("mail_abuse::a_flood_is_refused_and_delays_nobody", mail_abuse::flood),
    ("readers::one_slower_than_its_mail_gets_all_in_one_go", readers::slower_than_its_mail),
    ("readers::the_largest_window_is_served", readers::largest_window),
    ("readers::who_half_closes_is_answered", readers::half_closing),
    ("mail_memory::sessions_outlive_the_memory_of_their_object", mail_memory::sessions),
    ("mail_memory::a_closing_socket_is_nobodys_session", mail_memory::closing_socket),
    ("mail_memory::so_does_the_largest_session", mail_memory::largest_session),
    ("mail_memory::what_waits_outlives_it_in_runs", mail_memory::runs),
    (
        "mail_rows::mail_costs_a_row_a_message_and_a_row_an_ack",
        mail_rows::mail_costs_a_row_a_message_and_a_row_an_ack,
    ),
    ("crowds::four_hundred_are_served_like_a_hundred", crowds::no_cliff),
    ("crowds::more_than_may_be_open_cost_no_waking", crowds::few_open),
    ("crowds::others_are_answered_while_a_large_one_wakes", crowds::a_large_one_wakes),
    ("files::few_are_enough", files::few_are_enough),
    ("files::are_for_their_owner_alone", files::are_for_their_owner_alone),
    (
        "restoring::a_workspace_is_put_back_by_the_page",
        restoring::a_workspace_is_put_back_by_the_page,
    ),
    ("restoring::a_name_that_is_none_is_refused", restoring::a_name_that_is_none_is_refused),
    ("ending::a_signal_ends_it_well", ending::a_signal_ends_it_well),
    ("ending::what_was_acknowledged_outlives_a_kill", ending::outlives_a_kill),
];

/// Cases that run in the runtime itself, beside our module.
const RUNTIME_CASES: &[(&str, fn())] = &[
    (
        "faults::a_failed_statement_undoes_its_event",
        durable_faults::a_failed_statement_undoes_its_event,
    ),
    ("faults::an_alarm_that_fails_is_set_again", durable_faults::an_alarm_that_fails_is_set_again),
    (
        "faults::a_trap_fails_what_is_under_way_and_ends_with_a_new_module",
        durable_faults::a_trap_fails_what_is_under_way_and_ends_with_a_new_module,
    ),
    ("starting::one_word_alone_opens_a_deployment", starting::one_word_alone_opens_a_deployment),
    ("original_client::works_unchanged", original_client::works_unchanged),
    (
        "original_client::two_of_one_name_do_not_evict_each_other",
        original_client::two_of_one_name_do_not_evict_each_other,
    ),
];

/// Cases of what the native shell alone bounds, as far as it is seen from outside.
const MAILBUSD_CASES: &[(&str, fn())] = &[
    ("readers::sixty_stalled_share_what_all_are_told", readers::stalled_before_broadcasts),
    ("readers::sixty_stalled_stay_within_the_budget", readers::stalled_before_their_own),
    ("readers::small_answers_wait_for_nothing", readers::small_answers_wait_for_nothing),
];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let trial = |program: Program, &(name, case): &(&str, Case)| {
        Trial::test(format!("{}::{name}", program.name()), move || {
            bus::set_up(program)?;
            case(program);
            Ok(())
        })
    };
    let beside = |&(name, case): &(&str, fn())| {
        Trial::test(format!("workerd::{name}"), move || {
            bus::set_up(Program::MailbusWorkerd)?;
            case();
            Ok(())
        })
    };
    let trials = Program::ALL
        .into_iter()
        .flat_map(|program| CASES.iter().map(move |case| trial(program, case)))
        .chain(RUNTIME_CASES.iter().map(beside))
        .chain(MAILBUSD_CASES.iter().map(|&(name, case)| {
            only_on_linux(&format!("mailbusd::{name}"), move || {
                case();
                Ok(())
            })
        }))
        .chain([only_on_linux("workerd::ending::it_ends_when_its_runtime_dies", || {
            bus::set_up(Program::MailbusWorkerd)?;
            ending::its_runtime_dies();
            Ok(())
        })])
        .collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// A trial that looks at processes as Linux shows them.
fn only_on_linux(name: &str, run: impl FnOnce() -> Result<(), Failed> + Send + 'static) -> Trial {
    Trial::test(name, run)
        .with_kind("needs Linux")
        .with_ignored_flag(cfg!(not(target_os = "linux")))
}
