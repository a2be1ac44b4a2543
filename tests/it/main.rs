//! Behaviour of a real stanzad, a file per behaviour.
// Nothing here is seen from outside: `pub` says what one file offers the others.
#![allow(clippy::unwrap_used, unreachable_pub)]

mod attacks;
mod attacks_cost;
mod attacks_identity;
mod attacks_operator;
mod attacks_streams;
mod blocking;
mod bot;
mod chat;
mod config;
mod config_domains;
mod config_reload;
mod console;
mod console_queue;
mod console_sessions;
mod crash;
mod docs;
mod durability_race;
mod durability_stall;
mod durability_sync;
mod fanout;
mod first_domain;
mod fuzz_corpus;
mod harness;
mod layering;
mod live_scripts;
mod login;
mod roster;
mod script_attacks;
mod services;
mod shim;
mod startup;
mod streams;
mod tour;
mod xml_oracle;
