//! Verdict on the random runs.

use std::collections::BTreeSet;

use mailbus_client::session::mailbox::Published;
use mailbus_spec::machine::{self, StateMachine};

use super::world::{AGENTS, World};

impl World {
    pub fn check(&self) -> Result<(), String> {
        if let Some(violation) = self.violations.first() {
            return Err(violation.clone());
        }
        for ((number, _, publication), outcome) in &self.outcomes {
            let accepted = match outcome {
                Some(Published::Accepted { seq, .. } | Published::Duplicate { seq, .. }) => seq,
                Some(Published::Unknown) | None => continue,
                other => return Err(format!("{publication:?} of agent {number}: {other:?}")),
            };
            if *accepted > self.object.last_seq {
                return Err(format!("{publication:?} was never given {accepted}"));
            }
        }
        let mut payloads = BTreeSet::new();
        for (seq, logged) in &self.object.log.entries {
            if !payloads.insert(&logged.message.payload) {
                return Err(format!("{seq} was accepted before"));
            }
        }
        for (number, run) in self.runs.iter().enumerate() {
            for (delivery, message) in &run.in_hand {
                let logged = self.object.log.entries.get(&delivery.seq());
                if logged.is_some_and(|logged| *logged.message != *message) {
                    return Err(format!("agent {number} was given another {}", delivery.seq()));
                }
            }
        }
        Ok(())
    }

    /// Faults stop and handlers succeed: everything is delivered and settled.
    pub fn heal(&mut self) -> Result<(), String> {
        let end = self.network.now + 500_000;
        while self.network.now < end {
            self.network.now += 50;
            self.pump();
            for number in 0..AGENTS {
                while !self.runs[number].in_hand.is_empty() {
                    self.finish(number, 0, true);
                    self.pump();
                }
            }
            self.deliver_all();
            if self.object.next_alarm().is_some_and(|at| at.ms() <= self.host().0) {
                self.event(&machine::Event::Alarm);
            }
            self.check()?;
        }
        for (number, run) in self.runs.iter().enumerate() {
            if !run.session.is_idle() {
                return Err(format!("agent {number} is not done: {:?}", run.session));
            }
            if run.session.epoch().is_none() {
                return Err(format!("agent {number} is not connected: {:?}", run.session));
            }
        }
        for (name, known) in &self.object.agents {
            if !known.inbox.is_empty() {
                return Err(format!("mail of {name} is pending: {:?}", known.inbox));
            }
        }
        for (name, seq) in self.pushed.difference(&self.handled) {
            if !self.object.agents[name].failed.contains_key(seq) {
                return Err(format!("{seq} was settled for {name} and never handled"));
            }
        }
        for (key, outcome) in &self.outcomes {
            if outcome.is_none() {
                return Err(format!("{key:?} has no outcome"));
            }
        }
        Ok(())
    }
}
