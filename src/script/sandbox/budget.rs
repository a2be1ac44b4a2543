//! What one call may use up: instructions first, then thread CPU time, never wall time.
//!
//! The count hook fires every [`STRIDE`] instructions and every library function of ours charges what it costs; both end
//! in [`Budget::charge`]. Reading the thread's CPU clock is a system call, so it is read only when the monotonic clock
//! says that it could matter: a thread cannot have used more CPU than time has passed. Short calls never read it.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use mlua::debug::Debug;
use mlua::{Lua, VmState};
use rustix::time::{ClockId, clock_gettime};

use super::error::{OUT_OF_MEMORY, Place};

/// Instructions between two looks of the count hook. One instruction can cost as much as copying the largest string that
/// fits into the memory limit, so this is also the bound on how many of those run before somebody looks.
pub(super) const STRIDE: u32 = 64;

/// Time that a segment may run before its CPU clock is read for the first time. What it used up to then is not charged.
const UNMEASURED: Duration = Duration::from_micros(250);

/// Bounds of one call and of the VM that it runs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Thread CPU time of one call, summed over the segments between its waits.
    pub cpu: Duration,
    /// Lua instructions of one call; library functions charge theirs in the same unit.
    pub instructions: u64,
    /// Bytes that the whole VM may hold. One segment of a call may add a quarter of it: fresh memory is dear, and a string
    /// that doubles would have gone through twice the whole before it is stopped.
    pub memory: usize,
    /// Bytes of one string that a library function makes (`rep`, `gsub`, `format`, `table.concat` ...).
    pub output: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            cpu: Duration::from_millis(5),
            instructions: 1_000_000,
            memory: 16 << 20,
            output: 1 << 20,
        }
    }
}

/// Which bound a call ran into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// [`Limits::cpu`].
    Cpu,
    /// [`Limits::instructions`].
    Instructions,
    /// [`Limits::memory`].
    Memory,
}

/// A bound was reached, and where.
#[derive(Clone, Debug)]
pub(super) struct Trip {
    pub(super) what: What,
    pub(super) place: Option<Place>,
}

/// What a call has used in the segments behind it, and how many budgets it has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Used {
    instructions: u64,
    cpu: Duration,
    budgets: u32,
}

impl Used {
    /// Nothing yet, of so many budgets.
    pub(super) fn of(budgets: u32) -> Used {
        Used {
            instructions: 0,
            cpu: Duration::ZERO,
            budgets,
        }
    }
}

impl Default for Used {
    fn default() -> Used {
        Used::of(1)
    }
}

/// The segment under way.
#[derive(Clone, Copy)]
struct Segment {
    used: Used,
    /// When to look at the CPU clock next; never outside of a call.
    look_at: Option<Instant>,
    /// The thread's CPU time when this segment was first measured.
    since: Option<Duration>,
}

/// The segment that a nested one interrupts; given back to [`Budget::disarm`].
pub(super) struct Outer(Option<(Segment, Option<Trip>)>);

/// Raised through Lua when a bound is reached and the call cannot be frozen where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the script's budget is used up")]
pub(super) struct Tripped;

impl From<Tripped> for mlua::Error {
    fn from(tripped: Tripped) -> mlua::Error {
        mlua::Error::external(tripped)
    }
}

/// The meter of one VM. Outside of a call the same instruction bound holds, counted anew after every call.
pub(super) struct Budget {
    limits: Limits,
    armed: Cell<bool>,
    segment: Cell<Segment>,
    trip: RefCell<Option<Trip>>,
    condemned: Cell<bool>,
    /// The hook freezes and raises in turns: freezing does nothing where Lua cannot yield.
    froze: Cell<bool>,
    /// Bytes in use when the hook last looked, and where the script was when they last grew fast.
    memory: Cell<usize>,
    growing: RefCell<Option<Place>>,
    /// Bytes outside of Lua that scripts keep alive.
    held: Cell<usize>,
}

impl Budget {
    pub(super) fn new(limits: Limits) -> Budget {
        Budget {
            limits,
            armed: Cell::new(false),
            segment: Cell::new(Segment::IDLE),
            trip: RefCell::new(None),
            condemned: Cell::new(false),
            froze: Cell::new(false),
            memory: Cell::new(0),
            growing: RefCell::new(None),
            held: Cell::new(0),
        }
    }

    pub(super) fn limits(&self) -> Limits {
        self.limits
    }

    /// Starts a segment of a call that has used `used` so far.
    pub(super) fn arm(&self, lua: &Lua, used: Used) -> Outer {
        let memory = lua.used_memory();
        self.memory.set(memory);
        self.growing.replace(None);
        let room = memory.saturating_add(self.limits.memory / 4);
        self.limit_memory(lua, room.min(self.limits.memory));
        let trip = self.trip.take();
        let outer = self.armed.replace(true).then(|| (self.segment.get(), trip));
        self.froze.set(false);
        let cpu = self.limits.cpu.saturating_mul(used.budgets);
        let left = cpu.saturating_sub(used.cpu);
        let mut segment = Segment::fresh(used, left);
        // A segment too short for the hook still costs something.
        segment.used.instructions = used.instructions.saturating_add(u64::from(STRIDE));
        self.segment.set(segment);
        Outer(outer)
    }

    /// Ends the segment: what the call has used by now, and the bound it ran into.
    pub(super) fn disarm(&self, lua: &Lua, outer: Outer) -> (Used, Option<Trip>) {
        self.limit_memory(lua, self.limits.memory);
        let mut segment = self.segment.get();
        if let Some(since) = segment.since {
            segment.used.cpu += thread_cpu().saturating_sub(since);
        }
        let (next, trip) = match outer.0 {
            Some(outer) => outer,
            None => {
                self.armed.set(false);
                (Segment::IDLE, None)
            }
        };
        self.segment.set(next);
        (segment.used, self.trip.replace(trip))
    }

    fn limit_memory(&self, lua: &Lua, bytes: usize) {
        // Lua refuses only when somebody else made the state, and this one is ours.
        let _ = lua.set_memory_limit(bytes);
    }

    /// Charges `instructions` and looks at the clock when due.
    pub(super) fn charge(&self, lua: &Lua, instructions: u64) -> Result<(), Tripped> {
        if self.tripped() {
            return Err(Tripped);
        }
        let mut segment = self.segment.get();
        segment.used.instructions = segment.used.instructions.saturating_add(instructions);
        let budgets = segment.used.budgets;
        let instructions = self.limits.instructions.saturating_mul(u64::from(budgets));
        let over = if segment.used.instructions > instructions {
            Some(What::Instructions)
        } else if segment.over_cpu(self.limits.cpu.saturating_mul(budgets)) {
            Some(What::Cpu)
        } else {
            None
        };
        self.segment.set(segment);
        match over {
            None => Ok(()),
            Some(what) => {
                self.trip(what, Place::of_stack(lua));
                Err(Tripped)
            }
        }
    }

    /// Charges work on `bytes` bytes in a library function.
    pub(super) fn charge_bytes(&self, lua: &Lua, bytes: usize) -> Result<(), Tripped> {
        self.charge(lua, 1 + (bytes as u64) / BYTES_PER_INSTRUCTION)
    }

    /// The count hook. Freezing (a yield that nobody answers) leaves nothing to a script's `pcall`, `xpcall` or
    /// `__close`; inside a C function, where Lua cannot yield, an error unwinds to the next place where it can.
    pub(super) fn hook(&self, lua: &Lua, _: &Debug<'_>) -> mlua::Result<VmState> {
        if !self.tripped() {
            let memory = lua.used_memory();
            if memory > self.memory.replace(memory).saturating_add(GROWTH) {
                self.growing.replace(Place::of_stack(lua));
            }
            if self.charge(lua, u64::from(STRIDE)).is_ok() {
                return Ok(VmState::Continue);
            }
        }
        if self.froze.replace(!self.froze.get()) {
            return Err(Tripped.into());
        }
        Ok(VmState::Yield)
    }

    /// Notes an allocation that failed: the VM cannot be trusted any more. `place` is where it showed.
    pub(super) fn out_of_memory(&self, place: Option<Place>) {
        let trip = self.exhausted();
        if !self.tripped() {
            self.trip(What::Memory, trip.place.or(place));
        }
    }

    /// Condemns the VM. Lua does not say where an allocation failed; where memory last grew fast is a good guess.
    pub(super) fn exhausted(&self) -> Trip {
        self.condemned.set(true);
        Trip {
            what: What::Memory,
            place: self.growing.borrow_mut().take(),
        }
    }

    /// Counts `bytes` outside of Lua as the VM's. Lua's collector does not know of them, so it is made to run when they and
    /// what Lua holds fill the VM.
    pub(super) fn hold(&self, lua: &Lua, bytes: usize) -> mlua::Result<()> {
        let fits = || self.in_use(lua).saturating_add(bytes) <= self.limits.memory;
        if !fits() {
            lua.gc_collect()?;
            self.charge(lua, u64::from(STRIDE))?;
            if !fits() {
                self.out_of_memory(Place::of_stack(lua));
                return Err(mlua::Error::MemoryError(OUT_OF_MEMORY.into()));
            }
        }
        self.held.set(self.held.get() + bytes);
        Ok(())
    }

    pub(super) fn release(&self, bytes: usize) {
        self.held.set(self.held.get().saturating_sub(bytes));
    }

    /// Bytes that scripts hold, in Lua and outside.
    pub(super) fn in_use(&self, lua: &Lua) -> usize {
        lua.used_memory().saturating_add(self.held.get())
    }

    fn trip(&self, what: What, place: Option<Place>) {
        self.trip.replace(Some(Trip { what, place }));
    }

    pub(super) fn tripped(&self) -> bool {
        self.trip.borrow().is_some()
    }

    pub(super) fn condemned(&self) -> bool {
        self.condemned.get()
    }
}

/// Bytes gained in one stride that are worth remembering where: Lua does not say where an allocation failed.
const GROWTH: usize = 4 << 10;

/// Bytes that a library function moves or compares at the price of one instruction.
const BYTES_PER_INSTRUCTION: u64 = 64;

impl Segment {
    /// Between calls.
    const IDLE: Segment = Segment {
        used: Used {
            instructions: 0,
            cpu: Duration::ZERO,
            budgets: 1,
        },
        look_at: None,
        since: None,
    };

    fn fresh(used: Used, left: Duration) -> Segment {
        Segment {
            used,
            look_at: Some(Instant::now() + UNMEASURED.min(left)),
            since: None,
        }
    }

    /// Whether the call is over `limit`; reads the CPU clock only if it may be.
    fn over_cpu(&mut self, limit: Duration) -> bool {
        let Some(look_at) = self.look_at else {
            return false;
        };
        let now = Instant::now();
        if now < look_at {
            return false;
        }
        let cpu = thread_cpu();
        let since = *self.since.get_or_insert(cpu);
        let used = self.used.cpu + cpu.saturating_sub(since);
        self.look_at = Some(now + limit.saturating_sub(used));
        used > limit
    }
}

/// CPU time that this thread has used.
pub(super) fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}
