//! Systems of mailboxes with a bug each.

use mailbus_spec::mailbox::{Ask, MailboxMachine, Notice, Outcome, Settled};

use crate::{
    Bug, bugs_fail_their_stories, histories_are_explained, histories_find_and_shrink, said,
    scripts_pass_or_say_why_not,
};

/// An acknowledgement up to a place settles redeliveries, too.
const UP_TO_SETTLES_ALL: Bug<MailboxMachine> = Bug {
    name: "up to settles all",
    call: |model, command| {
        let mut command = command.clone();
        if let Ask::Ack { agent, what } = &mut command.ask {
            let live = model.machine.agents.get(agent).and_then(|one| one.live.as_ref());
            if let (Settled::UpTo(last), Some(live), Some(_)) = (&*what, live, &command.over) {
                let all = live.flights.range(..=*last).map(|(seq, _)| *seq).collect();
                *what = Settled::Seqs(all);
            }
        }
        model.command(&command)
    },
    ..Bug::NONE
};

/// Flights are forgotten with the memory, and their messages pushed again.
const EVICTION_FORGETS_FLIGHTS: Bug<MailboxMachine> = Bug {
    name: "an eviction forgets flights",
    evict: |model| {
        for agent in model.machine.agents.values_mut() {
            agent.live.iter_mut().for_each(|live| live.flights.clear());
        }
    },
    ..Bug::NONE
};

/// Messages that were given back are not pushed again.
const REDELIVERY_IS_LOST: Bug<MailboxMachine> = Bug {
    name: "a redelivery is lost",
    received: |mut pushes| {
        pushes.retain(|push| !matches!(push.notice, Notice::Message { attempt: 2.., .. }));
        pushes
    },
    ..Bug::NONE
};

/// Messages that were given back are pushed twice at once.
const REDELIVERY_IS_DOUBLED: Bug<MailboxMachine> = Bug {
    name: "a redelivery is doubled",
    received: |pushes| {
        let copies = |notice: &Notice| match notice {
            Notice::Message { attempt: 2.., .. } => 2,
            _ => 1,
        };
        let copied = pushes.into_iter().flat_map(|push| {
            let copies = copies(&push.notice);
            std::iter::repeat_n(push, copies)
        });
        copied.collect()
    },
    ..Bug::NONE
};

/// Ids are not remembered.
const ACCEPTED_TWICE: Bug<MailboxMachine> = Bug {
    name: "accepted twice",
    call: |model, command| {
        let mut command = command.clone();
        if let Ask::Publish { message } | Ask::Send { message, .. } = &mut command.ask {
            message.id = None;
        }
        model.command(&command)
    },
    ..Bug::NONE
};

/// A reply counts one message too many.
const SETTLES_TOO_MANY: Bug<MailboxMachine> = Bug {
    name: "settles too many",
    call: |model, command| {
        let mut reply = model.command(command);
        if let Ok(Outcome::Settled { settled: settled @ 1.., .. }) = &mut reply.answer {
            *settled += 1;
        }
        reply
    },
    ..Bug::NONE
};

#[test]
fn on_a_real_clock_every_script_passes_or_says_why_not() {
    scripts_pass_or_say_why_not::<MailboxMachine>(30);
}

#[test]
fn on_a_real_clock_random_histories_of_the_specification_are_explained() {
    histories_are_explained::<MailboxMachine>(100, 100);
}

#[test]
fn a_bug_fails_the_script_that_tells_its_rule() {
    bugs_fail_their_stories(&[
        (UP_TO_SETTLES_ALL, "up_to_settles_first_pushes_alone"),
        (EVICTION_FORGETS_FLIGHTS, "an_eviction_loses_nothing_in_flight"),
        (REDELIVERY_IS_LOST, "attempts_count_what_is_on_record"),
        (ACCEPTED_TWICE, "what_is_not_kept_is_not_remembered"),
    ]);
}

#[test]
fn a_failing_script_says_what_was_expected() {
    assert_eq!(
        said(UP_TO_SETTLES_ALL, "up_to_settles_first_pushes_alone"),
        "\
after `bob#0s: ack up-to #0s.1`
  the specification: [6 +0s] settled 1 (generation +0s)
  the system:        [6 +0s] settled 2 (generation +0s)"
    );
}

#[test]
fn random_histories_find_each_bug_and_shrink_it() {
    histories_find_and_shrink(&[
        (true, UP_TO_SETTLES_ALL, 8),
        (true, EVICTION_FORGETS_FLIGHTS, 5),
        (true, REDELIVERY_IS_LOST, 5),
        (true, REDELIVERY_IS_DOUBLED, 5),
        (true, ACCEPTED_TWICE, 3),
        (true, SETTLES_TOO_MANY, 4),
        (false, UP_TO_SETTLES_ALL, 8),
        (false, EVICTION_FORGETS_FLIGHTS, 6),
        (false, REDELIVERY_IS_LOST, 6),
        (false, REDELIVERY_IS_DOUBLED, 6),
        (false, ACCEPTED_TWICE, 3),
        (false, SETTLES_TOO_MANY, 4),
    ]);
}
