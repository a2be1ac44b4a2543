//! The workloads, one module each.

pub mod chat;
pub mod idle;
pub mod iq;
pub mod login;
pub mod presence;
pub mod relay;
