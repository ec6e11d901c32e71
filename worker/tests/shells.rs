//! Goal: what stands below everything that other tests replace keeps the promises: the flush, the disk,
//! the clock, the limits of the process.
//!
//! Method: the real programs under a library that writes down their calls of the system and spoils them
//! (`support/preload.c`). A record is played to a disk that loses its power (`support/disk.rs`), and the
//! program is started on what is left. Where there is no such library, these trials are ignored.
//!
//! ```text
//! cargo test -p mailbus-worker --test shells                   all of it
//! cargo test -p mailbus-worker --test shells -- mailbusd::lost some of it
//! ```

mod support;

#[allow(dead_code, reason = "the other suite uses the rest")]
#[path = "programs/bus.rs"]
mod bus;
#[path = "shells/client.rs"]
mod client;
#[path = "shells/clock.rs"]
mod clock;
#[path = "shells/fixture.rs"]
mod fixture;
#[path = "shells/full.rs"]
mod full;
#[path = "shells/limits.rs"]
mod limits;
#[path = "shells/load.rs"]
mod load;
#[path = "shells/lost.rs"]
mod lost;
#[allow(dead_code, reason = "the other suite uses the rest")]
#[path = "programs/mail.rs"]
mod mail;
#[path = "shells/order.rs"]
mod order;
#[allow(dead_code, reason = "the other suite uses the rest")]
#[path = "programs/socket.rs"]
mod socket;

use std::process::ExitCode;

use bus::a_moment;
use libtest_mimic::{Arguments, Trial};
use support::daemon::Program;
use support::preload;

/// A case panics where a program does not do what it should.
type Case = fn(Program);

const CASES: [(&str, Case); 7] = [
    ("fixture::what_an_earlier_release_left_is_answered", fixture::answers_as_recorded),
    ("fixture::what_an_earlier_release_left_goes_on", fixture::goes_on),
    ("order::answers_leave_when_all_is_durable", order::answers_leave_when_all_is_durable),
    ("lost::by_kills", lost::by_kills),
    ("lost::by_cuts", lost::by_cuts),
    ("lost::by_failed_flushes", lost::by_failed_flushes),
    ("lost::by_full_disks", lost::by_full_disks),
];

/// Cases of the native shell alone: workerd has no such option, or is not ours to mend (its alarms
/// follow the clock as it was when they were set).
const NATIVE_CASES: [(&str, Case); 7] = [
    ("full::one_that_fails_slows_no_other", full::one_that_fails_slows_no_other),
    ("limits::small_limits_are_lived_with", limits::small_limits_are_lived_with),
    ("limits::too_small_a_limit_is_refused", limits::too_small_a_limit_is_refused),
    ("order::what_is_half_made_is_made", order::what_is_half_made_is_made),
    ("lost::with_few_open_databases", lost::with_few_open_databases),
    ("clock::set_forward", clock::what_is_due_comes_early_when_the_clock_was_set_forward),
    ("clock::set_back", clock::what_is_due_comes_though_the_clock_was_set_back),
];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let lacking = preload::lacking();
    let trial = |program: Program, (name, case): (&str, Case)| {
        let trial = Trial::test(format!("{}::{name}", program.name()), move || {
            bus::set_up(program)?;
            case(program);
            Ok(())
        });
        trial.with_ignored_flag(lacking.is_some()).with_kind(lacking.unwrap_or_default())
    };
    let make = Trial::test("fixture::make", || {
        bus::set_up(Program::MailbusWorkerd)?;
        fixture::make();
        Ok(())
    });
    let asked = std::env::var_os("MAKE_FIXTURE").is_some();
    let trials = Program::ALL
        .into_iter()
        .flat_map(|program| CASES.into_iter().map(move |case| trial(program, case)))
        .chain(NATIVE_CASES.into_iter().map(|case| trial(Program::Mailbusd, case)))
        .chain([make.with_ignored_flag(!asked).with_kind("needs MAKE_FIXTURE")])
        .collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// The machine's wall clock.
#[expect(clippy::disallowed_methods, reason = "the programs are on the real clock")]
fn system_ms() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    u64::try_from(now.as_millis()).unwrap()
}
