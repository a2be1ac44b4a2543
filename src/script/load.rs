//! From a snapshot to a VM: install the API, run the scripts, call `init`.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use mlua::{Error as LuaError, Function, Lua, MultiValue, Table, Value};

use crate::hook::{POINTS, Point};

use super::api::hook::Placed;
use super::hub::Hub;
use super::live::{BANDS, Entry, Live, Loaded, Registered};
use super::nearest::nearest;
use super::report::Failure;
use super::run::{Call, RunError, Running, finish};
use super::sandbox::{self, ScriptError, Vm};
use super::snapshot::{Snapshot, Source};
use super::timers::Timer;

/// The version of the API that scripts may ask for with `api = 1`.
const API: i64 = 1;
/// Loaded before every script, into the globals that all share: Momentum's names.
const BOOT: &str = "msys.boot";

/// Why a VM is built.
pub(super) enum Purpose {
    /// For a worker.
    Worker,
    /// On a scratch thread, to run each script's `selftest()`; `init` is not called.
    Selftest,
    /// For a worker whose VM was condemned: a script that does not load is parked instead of refusing all.
    Rebuild {
        /// The condemned VM.
        before: Rc<Live>,
    },
}

/// What a VM's scripts register while it is built. Kept in the VM until it is sealed.
pub(super) struct Loading {
    /// The generation that is being built.
    pub(super) number: u64,
    /// The script that is being loaded.
    pub(super) script: Cell<usize>,
    pub(super) registered: RefCell<Registered>,
    pub(super) inits: RefCell<Vec<(usize, Function)>>,
    pub(super) timers: RefCell<Vec<Timer>>,
}

/// The state of a VM under construction.
///
/// # Errors
/// When nothing is being loaded.
pub(super) fn loading(lua: &Lua, what: &str) -> mlua::Result<Rc<Loading>> {
    lua.app_data_ref::<Rc<Loading>>()
        .map(|loading| Rc::clone(&loading))
        .ok_or_else(|| {
            LuaError::runtime(format!(
                "{what} works only while a script is loaded, or in init()"
            ))
        })
}

/// Builds the VM of generation `number`.
pub(super) async fn build(
    hub: &Hub,
    snapshot: &Arc<Snapshot>,
    number: u64,
    purpose: Purpose,
) -> Result<Rc<Live>, Failure> {
    let failed = |error: ScriptError| Failure::of(&error, snapshot);
    let limits = sandbox::Limits {
        cpu: snapshot.limits.cpu_budget,
        memory: snapshot.limits.memory,
        ..sandbox::Limits::default()
    };
    let vm = Vm::new(limits).map_err(failed)?;
    let state = Rc::new(Loading {
        number,
        script: Cell::new(0),
        registered: RefCell::default(),
        inits: RefCell::default(),
        timers: RefCell::default(),
    });
    vm.lua().set_app_data(Rc::clone(&state));
    install(hub, snapshot, &vm).map_err(failed)?;
    let mut scripts = Vec::with_capacity(snapshot.scripts.len());
    let mut sources = Vec::with_capacity(snapshot.scripts.len());
    for spec in &snapshot.scripts {
        let source = snapshot
            .find(&spec.source)
            .ok_or_else(|| missing(snapshot, &spec.name, &spec.source))?;
        scripts.push(Loaded {
            name: spec.name.as_str().into(),
            label: format!("script:{}", spec.name).into(),
            file: Arc::clone(&source.name),
            required: spec.required,
            on_error: spec.on_error,
            stats: hub.stats(&spec.name),
            parked: Cell::new(false),
        });
        sources.push(source);
    }
    let live = Rc::new(Live::new(number, Arc::clone(snapshot), vm, scripts));
    for (index, source) in sources.into_iter().enumerate() {
        state.script.set(index);
        let loaded = load_one(hub, &live, index, source, &state).await;
        settle(loaded, &live, index, &purpose, &state)?;
    }
    if !matches!(purpose, Purpose::Selftest) {
        call_inits(hub, &live, &purpose, &state).await?;
    }
    live.vm.lua().remove_app_data::<Rc<Loading>>();
    live.timers.replace(state.timers.take());
    live.seal(state.registered.take());
    if matches!(purpose, Purpose::Selftest) {
        selftest(hub, &live).await?;
    }
    Ok(live)
}

/// A script that did not load refuses the generation, or is parked in a VM that is built again.
fn settle(
    loaded: Result<(), Failure>,
    live: &Live,
    script: usize,
    purpose: &Purpose,
    state: &Loading,
) -> Result<(), Failure> {
    let Err(failure) = loaded else { return Ok(()) };
    let Purpose::Rebuild { before } = purpose else {
        return Err(failure);
    };
    let Some(loaded) = live.scripts.get(script) else {
        return Err(failure);
    };
    tracing::error!(script = %loaded.name, %failure, "script parked until the next save");
    loaded.parked.set(true);
    let mut registered = state.registered.borrow_mut();
    registered
        .functions
        .retain(|_, (owner, _)| *owner != script);
    registered.modules.retain(|_, (owner, _)| *owner != script);
    registered.deinits.retain(|(owner, _)| *owner != script);
    registered.announcements.forget(script);
    for row in POINTS {
        for (place, band) in BANDS.into_iter().enumerate() {
            let chain = &mut registered.chains[row.point as usize][place];
            chain.retain(|entry| entry.script != script);
            // Its places stay, empty, so that a required script still fails closed.
            chain.extend(
                before
                    .chain(row.point, band)
                    .iter()
                    .filter(|entry| entry.script == script)
                    .map(|entry| Entry {
                        script,
                        priority: entry.priority,
                        filter: entry.filter.clone(),
                        function: None,
                        at: entry.at.clone(),
                    }),
            );
        }
    }
    Ok(())
}

/// Puts modules, `require`, `hook` and Momentum's names into the globals.
fn install(hub: &Hub, snapshot: &Arc<Snapshot>, vm: &Vm) -> Result<(), ScriptError> {
    let refused = |error: LuaError| ScriptError::Sandbox(error.to_string());
    let lua = vm.lua();
    let globals = lua.globals();
    for module in hub.modules() {
        let name = module.doc().name;
        let table = module.install(lua, hub).map_err(refused)?;
        globals.set(name, &table).map_err(refused)?;
        vm.preload(name, table)?;
    }
    let hook = lua
        .create_function(super::api::hook::hook)
        .map_err(refused)?;
    globals.set("hook", hook).map_err(refused)?;
    let files = Arc::clone(snapshot);
    vm.set_loader(move |name| {
        let source = files.find(name)?;
        Some((source.name.to_string(), source.text.clone()))
    });
    let Some(boot) = snapshot.find(BOOT) else {
        return Ok(());
    };
    let chunk = vm.load(&boot.name, &boot.text)?;
    vm.call_now::<()>(&chunk, BOOT)
}

async fn load_one(
    hub: &Hub,
    live: &Rc<Live>,
    script: usize,
    source: &Source,
    state: &Loading,
) -> Result<(), Failure> {
    let failed = |error: LuaError| Failure::in_file(&source.name, error.to_string());
    let globals = own_globals(live.vm.lua()).map_err(failed)?;
    let chunk = live
        .vm
        .load(&source.name, &source.text)
        .map_err(|error| Failure::of(&error, &live.snapshot))?;
    chunk.set_environment(globals.clone()).map_err(failed)?;
    let call = Rc::new(Call::alone(live, script, "load"));
    run(hub, &call, &chunk, source).await?;
    let api: Value = globals.raw_get("api").map_err(failed)?;
    if !matches!(api, Value::Nil | Value::Integer(API)) {
        let asked = api.to_string().unwrap_or_default();
        let message = format!("asks for api {asked}, but this is api {API}");
        return Err(Failure::in_file(&source.name, message));
    }
    let lifecycle = |name: &str| globals.raw_get::<Option<Function>>(name).ok().flatten();
    let mut registered = state.registered.borrow_mut();
    state
        .inits
        .borrow_mut()
        .extend(lifecycle("init").map(|function| (script, function)));
    registered
        .deinits
        .extend(lifecycle("deinit").map(|function| (script, function)));
    registered
        .selftests
        .extend(lifecycle("selftest").map(|function| (script, function)));
    Ok(())
}

/// A script's own globals: what it assigns is its own, what it reads and has not is everybody's.
fn own_globals(lua: &Lua) -> mlua::Result<Table> {
    let own = lua.create_table()?;
    let meta = lua.create_table()?;
    meta.set("__index", lua.globals())?;
    own.set_metatable(Some(meta))?;
    own.set("_G", &own)?;
    Ok(own)
}

async fn run(
    hub: &Hub,
    call: &Rc<Call>,
    function: &Function,
    source: &Source,
) -> Result<MultiValue, Failure> {
    let live = &call.live;
    let running = Running::new(hub, Rc::clone(call), function, MultiValue::new());
    finish(running, Some(live.snapshot.limits.hook_wait))
        .await
        .map_err(|error| match error {
            RunError::Script(error) => Failure::of(&error, &live.snapshot),
            other => Failure::in_file(&source.name, format!("{}: {other}", call.what)),
        })
}

/// `init()` must return true, or the generation is refused.
async fn call_inits(
    hub: &Hub,
    live: &Rc<Live>,
    purpose: &Purpose,
    state: &Loading,
) -> Result<(), Failure> {
    let inits = state.inits.take();
    for (script, function) in inits {
        state.script.set(script);
        let outcome = call_init(hub, live, script, &function).await;
        settle(outcome, live, script, purpose, state)?;
    }
    Ok(())
}

async fn call_init(
    hub: &Hub,
    live: &Rc<Live>,
    script: usize,
    function: &Function,
) -> Result<(), Failure> {
    let Some(source) = source_of(live, script) else {
        return Ok(());
    };
    let call = Rc::new(Call::alone(live, script, "init"));
    let values = run(hub, &call, function, source).await?;
    if matches!(values.front(), Some(Value::Boolean(true))) {
        return Ok(());
    }
    let returned = values.front().map_or("nothing", Value::type_name);
    let returned = match values.front() {
        Some(Value::Boolean(false)) => "false",
        _ => returned,
    };
    Err(Failure {
        line: function.info().line_defined,
        ..Failure::in_file(
            &source.name,
            format!("init() must return true, it returned {returned}"),
        )
    }
    .with_text(&live.snapshot))
}

async fn selftest(hub: &Hub, live: &Rc<Live>) -> Result<(), Failure> {
    let selftests = live
        .registered()
        .map(|registered| registered.selftests.clone())
        .unwrap_or_default();
    for (script, function) in selftests {
        let Some(source) = source_of(live, script) else {
            continue;
        };
        let call = Rc::new(Call::alone(live, script, "selftest"));
        let values = run(hub, &call, &function, source).await?;
        if matches!(values.front(), Some(Value::Boolean(false))) {
            return Err(Failure {
                line: function.info().line_defined,
                ..Failure::in_file(&source.name, "selftest() returned false")
            }
            .with_text(&live.snapshot));
        }
    }
    Ok(())
}

fn source_of(live: &Live, script: usize) -> Option<&Source> {
    live.snapshot
        .by_name(live.scripts.get(script)?.file.as_ref())
}

fn missing(snapshot: &Snapshot, script: &str, source: &str) -> Failure {
    let hint = nearest(
        source,
        snapshot.names().map(|name| name.trim_end_matches(".lua")),
    )
    .map_or(String::new(), |near| format!("; did you mean \"{near}\"?"));
    Failure::plain(format!(
        "script \"{script}\": there is no script file \"{source}\"{hint}"
    ))
}

/// `registerModule(name, table)`: functions of the table that are named like a hook go to it, with the options that
/// `filters` has for them; `init`, `deinit` and `selftest` are called at their times, and the table is known by its name.
pub(super) fn register_module(lua: &Lua, name: &str, table: &Table) -> mlua::Result<()> {
    let loading = loading(lua, "registerModule")?;
    let script = loading.script.get();
    let filters = filters(table)?;
    let mut used = 0_usize;
    for pair in table.pairs::<String, Value>() {
        let (key, Value::Function(function)) = pair? else {
            continue;
        };
        let mut registered = loading.registered.borrow_mut();
        match key.as_str() {
            "init" => loading.inits.borrow_mut().push((script, function)),
            "deinit" => registered.deinits.push((script, function)),
            "selftest" => registered.selftests.push((script, function)),
            _ => match Point::from_name(&key) {
                Some(point) => {
                    let placed = match &filters {
                        Some(filters) => Placed::read(&filters.raw_get(key.as_str())?, point)?,
                        None => Placed::default(),
                    };
                    let at = defined_at(&function);
                    registered.chains[point as usize][placed.place].push(Entry {
                        script,
                        priority: placed.priority,
                        filter: placed.filter,
                        function: Some(function),
                        at,
                    });
                }
                None => {
                    near_miss(&key)?;
                    continue;
                }
            },
        }
        used += 1;
    }
    if used == 0 {
        tracing::warn!(module = ?name, "no usable functions found");
    }
    let mut registered = loading.registered.borrow_mut();
    registered
        .modules
        .insert(name.to_owned(), (script, table.clone()));
    Ok(())
}

/// The table `filters` of a module: hook options by the name of a function in it.
fn filters(module: &Table) -> mlua::Result<Option<Table>> {
    let filters = match module.raw_get::<Value>("filters")? {
        Value::Table(filters) => filters,
        // A helper function may be called so.
        Value::Nil | Value::Function(_) => return Ok(None),
        other => {
            return Err(LuaError::runtime(format!(
                "filters is a table of hook options by hook, not a {}",
                other.type_name()
            )));
        }
    };
    for pair in filters.pairs::<String, Value>() {
        let (hook, _) = pair?;
        let there = matches!(module.raw_get(hook.as_str())?, Value::Function(_));
        if !there || Point::from_name(&hook).is_none() {
            let hint = nearest(&hook, POINTS.iter().map(|row| row.name))
                .filter(|near| *near != hook)
                .map_or(String::new(), |near| format!("; did you mean \"{near}\"?"));
            return Err(LuaError::runtime(format!(
                "filters has \"{hook}\", but the module has no function for such a hook{hint}"
            )));
        }
    }
    Ok(Some(filters))
}

/// A helper function may have any name, but one that is nearly a hook's is a slip.
fn near_miss(key: &str) -> mlua::Result<()> {
    /// Likeness from which a name is taken for a slip.
    const SLIP: f64 = 0.95;
    let slip = POINTS
        .iter()
        .find(|row| strsim::jaro_winkler(key, row.name) >= SLIP);
    match slip {
        Some(row) => Err(LuaError::runtime(format!(
            "there is no hook \"{key}\"; did you mean \"{}\"?",
            row.name
        ))),
        None => Ok(()),
    }
}

/// `file:line` of a function.
pub(super) fn defined_at(function: &Function) -> String {
    let info = function.info();
    let file = info
        .source
        .as_deref()
        .unwrap_or("?")
        .trim_start_matches('@')
        .to_owned();
    format!("{file}:{}", info.line_defined.unwrap_or(0))
}
