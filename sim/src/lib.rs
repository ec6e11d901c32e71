//! The deterministic simulator of mailbus: many clients and both objects on a bad network with bad
//! clocks, and every invariant held against what was seen.
//!
//! Seeds make plans, and plans are the unit of failure; see [`plan`].
//!
//! | module | what it holds |
//! |---|---|
//! | [`command`] | what the program does: explore seeds, replay a plan, catch planted bugs |
//! | [`explore`] | many seeds on all cores, and the verdict on each |
//! | [`mutants`] | planted bugs, and the hunt for them |
//! | [`plan`] | one simulation as data: drawn from a seed, replayed, shrunk |
//! | [`engine`] | the plan made to happen: the network, processes of agents, the objects' host, alarms |
//! | [`world`] | what engine, faults and workload share: clocks, hosts, objects, the operator |
//! | `faults` | what goes wrong, when it begins and ends |
//! | `workload` | what agents do |
//! | [`sut`] | what is tested: production, the model, or either with a mistake |
//! | [`clock`] | clocks as functions of true time |
//! | [`judge`] | what was seen from outside, and what the invariants and marks say of it |
//! | [`report`] | tables, lines and failures for people |

pub mod clock;
pub mod command;
pub mod engine;
pub mod explore;
mod faults;
pub mod judge;
pub mod mutants;
pub mod plan;
pub mod report;
pub mod sut;
mod workload;
pub mod world;
