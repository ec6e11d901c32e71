//! One event on an object: its commands to the machine, and the effects that it comes to.

use mailbus_spec::service::ReplyOf;
use mailbus_spec::wire::{Answer, Attempt, Problem, frame};
use mailbus_spec::{HostTime, machine};

use super::policy::{Calls, Policy, Socket};
use super::refusal::{call_of, put_off, subscribe_of};
use crate::machine::{CommandOf, Machine};
use crate::object::{Effects, Request, SocketId, Target};
use crate::storage::{Storage, StorageError};

/// The least that touches the storage, whatever is in it.
const TOUCH: &str = "SELECT 1 FROM sqlite_master LIMIT 1";

/// Handler of one event, with the effects it has come to so far.
pub(super) struct Handler<'e, P: Policy, M, T> {
    policy: &'e mut P,
    machine: &'e mut M,
    storage: &'e mut T,
    now: HostTime,
    effects: Effects,
    told: P::Told,
    /// The socket that the event came over, and its speaker.
    asking: Option<(SocketId, P::Speaker)>,
}

impl<'e, P, M, T> Handler<'e, P, M, T>
where
    P: Policy,
    M: Machine<Service = P::Service, Kept = P::Kept>,
    T: Storage,
{
    pub(super) fn new(
        policy: &'e mut P,
        machine: &'e mut M,
        storage: &'e mut T,
        now: HostTime,
    ) -> Self {
        let mut effects = Effects::default();
        policy.begin(&mut effects);
        Self { policy, machine, storage, now, effects, told: P::Told::default(), asking: None }
    }

    pub(super) fn request(&mut self, request: &Request<'_>) -> Result<(), StorageError> {
        if request.action == "subscribe" {
            return self.subscribe(request);
        }
        let response = match call_of::<P>(request) {
            Ok(call) => self.answer(call)?.into(),
            Err(refusal) => refusal,
        };
        self.effects.response = Some(response);
        Ok(())
    }

    fn subscribe(&mut self, request: &Request<'_>) -> Result<(), StorageError> {
        let subscribe = match subscribe_of::<P>(request) {
            Ok(subscribe) => subscribe,
            Err(refusal) => {
                self.effects.response = Some(refusal);
                return Ok(());
            }
        };
        let reply = match P::connect(&subscribe) {
            Some(command) => self.machine_event(&machine::Event::Command(command))?,
            None => {
                // A replaced object would keep the socket from its successor.
                self.storage.query(TOUCH, &[])?;
                None
            }
        };
        match self.policy.open(&mut self.told, subscribe, reply) {
            Ok(accept) => self.effects.accept = Some(accept),
            Err(answer) => self.effects.response = Some(answer.into()),
        }
        Ok(())
    }

    pub(super) fn frame(
        &mut self,
        id: SocketId,
        attachment: &str,
        text: &str,
    ) -> Result<(), StorageError> {
        let (speaker, protocol) = match P::socket(attachment) {
            Socket::Open(speaker, protocol) => (speaker, protocol),
            Socket::Over => return Ok(()),
            Socket::Foreign => {
                let close = restart(id);
                if !self.effects.closes.contains(&close) {
                    self.effects.closes.push(close);
                }
                return Ok(());
            }
        };
        self.asking = Some((id, speaker.clone()));
        let replies = match P::decode_frame(text, &speaker, protocol) {
            Ok(calls) => self.replies(&speaker, calls)?,
            Err(problem) => frame::error(&problem),
        };
        P::reply(&mut self.told, &speaker, replies);
        Ok(())
    }

    /// The object that answers a frame of commands. Once enough has been said, what is left of them is
    /// put off.
    fn replies(&mut self, speaker: &P::Speaker, calls: Calls<P>) -> Result<String, StorageError> {
        let mut answers = Vec::with_capacity(calls.len());
        let mut bytes = 0_usize;
        for call in calls {
            let answer = match call {
                Ok(call) if P::is_full(&self.told, speaker, bytes) => {
                    let (attempt, ..) = P::parts(call);
                    put_off::<P>(attempt.number)
                }
                Ok(call) => self.answer(call)?,
                Err(problem) => problem.to_answer(),
            };
            bytes = bytes.saturating_add(answer.body.len());
            answers.push(answer);
        }
        Ok(frame::replies(&answers))
    }

    /// A socket is closed: what that means, unless its session was over before.
    pub(super) fn closed(&mut self, attachment: &str) -> Result<(), StorageError> {
        if let Socket::Open(speaker, _) = P::socket(attachment)
            && let Some(command) = self.policy.closed(&mut self.told, speaker)
        {
            self.machine_event(&machine::Event::Command(command))?;
        }
        Ok(())
    }

    fn answer(&mut self, call: P::Call) -> Result<Answer, StorageError> {
        let (Attempt { number, ignored }, dialect, command) = P::parts(call);
        let answer = match self.machine_event(&machine::Event::Command(command))? {
            Some(reply) => P::encode_reply(number, dialect, &reply),
            None => Problem::internal().with_call(number).to_answer(),
        };
        Ok(answer.with_ignored(&ignored))
    }

    pub(super) fn machine_event(
        &mut self,
        event: &machine::Event<CommandOf<P::Service>>,
    ) -> Result<Option<ReplyOf<P::Service>>, StorageError> {
        let handled = self.machine.handle(self.storage, self.now, event)?;
        self.effects.rows = self.effects.rows.saturating_add(handled.rows);
        self.effects.alarm = handled.alarm.or(self.effects.alarm);
        self.policy.take(&mut self.told, handled.kept, handled.step.pushes);
        Ok(handled.step.reply)
    }

    pub(super) fn into_effects(self) -> Effects {
        let Self { policy, mut effects, told, asking, .. } = self;
        policy.send(told, asking, &mut effects);
        effects
    }
}

/// The close of a socket that this version cannot serve: its client comes back on a new one.
pub(crate) fn restart(id: SocketId) -> (Target, u16, String) {
    (Target::Socket(id), 1012, "restart".to_owned())
}
