//! Nothing that was acknowledged is lost, and nothing happens twice, whatever ends the program or spoils
//! its disk, under load.
//!
//! Each client keeps of every answer the token or the seq, and the commit. Afterwards all that it was
//! told is there under the same number, and nothing else but the one request that was not answered.

use crate::bus::run;
use crate::load::Swarm;
use crate::support::daemon::{Daemon, Program};
use crate::support::preload::Watched;

/// Number of times that a trial kills.
const KILLS: usize = 8;

/// With the default flags.
pub fn by_kills(program: Program) {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    killed(&mut Swarm::new(12, 4, 10), || program.start(&data, &["--anonymous"]));
}

/// Databases are opened and closed all the time, and alarms ring for those that are closed.
pub fn with_few_open_databases(program: Program) {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let arguments = ["--anonymous", "--open-databases", "3"];
    killed(&mut Swarm::new(24, 24, 10), || program.start(&data, &arguments));
}

fn killed(swarm: &mut Swarm, start: impl Fn() -> Daemon) {
    for round in 0..KILLS {
        let mut daemon = start();
        run(async {
            swarm.check(daemon.address).await;
            let address = daemon.address;
            swarm
                .work(address, async |progress| {
                    progress.answers(60 + 7 * round).await;
                    daemon.kill();
                })
                .await;
        });
    }
    let daemon = start();
    run(swarm.check(daemon.address));
    assert!(swarm.answers() > KILLS * 60);
}

/// The power is cut after each kill: what was not flushed is gone. Messages are long, so that logs are
/// folded into their databases meanwhile.
pub fn by_cuts(program: Program) {
    let mut swarm = Swarm::new(6, 2, 20_000);
    let mut watched = Watched::new();
    for round in 0..5 {
        let mut daemon = watched.start(program, &["--anonymous"]);
        run(async {
            swarm.check(daemon.address).await;
            let address = daemon.address;
            swarm
                .work(address, async |progress| {
                    progress.answers(if round == 3 { 1_500 } else { 40 + 11 * round }).await;
                    daemon.kill();
                })
                .await;
        });
        watched = watched.cut();
    }
    let daemon = watched.start(program, &["--anonymous"]);
    run(swarm.check(daemon.address));
}

/// The flushes of all databases fail for a while, and what they should have written is gone at the cut
/// that follows. The program goes on by itself.
///
/// Workerd is spared the cut: it trusts what lies in a log after a flush of it has failed.
pub fn by_failed_flushes(program: Program) {
    spoilt(program, Watched::fail_flushes, program == Program::Mailbusd);
}

/// The disk is full for a while.
pub fn by_full_disks(program: Program) {
    spoilt(program, Watched::fill, false);
}

/// Something is spoilt again and again, and mended; then the program is killed.
fn spoilt(program: Program, spoil: fn(&Watched, bool), cut: bool) {
    let mut swarm = Swarm::new(8, 4, 10);
    let mut watched = Watched::new();
    for _ in 0..3 {
        let mut daemon = watched.start(program, &["--anonymous"]);
        run(async {
            swarm.check(daemon.address).await;
            let address = daemon.address;
            swarm
                .work(address, async |progress| {
                    for _ in 0..2 {
                        progress.answers(40).await;
                        spoil(&watched, true);
                        progress.silences(16).await;
                        spoil(&watched, false);
                    }
                    progress.answers(40).await;
                    daemon.kill();
                })
                .await;
        });
        if cut {
            watched = watched.cut();
        }
    }
    let daemon = watched.start(program, &["--anonymous"]);
    run(swarm.check(daemon.address));
}
