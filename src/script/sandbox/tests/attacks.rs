//! Each attack is stopped by its budget, in time, and named.

use super::*;

/// Four budgets of CPU time (DESIGN §6), and as much again for a machine that builds without optimisation.
const STALL: Duration = Duration::from_millis(40);

/// `source` runs into a budget at `line` (0: any); the VM goes on with the next call.
fn stopped(source: &str, line: u32) -> What {
    let vm = vm();
    let (result, took) = run(&vm, source);
    let error = result.expect_err("it went through");
    let what = what(&error).unwrap_or_else(|| panic!("not a budget: {error}"));
    let place = error.place().unwrap();
    assert_eq!(place.script, "attack.lua", "{error}");
    if line != 0 {
        assert_eq!(place.line, line, "{error}");
    }
    assert!(took < STALL, "{took:?} for {error}");
    if vm.condemned() {
        assert_eq!(what, What::Memory);
    } else {
        assert_eq!(eval_in(&vm, "return 1 + 1"), "2", "the next call");
    }
    what
}

/// `source` fails with `message` at `line`, without wasting time.
fn refused(source: &str, line: u32, message: &str) {
    let vm = patient();
    let (result, took) = run(&vm, source);
    let error = result.expect_err("it went through");
    assert!(error.to_string().contains(message), "{error}");
    let place = error.place().unwrap();
    assert_eq!(
        (place.script.as_str(), place.line),
        ("attack.lua", line),
        "{error}"
    );
    assert!(took < STALL, "{took:?} for {error}");
}

#[test]
fn infinite_loop() {
    stopped("while true do end", 1);
    stopped("local i = 0\n::again:: i = i + 1\ngoto again", 0);
    stopped("for i = 1, math.huge do end", 1);
    stopped("repeat until false", 1);
}

#[test]
fn pcall_loop_that_swallows_errors() {
    stopped(
        "while true do pcall(function() while true do end end) end",
        1,
    );
    stopped("while true do pcall(error) end", 0);
    stopped("local function f() pcall(f) f() end f()", 0);
    stopped(
        "local ok repeat ok = pcall(string.rep, 'x', 1e9) until ok",
        0,
    );
}

#[test]
fn error_handler_does_not_run_when_stopped() {
    let vm = vm();
    let (result, _) = run(
        &vm,
        "ran = false\n\
         xpcall(function() while true do end end, function() ran = true while true do end end)",
    );
    assert!(what(&result.unwrap_err()).is_some());
    assert_eq!(eval_in(&vm, "return ran"), "false");
    stopped("xpcall(error, function() while true do end end)", 1);
    stopped("while true do xpcall(error, error) end", 0);
}

#[test]
fn stop_leaves_nothing_to_close_handlers() {
    let vm = vm();
    let (result, took) = run(
        &vm,
        "closed = 0\n\
         local mt = {__close = function() closed = closed + 1 while true do end end}\n\
         local function deep() local x <close> = setmetatable({}, mt) deep() end\n\
         pcall(deep)",
    );
    assert!(what(&result.unwrap_err()).is_some());
    assert!(took < STALL, "{took:?}");
    assert_eq!(eval_in(&vm, "return closed"), "0");
}

#[test]
fn deep_stacks_of_close_handlers_do_not_run_when_stopped() {
    let deep = "local mt = {__close = function() local t = {} while true do end end}\n\
        local function deep() local x <close> = setmetatable({}, mt) deep() end\n\
        local function all() pcall(deep) end\n";
    for body in [
        "all()",
        "table.sort({2, 1}, all)",
        "table.sort({setmetatable({}, {__lt = all}), 1})",
        "tostring(setmetatable({}, {__tostring = all}))",
        "error(setmetatable({}, {__tostring = all}))",
        "xpcall(error, all)",
        "('%s'):format(setmetatable({}, {__tostring = all}))",
        "table.concat(setmetatable({}, {__len = all}))",
        "for _ in ipairs(setmetatable({}, {__index = all})) do end",
        "table.unpack(setmetatable({}, {__index = all}), 1, 3)",
        "os.time(setmetatable({}, {__index = all}))",
        "('x'):gsub('x', all)",
        "('x'):gsub('x', setmetatable({}, {__index = all}))",
        "load(all)",
        "coroutine.wrap(all)()",
        "local co = coroutine.create(function() pcall(deep) end) coroutine.resume(co) coroutine.close(co)",
        "log = setmetatable({}, {__index = all}) log.info('x')",
    ] {
        let vm = vm();
        let (result, took) = run(&vm, &format!("{deep}{body}"));
        assert!(result.is_err(), "{body}");
        assert!(took < STALL, "{took:?} for {body}");
    }
}

#[test]
fn endless_allocation() {
    // Which bound comes first depends on the machine, and a failed allocation has no line of its own.
    stopped("local t = {} while true do t = {t} end", 0);
    stopped("local t = {}\nfor i = 1, math.huge do t[i] = {i} end", 0);
    stopped("while true do local s = {1, 2, 3, 4, 5, 6, 7, 8} end", 0);
}

#[test]
fn huge_table_kept_over_calls() {
    let vm = vm();
    run(&vm, "kept = {}").0.unwrap();
    let grow = vm
        .load(
            "attack.lua",
            b"local n = #kept\nfor i = 1, 3000 do kept[n + i] = {i, i} end",
        )
        .unwrap();
    for _ in 0..1000 {
        let before = thread_cpu();
        let result = vm.call_now::<()>(&grow, ());
        let took = thread_cpu() - before;
        assert!(took < STALL, "{took:?}");
        assert!(vm.memory() <= Limits::default().memory);
        if let Err(error) = result {
            assert_eq!(error.place().unwrap().script, "attack.lua");
            if vm.condemned() {
                assert_eq!(what(&error), Some(What::Memory));
                return;
            }
        }
    }
    panic!("the memory limit never held");
}

#[test]
fn memory_cannot_be_caught() {
    let vm = Vm::new(Limits {
        cpu: Duration::from_secs(60),
        instructions: u64::MAX,
        memory: 2 << 20,
        ..Limits::default()
    })
    .unwrap();
    let (result, _) = run(
        &vm,
        "local t = {}\nwhile true do pcall(function() for i = 1, 1e7 do t[#t + 1] = {} end end) end",
    );
    assert_eq!(what(&result.unwrap_err()), Some(What::Memory));
    assert!(vm.condemned());
}

#[test]
fn concat_growth() {
    stopped("local s = 'x'\nwhile true do s = s .. s end", 2);
    stopped(
        "local s = 'x'\nwhile true do pcall(function() s = s .. s end) end",
        2,
    );
}

#[test]
fn huge_strings_in_one_instruction() {
    // Strings as large as they can be, in the instructions that do most with them.
    let grow = "local s = ('x'):rep(300000) s = s .. s .. s .. s\nlocal t = s .. 'y'\n";
    for body in [
        "while true do local a = s < t end",
        "while true do local a = s .. 'z' end",
        "while true do local a = s:upper() end",
        "while true do local a = s == t end",
        "while true do local a = s:sub(2) end",
        "while true do local a = s:reverse() end",
        "while true do local a = s:find('y', 1, true) end",
        "while true do local a = s:byte(-1) end",
    ] {
        stopped(&format!("{grow}{body}"), 0);
    }
}

#[test]
fn huge_numerals() {
    let spaces = "local s = (' '):rep(400000) s = s .. s .. s .. s .. '1'\n";
    for body in [
        "s + 1",
        "math.floor(s)",
        "tonumber(s)",
        "select(s, 1)",
        "('x'):rep(s)",
        "#s:sub(s)",
    ] {
        let vm = vm();
        let (result, took) = run(&vm, &format!("{spaces}while true do local a = {body} end"));
        assert!(result.is_err(), "{body}");
        assert!(took < STALL, "{took:?} for {body}");
    }
}

#[test]
fn string_rep() {
    refused("return ('x'):rep(1e9)", 1, "resulting string too large");
    refused(
        "\nreturn string.rep('', 1e9, 'ab')",
        2,
        "resulting string too large",
    );
    refused(
        "return ('x'):rep(math.maxinteger, 'yy')",
        1,
        "resulting string too large",
    );
    assert_eq!(eval("return #(''):rep(1e15)"), "0");
}

#[test]
fn output_of_library_functions() {
    refused(
        "local t = {}\nfor i = 1, 2000 do t[i] = ('x'):rep(1000) end\nlocal r = table.concat(t)",
        3,
        "resulting string too large",
    );
    refused(
        "local r = (('x'):rep(2000):gsub('x', ('y'):rep(1000)))",
        1,
        "resulting string too large",
    );
    let error =
        fails("local r = (('x'):rep(2000):gsub('x', function() return ('y'):rep(1000) end))");
    assert!(
        error.to_string().contains("resulting string too large"),
        "{error}"
    );
    refused(
        "local s = ('x'):rep(600000)\nlocal r = ('%s%s'):format(s, s)",
        2,
        "allowed",
    );
    refused("local s = ('%99999d'):format(1)", 1, "invalid conversion");
}

#[test]
fn backtracking_find() {
    stopped(
        "return ('a'):rep(30):find(('a?'):rep(30) .. ('a'):rep(30))",
        1,
    );
    stopped("return ('a'):rep(10000):find(('.-'):rep(20) .. 'b')", 1);
    stopped("return ('a'):rep(100000):match('(.*)(.*)(.*)(.*)b')", 1);
    stopped("return ('('):rep(200000):find('%b()')", 1);
    stopped("for w in ('a'):rep(100000):gmatch('.-.-.-b') do end", 1);
    stopped("local r = ('a'):rep(100000):gsub('.-.-.-b', '')", 1);
    stopped("local r = ('a'):rep(100000):gsub('.-.-.-b', {})", 1);
}

#[test]
fn very_long_patterns() {
    stopped(
        "return ('a'):rep(100000):find('[' .. ('b'):rep(100000) .. ']')",
        1,
    );
    stopped(
        "return ('a'):rep(100000):find(('%f[' .. ('b'):rep(100000) .. ']'))",
        1,
    );
    refused(
        "return ('a'):rep(1000):find(('a?'):rep(1000))",
        1,
        "pattern too complex",
    );
    refused("return ('a'):find(('('):rep(1000))", 1, "too many captures");
}

#[test]
fn coroutine_loop() {
    stopped("while true do coroutine.wrap(function() end)() end", 1);
    stopped(
        "while true do coroutine.resume(coroutine.create(function() while true do end end)) end",
        1,
    );
    stopped(
        "local function f() coroutine.wrap(f)() end while true do pcall(f) end",
        0,
    );
    stopped(
        "local co = coroutine.wrap(function() while true do coroutine.yield() end end)\nwhile true do co() end",
        0,
    );
    stopped(
        "local function work(n) for i = 1, 40 do if n > 0 then coroutine.wrap(work)(n - 1) end end end\nwork(9)",
        0,
    );
}

#[test]
fn coroutine_that_catches_the_stop() {
    stopped(
        "local co = coroutine.create(function() while true do pcall(function() while true do end end) end end)\n\
         while true do coroutine.resume(co) end",
        1,
    );
    stopped(
        "while true do coroutine.close(coroutine.create(print or type)) end",
        1,
    );
    stopped(
        "local mt = {__close = function() while true do end end}\n\
         local co = coroutine.create(function() local x <close> = setmetatable({}, mt) coroutine.yield() end)\n\
         coroutine.resume(co)\nwhile true do coroutine.close(co) end",
        0,
    );
}

#[test]
fn metamethods_that_loop() {
    for body in [
        "tostring(setmetatable({}, {__tostring = function() while true do end end}))",
        "local t = setmetatable({}, {__index = function() while true do end end}) return t.x",
        "table.sort({3, 2, 1}, function() while true do end end)",
        "('x'):gsub('x', function() while true do end end)",
        "for _ in ipairs(setmetatable({}, {__index = function() while true do end end})) do end",
        "for _ in pairs(setmetatable({}, {__pairs = function() while true do end end})) do end",
        "return setmetatable({}, {__lt = function() while true do end end}) < 1",
        "return #setmetatable({}, {__len = function() while true do end end})",
    ] {
        stopped(body, 1);
        stopped(
            &format!("while true do pcall(function() {body} end) end"),
            1,
        );
    }
}

#[test]
fn lying_length_and_huge_ranges() {
    let lie = "local t = setmetatable({}, {__len = function() return 1e9 // 1 | 0 end, __index = function() return 1 end})\n";
    for body in [
        "table.concat(t)",
        "table.sort(t)",
        "table.insert(t, 1, 1)",
        "table.remove(t, 1)",
        "table.move(t, 1, #t, 2)",
    ] {
        stopped(&format!("{lie}{body}"), 0);
    }
    stopped("table.move({}, 1, 1000000000, 2)", 1);
    stopped("table.move({}, 1, math.maxinteger - 1, 2)", 1);
    refused("local r = table.unpack({}, 1, 1e9)", 1, "too many results");
    refused(
        "local r = table.concat({}, 'x', 1, 1e9)",
        1,
        "invalid value",
    );
    refused(
        "return ('x'):rep(1e6):byte(1, -1)",
        1,
        "string slice too long",
    );
}

#[test]
fn sort() {
    stopped(
        "local t = {} for i = 1, 20000 do t[i] = i end\nwhile true do table.sort(t) end",
        0,
    );
    stopped(
        "local t = {} for i = 1, 1000 do t[i] = i end\nwhile true do pcall(table.sort, t, function() return true end) end",
        0,
    );
}

#[test]
fn deep_recursion() {
    for source in [
        "local function f() return 1 + f() end return f()",
        "local function f() pcall(f) return f() end return f()",
        "local t = {} setmetatable(t, {__index = function(t, k) return t[k] end}) return t.x",
        "local t = {} setmetatable(t, {__tostring = function(t) return tostring(t) end}) return tostring(t)",
        "local function f() return ('x'):gsub('x', f) end return f()",
        "local function f() table.sort({1, 2}, f) end return f()",
        "local function f() return coroutine.wrap(f)() end return f()",
        "return load(('('):rep(10000))()",
        "local s = 'return ' .. ('{'):rep(1000) return load(s)()",
    ] {
        let vm = vm();
        let (result, took) = run(&vm, source);
        assert!(result.is_err(), "{source}");
        assert!(took < STALL, "{took:?} for {source}");
    }
}

#[test]
fn finalizers_are_refused() {
    refused(
        "setmetatable({}, {__gc = function() while true do end end})",
        1,
        "__gc",
    );
    let vm = vm();
    let (result, _) = run(
        &vm,
        "ran = false\n\
         local mt = {} local t = setmetatable({}, mt) mt.__gc = function() ran = true end t = nil",
    );
    result.unwrap();
    vm.lua().gc_collect().unwrap();
    vm.lua().gc_collect().unwrap();
    assert_eq!(eval_in(&vm, "return ran"), "false");
}

#[test]
fn the_host_is_out_of_reach() {
    refused("os.execute('true')", 1, "nil value");
    for gone in [
        "os.execute",
        "os.exit",
        "os.getenv",
        "os.remove",
        "os.rename",
        "os.setlocale",
        "os.tmpname",
        "io",
        "debug",
        "package",
        "dofile",
        "loadfile",
        "loadstring",
        "collectgarbage",
        "string.dump",
        "print",
        "warn",
        "module",
    ] {
        assert_eq!(eval(&format!("return {gone}")), "nil", "{gone}");
    }
}

#[test]
fn bytecode_is_refused() {
    let compiled = mlua::Lua::new()
        .load("return 1")
        .into_function()
        .unwrap()
        .dump(false);
    let vm = vm();
    assert!(matches!(
        vm.load("x.lua", &compiled),
        Err(ScriptError::Bytecode { .. })
    ));
    for source in [
        "local f, e = load('\\27Lua') assert(not f) error(e)",
        "local f, e = load('\\27Lua', 'x', 'b') assert(not f) error(e)",
        "local n = 0 local f, e = load(function() n = n + 1 return n == 1 and '\\27' or n == 2 and 'Lua' or nil end) assert(not f) error(e)",
        "local f, e = load('return 1', 'x', 'b') assert(not f) error(e)",
    ] {
        let error = fails(source);
        assert!(error.to_string().contains("attempt to load"), "{error}");
    }
}

#[test]
fn error_in_every_call() {
    let vm = vm();
    let chunk = vm
        .load("attack.lua", b"local n = ...\n\nerror('no ' .. n)")
        .unwrap();
    for n in 0..1000 {
        let error = vm.call_now::<()>(&chunk, n).unwrap_err();
        assert_eq!(error.to_string(), format!("attack.lua:3: no {n}"));
    }
    assert!(!vm.condemned());
}

#[test]
fn strings_metatable_is_locked() {
    assert_eq!(eval("return getmetatable('')"), "false");
    assert!(
        fails("getmetatable('').__index = {}")
            .to_string()
            .contains("attempt to index")
    );
    assert!(
        fails("setmetatable('', {})")
            .to_string()
            .contains("bad argument")
    );
    assert_eq!(
        eval("string.format = nil string.rep = error return ('%d'):format(7) .. ('x'):rep(2)"),
        "7xx"
    );
    assert_eq!(
        eval("function string.twice(s) return s .. s end return ('ab'):twice()"),
        "abab"
    );
}

#[test]
fn environment_is_only_what_is_given() {
    assert_eq!(
        eval("local _ENV = {tostring = tostring} return tostring(x)"),
        "nil"
    );
    assert_eq!(eval("return load('return x', 'c', 't', {x = 5})()"), "5");
    assert_eq!(eval("x = 6 return load('return x')()"), "6");
    assert!(
        fails("load('x', 'c', 't', 7)")
            .to_string()
            .contains("table expected")
    );
}

#[test]
fn load_is_bounded() {
    let error = fails("return assert(load(('x = 1\\n'):rep(10000)))");
    assert!(error.to_string().contains("bytes to load"), "{error}");
    stopped("while true do load(('local a = 1\\n'):rep(100)) end", 1);
    let error = vm().load("big.lua", &vec![b' '; super::super::SOURCE_BYTES + 1]);
    assert!(matches!(error, Err(ScriptError::TooLarge { .. })));
}

#[test]
fn abandoned_coroutine_is_harmless_later() {
    let vm = vm();
    let (result, _) = run(
        &vm,
        "kept = coroutine.create(function() while true do end end)\ncoroutine.resume(kept)",
    );
    assert!(what(&result.unwrap_err()).is_some());
    let (result, took) = run(&vm, "coroutine.resume(kept)");
    assert!(what(&result.unwrap_err()).is_some());
    assert!(took < STALL, "{took:?}");
    assert_eq!(eval_in(&vm, "return 1"), "1");
}

/// Making a call's arguments allocates too. Seen under load: a VM at its limit in which every message collected everything.
#[test]
fn failed_allocation_outside_of_a_call_condemns() {
    let vm = Vm::new(Limits::default()).unwrap();
    vm.witness(&mlua::Error::runtime("something else"));
    assert!(!vm.condemned());
    vm.witness(&mlua::Error::MemoryError("not enough memory".to_owned()));
    assert!(vm.condemned());
}

/// A large file of the operator's loads; it has more than a call, but not for ever.
#[test]
fn loading_has_more_budgets_than_a_call() {
    let limits = Limits {
        instructions: 10_000,
        cpu: Duration::from_secs(1),
        ..Limits::default()
    };
    let vm = Vm::new(limits).unwrap();
    let long = vm.load("long", b"for _ = 1, 20000 do end").unwrap();
    assert!(now(vm.call(&long, ())).is_err());
    assert!(now(vm.call(&long, ()).loading()).is_ok());
    let endless = vm.load("endless", b"while true do end").unwrap();
    assert!(now(vm.call(&endless, ()).loading()).is_err());
}

fn now(call: crate::script::sandbox::Call<()>) -> Result<(), ScriptError> {
    match std::pin::pin!(call).poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
        std::task::Poll::Ready(result) => result,
        std::task::Poll::Pending => panic!("nothing waits"),
    }
}
