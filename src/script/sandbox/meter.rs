//! The budget as the script API sees it: what its functions do in Rust, and what they keep there for a script.

use std::rc::Rc;

use mlua::{Error, Lua, Result};

use super::budget::Budget;

/// Found in the app data of a [`super::Vm`]'s state.
pub(super) struct Meter(pub(super) Rc<Budget>);

fn budget(lua: &Lua) -> Option<Rc<Budget>> {
    lua.app_data_ref::<Meter>().map(|meter| Rc::clone(&meter.0))
}

/// Charges the running call for work on `bytes` bytes that Lua does not see. A function whose work grows with its
/// arguments calls this before it begins.
///
/// # Errors
/// When the call's budget is used up: the function gives the error on and does nothing more.
pub(in crate::script) fn work(lua: &Lua, bytes: usize) -> Result<()> {
    match budget(lua) {
        Some(budget) => Ok(budget.charge_bytes(lua, bytes)?),
        None => Ok(()),
    }
}

/// Memory outside of Lua that a script keeps alive by an object of ours: it counts as the VM's until this is dropped.
#[derive(Default)]
pub(in crate::script) struct Held {
    budget: Option<Rc<Budget>>,
    bytes: usize,
}

impl Held {
    /// Adds `bytes`, and charges the work on them.
    ///
    /// # Errors
    /// When one object would hold more than [`super::Limits::output`], when the VM is full, or when the call's budget is
    /// used up.
    pub(in crate::script) fn grow(&mut self, lua: &Lua, bytes: usize) -> Result<()> {
        if self.budget.is_none() {
            self.budget = budget(lua);
        }
        let Some(budget) = &self.budget else {
            return Ok(());
        };
        let most = budget.limits().output;
        if self.bytes.saturating_add(bytes) > most {
            return Err(Error::runtime(format_args!(
                "too large: a stanza or a tree of nodes may have {most} bytes in memory"
            )));
        }
        budget.charge_bytes(lua, bytes)?;
        budget.hold(lua, bytes)?;
        self.bytes += bytes;
        Ok(())
    }

    /// Whether nothing has been added.
    pub(in crate::script) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Takes `bytes` away.
    pub(in crate::script) fn shrink(&mut self, bytes: usize) {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        if let Some(budget) = &self.budget {
            budget.release(bytes);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.shrink(self.bytes);
    }
}
