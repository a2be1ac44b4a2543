//! It is still Lua: what is replaced does what the manual says, and waits work everywhere.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use mlua::{Table, Value};

use super::super::ALLOWED;
use super::*;

/// Polls until it is done, at most 1000 times.
fn drive<T>(future: impl Future<Output = T>) -> (T, usize) {
    let mut future = pin!(future);
    for waits in 0..1000 {
        if let Poll::Ready(value) = future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            return (value, waits);
        }
    }
    panic!("it waits for ever");
}

/// A VM with `wait(x)`, which waits once and gives x back.
fn waiting() -> Vm {
    waiting_in(patient())
}

fn waiting_in(vm: Vm) -> Vm {
    let wait = vm
        .lua()
        .create_async_function(async |_, value: Value| {
            let mut asked = false;
            std::future::poll_fn(|_| match std::mem::replace(&mut asked, true) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            })
            .await;
            Ok(value)
        })
        .unwrap();
    vm.lua().globals().set("wait", wait).unwrap();
    vm
}

fn waits(source: &str) -> (String, usize) {
    let vm = waiting();
    let chunk = vm.load("wait.lua", source.as_bytes()).unwrap();
    let (result, waits) = drive(vm.call::<Value>(&chunk, ()));
    (result.unwrap().to_string().unwrap(), waits)
}

#[test]
fn allow_list_is_complete() {
    let mut have = BTreeSet::new();
    let vm = vm();
    let globals = vm.lua().globals();
    for pair in globals.pairs::<String, Value>() {
        let (name, value) = pair.unwrap();
        if let Value::Table(library) = &value
            && name != "_G"
        {
            for pair in library.pairs::<String, Value>() {
                have.insert(format!("{name}.{}", pair.unwrap().0));
            }
        }
        have.insert(name);
    }
    let listed: BTreeSet<String> = ALLOWED.iter().map(|row| row.name.to_owned()).collect();
    assert_eq!(have, listed);
    assert_eq!(listed.len(), ALLOWED.len(), "a name is listed twice");
    assert!(globals.metatable().is_none());
    assert_eq!(globals.get::<Table>("_G").unwrap(), globals);
}

#[test]
fn methods_of_strings_are_the_listed_ones() {
    let names = eval(
        "local t = {} for k in pairs(string) do t[#t + 1] = k assert(('')[k], k) end table.sort(t) return table.concat(t, ' ')",
    );
    assert_eq!(
        names,
        "byte char find format gmatch gsub len lower match pack packsize rep reverse sub unpack upper"
    );
}

#[test]
fn protected_calls() {
    assert_eq!(
        eval("local ok, e = pcall(error, {1}) return tostring(ok) .. e[1]"),
        "false1"
    );
    assert_eq!(
        eval("return select('#', pcall(function() return nil, nil end))"),
        "3"
    );
    assert_eq!(
        eval("return (select(2, pcall(function() error('x') end)))"),
        "attack.lua:1: x"
    );
    assert_eq!(eval("return (select(2, pcall(error)))"), "nil");
    assert_eq!(
        eval("return (select(2, xpcall(error, function(m) return m .. '!' end, 'x')))"),
        "x!"
    );
    assert_eq!(
        eval("\nlocal ok, e = pcall(function() return ('x'):rep(1e9) end) return e")
            .split(" too")
            .next(),
        Some("attack.lua:2: resulting string")
    );
    assert_eq!(
        eval(
            "local t = setmetatable({}, {__close = function() closed = 1 end}) pcall(function() local x <close> = t error() end) return closed"
        ),
        "1"
    );
}

#[test]
fn coroutines() {
    assert_eq!(
        eval(
            "local co = coroutine.wrap(function(a) local b = coroutine.yield(a + 1) return b * 2 end) return co(1) .. co(5)"
        ),
        "210"
    );
    assert_eq!(
        eval(
            "local co = coroutine.create(error) local ok, e = coroutine.resume(co, 'x') return tostring(ok) .. e .. coroutine.status(co)"
        ),
        "falsexdead"
    );
    assert_eq!(
        eval("return select('#', coroutine.resume(coroutine.create(function() end)))"),
        "1"
    );
    assert_eq!(
        eval(
            "local co = coroutine.create(function() coroutine.yield() end) coroutine.resume(co) return tostring(coroutine.close(co)) .. coroutine.status(co)"
        ),
        "truedead"
    );
    assert_eq!(
        eval(
            "local co = coroutine.wrap(function() return pcall(function() return coroutine.yield(1) + 1 end) end) co() return select(2, co(4))"
        ),
        "5"
    );
    assert_eq!(eval("return tostring(coroutine.isyieldable())"), "false");
    assert_eq!(
        eval("return tostring(coroutine.wrap(function() return coroutine.isyieldable() end)())"),
        "true"
    );
    assert!(
        fails("coroutine.yield(1)")
            .to_string()
            .contains("outside a coroutine")
    );
    assert!(
        fails("coroutine.wrap(function() error('inside') end)()")
            .to_string()
            .ends_with("attack.lua:1: inside")
    );
    assert_eq!(
        eval("return (select(2, coroutine.resume(coroutine.running())))"),
        "cannot resume the coroutine of a handler"
    );
}

#[test]
fn waits_pass_through() {
    assert_eq!(waits("return wait(1) + wait(2)"), ("3".into(), 2));
    assert_eq!(
        waits("return coroutine.wrap(function() return wait(4) end)()"),
        ("4".into(), 1)
    );
    assert_eq!(
        waits(
            "return coroutine.wrap(function() return coroutine.wrap(function() return wait(4) + wait(5) end)() end)()"
        ),
        ("9".into(), 2)
    );
    assert_eq!(waits("return select(2, pcall(wait, 6))"), ("6".into(), 1));
    assert_eq!(
        waits("return select(2, xpcall(wait, error, 6))"),
        ("6".into(), 1)
    );
    assert_eq!(
        waits("return (('a-b'):gsub('%a', function(c) return wait(c:upper()) end))"),
        ("A-B".into(), 2)
    );
    assert_eq!(
        waits(
            "local t = setmetatable({}, {__index = function(_, k) return wait(k) end}) return t.x"
        ),
        ("x".into(), 1)
    );
    for source in [
        "local t = {3, 1, 2} table.sort(t, function(a, b) return wait(a) < b end) return t[1]",
        "return tostring(setmetatable({}, {__tostring = function() return wait('1') end}))",
        "return ('%s'):format(setmetatable({}, {__tostring = function() return wait('1') end}))",
        "for _, v in ipairs(setmetatable({}, {__index = function(_, i) return wait(i) end})) do return v end",
        "return select(2, xpcall(error, function(m) return wait(m) end, '1'))",
        "return (table.unpack(setmetatable({}, {__index = function(_, i) return wait(i) end}), 1, 2))",
    ] {
        let (first, waits) = waits(source);
        assert_eq!(first, "1", "{source}");
        assert!(waits > 0, "{source}");
    }
    assert_eq!(
        waits(
            "local co = coroutine.wrap(function() for i = 1, 3 do coroutine.yield(wait(i)) end end) return co() + co() + co()"
        ),
        ("6".into(), 3)
    );
    assert_eq!(
        waits(
            "local co co = coroutine.create(function() wait(1) end)\n\
             local other = coroutine.wrap(function() return coroutine.status(co) end)\n\
             coroutine.resume(co) return coroutine.status(co) .. other()"
        ),
        ("deaddead".into(), 1)
    );
}

#[test]
fn wait_where_nothing_waits_is_an_error() {
    let vm = waiting();
    let chunk = vm.load("wait.lua", b"wait(1)").unwrap();
    assert!(matches!(
        vm.call_now::<()>(&chunk, ()),
        Err(ScriptError::Waits { .. })
    ));
}

#[test]
fn budget_sums_over_waits() {
    let vm = Vm::new(Limits {
        cpu: Duration::from_secs(60),
        instructions: 100_000,
        ..Limits::default()
    })
    .unwrap();
    let polled = Rc::new(Cell::new(0));
    let count = Rc::clone(&polled);
    let tick = vm
        .lua()
        .create_async_function(move |_, ()| {
            count.set(count.get() + 1);
            let mut asked = false;
            std::future::poll_fn(move |_| match std::mem::replace(&mut asked, true) {
                true => Poll::Ready(Ok(())),
                false => Poll::Pending,
            })
        })
        .unwrap();
    vm.lua().globals().set("tick", tick).unwrap();
    let chunk = vm
        .load(
            "wait.lua",
            b"while true do tick() for i = 1, 5000 do end end",
        )
        .unwrap();
    let (result, waits) = drive(vm.call::<()>(&chunk, ()));
    assert_eq!(what(&result.unwrap_err()), Some(What::Instructions));
    assert!((15..25).contains(&waits), "{waits}");
    let idle = vm.load("wait.lua", b"while true do tick() end").unwrap();
    let mut call = pin!(vm.call::<()>(&idle, ()));
    let stopped = (0..10_000).any(|_| {
        call.as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
            .is_ready()
    });
    assert!(stopped, "a loop of waits has no end");
}

#[test]
fn other_calls_run_while_one_waits() {
    let vm = waiting();
    let slow = vm
        .load(
            "slow.lua",
            b"local x = wait(1) for i = 1, 1000 do end return x",
        )
        .unwrap();
    let quick = vm.load("quick.lua", b"return 2").unwrap();
    let mut first = pin!(vm.call::<i64>(&slow, ()));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(first.as_mut().poll(&mut cx).is_pending());
    assert_eq!(vm.call_now::<i64>(&quick, ()).unwrap(), 2);
    let Poll::Ready(result) = first.as_mut().poll(&mut cx) else {
        panic!("still waiting");
    };
    assert_eq!(result.unwrap(), 1);
}

#[test]
fn stop_in_a_coroutine_after_a_wait() {
    let limits = Limits {
        instructions: 10_000,
        ..Limits::default()
    };
    let vm = waiting_in(Vm::new(limits).unwrap());
    let source = b"coroutine.wrap(function() wait(1)\nwhile true do end end)()";
    let chunk = vm.load("wait.lua", source).unwrap();
    let (result, waits) = drive(vm.call::<()>(&chunk, ()));
    assert_eq!(waits, 1);
    assert_eq!(
        result.unwrap_err().to_string(),
        "wait.lua:2: stopped, it used up its instructions"
    );
}

#[test]
fn what_a_wait_holds_is_let_go_when_its_call_is_dropped() {
    let vm = patient();
    let held = Rc::new(());
    let hold = Rc::clone(&held);
    let wait = vm
        .lua()
        .create_async_function(move |_, ()| {
            let hold = Rc::clone(&hold);
            async move {
                std::future::pending::<()>().await;
                drop(hold);
                Ok(())
            }
        })
        .unwrap();
    vm.lua().globals().set("forever", wait).unwrap();
    let chunk = vm.load("wait.lua", b"forever()").unwrap();
    let mut call = Box::pin(vm.call::<()>(&chunk, ()));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(call.as_mut().poll(&mut cx).is_pending());
    assert_eq!(Rc::strong_count(&held), 3);
    drop(call);
    let steps = (0..100_000).take_while(|_| {
        vm.gc_step();
        Rc::strong_count(&held) > 2
    });
    assert!(steps.count() < 100_000);
}

#[test]
fn tables() {
    assert_eq!(
        eval(
            "local t = {1, 2, 3} table.insert(t, 4) table.insert(t, 1, 0) return table.concat(t, ',')"
        ),
        "0,1,2,3,4"
    );
    assert_eq!(
        eval("local t = {1, 2, 3} return table.remove(t, 1) .. table.remove(t) .. #t"),
        "131"
    );
    assert_eq!(eval("return tostring(table.remove({}))"), "nil");
    assert_eq!(
        eval("local t = {1, 2, 3} t[#t + 1] = 9 table.remove(t, #t + 1) return #t"),
        "4"
    );
    assert_eq!(
        eval("return table.concat(table.move({1, 2, 3}, 1, 3, 2), ',')"),
        "1,1,2,3"
    );
    assert_eq!(
        eval("return table.concat(table.move({1, 2, 3}, 2, 3, 1), ',')"),
        "2,3,3"
    );
    assert_eq!(eval("return table.pack(1, nil, 3).n"), "3");
    assert_eq!(
        eval("return select('#', table.unpack({1, 2, nil, 4}, 1, 4))"),
        "4"
    );
    assert_eq!(
        eval(
            "local t = {3, 1, 2} table.sort(t, function(a, b) return a > b end) return table.concat(t)"
        ),
        "321"
    );
    assert_eq!(
        eval(
            "local t = {} for i = 1, 40 do t[i] = {i % 5, i} end table.sort(t, function(a, b) return a[1] < b[1] end) local s = '' for i = 1, 40 do s = s .. t[i][2] .. ' ' end return s:sub(1, 22)"
        ),
        "5 10 15 20 25 30 35 40"
    );
    assert_eq!(
        eval("local t = {'b', 'a', 'c'} table.sort(t) return table.concat(t)"),
        "abc"
    );
    assert_eq!(
        eval(
            "local p = setmetatable({}, {__index = function(_, i) return 'x' .. i end, __len = function() return 3 end}) return table.concat(p, ' ')"
        ),
        "x1 x2 x3"
    );
    assert!(
        fails("table.insert(nil, 1)")
            .to_string()
            .contains("table expected, got nil")
    );
    assert!(
        fails("table.insert({}, 5, 1)")
            .to_string()
            .contains("position out of bounds")
    );
}

#[test]
fn numbers() {
    assert_eq!(eval("return '10' + 1"), "11");
    assert_eq!(eval("return '0x10' * '2'"), "32");
    assert_eq!(eval("return 10 .. ''"), "10");
    assert_eq!(eval("return '3' // 2 + -'1'"), "0");
    assert_eq!(eval("return tostring('1e1' + 0)"), "10.0");
    assert_eq!(eval("return tonumber('ff', 16)"), "255");
    assert_eq!(eval("return tonumber('  12  ')"), "12");
    assert_eq!(
        eval("return tostring(tonumber('x')) .. tostring(tonumber(nil))"),
        "nilnil"
    );
    assert_eq!(
        eval("return tonumber('9007199254740993')"),
        "9007199254740993"
    );
    assert_eq!(
        eval("return tostring(tonumber('9223372036854775808'))"),
        "9.2233720368548e+18"
    );
    assert_eq!(
        eval("return math.floor('3.7') .. math.max(2, 1) .. math.tointeger(3.0)"),
        "323"
    );
    assert_eq!(
        eval("return math.type(1) .. math.type(1.0) .. tostring(math.type('1'))"),
        "integerfloatnil"
    );
    assert!(
        fails("return 'x' + 1")
            .to_string()
            .contains("arithmetic on a string value")
    );
    assert!(
        fails("return {} + '1'")
            .to_string()
            .contains("arithmetic on a table value")
    );
    assert_eq!(
        eval("return '1' + setmetatable({}, {__add = function() return 'm' end})"),
        "m"
    );
    assert!(
        fails("local x = math.floor({})")
            .to_string()
            .starts_with("attack.lua:1: bad argument #1 to")
    );
}

#[test]
fn strings_are_bytes() {
    assert_eq!(eval("return #('\\255\\0\\254'):rep(3, '\\0')"), "11");
    assert_eq!(eval("return ('\\255x'):byte()"), "255");
    assert_eq!(eval("return (('a\\255b'):gsub('\\255', '-'))"), "a-b");
    assert_eq!(eval("return ('a\\0b'):find('\\0', 1, true)"), "2");
    assert_eq!(
        eval("return ('%s|%5.1f|%q'):format('x', 1.25, 'y')"),
        "x|  1.2|\"y\""
    );
    assert_eq!(
        eval("return utf8.char(228) .. utf8.len('ä') .. #utf8.char(8364)"),
        "ä13"
    );
    let error = fails("error('\\255')");
    assert!(error.place().is_some());
}

#[test]
fn modules() {
    let vm = patient();
    let reads = Rc::new(Cell::new(0));
    let seen = Rc::clone(&reads);
    vm.set_loader(move |name| {
        seen.set(seen.get() + 1);
        let text: &'static str = match name {
            "a.b" => "local name = ... return {name = name}",
            "bad" => "return +",
            "broken" => "error('broken')",
            "loop1" => "return require 'loop2'",
            "loop2" => "return require 'loop1'",
            "code" => "\x1bLua",
            _ => return None,
        };
        Some((format!("{name}.lua"), Bytes::from_static(text.as_bytes())))
    });
    vm.preload("native", 42).unwrap();
    assert_eq!(
        eval_in(
            &vm,
            "assert(require('a.b') == require('a.b')) return require('a.b').name"
        ),
        "a.b"
    );
    assert_eq!(reads.get(), 1);
    assert_eq!(eval_in(&vm, "return require('native')"), "42");
    for (name, message) in [
        ("bad", "bad.lua:1: unexpected symbol"),
        ("broken", "broken.lua:1: broken"),
        ("loop1", "requires itself"),
        ("code", "compiled Lua is refused"),
        ("none", "module 'none' not found"),
        ("../x", "a module's name"),
    ] {
        let error = run(&vm, &format!("return require('{name}')"))
            .0
            .unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
    }
}

#[test]
fn errors_name_their_place() {
    let vm = vm();
    let Err(ScriptError::Syntax { place, message }) = vm.load("dialplan.lua", b"x = 1\n\nif then")
    else {
        panic!("it compiled");
    };
    assert_eq!((place.script.as_str(), place.line), ("dialplan.lua", 3));
    assert!(message.starts_with("unexpected symbol near"), "{message}");
    let chunk = vm
        .load(
            "dialplan.lua",
            b"local function f()\n  local x = nil + 1\nend\nf()",
        )
        .unwrap();
    let Err(ScriptError::Lua {
        place,
        message,
        traceback,
    }) = vm.call_now::<()>(&chunk, ())
    else {
        panic!("no error");
    };
    assert_eq!((place.script.as_str(), place.line), ("dialplan.lua", 2));
    assert!(
        message.starts_with("attempt to perform arithmetic"),
        "{message}"
    );
    assert!(traceback.contains("dialplan.lua:4"), "{traceback}");
    let chunk = vm.load("dialplan.lua", b"\nerror({code = 1})").unwrap();
    let error = vm.call_now::<()>(&chunk, ()).unwrap_err();
    assert_eq!(error.place().unwrap().line, 2);
}

#[test]
fn old_vm_is_emptied_in_steps() {
    let vm = patient();
    run(&vm, "t = {} for i = 1, 10000 do t[i] = {i} end t = nil")
        .0
        .unwrap();
    let full = vm.memory();
    let steps = (0..100_000).take_while(|_| !vm.gc_step()).count();
    for _ in 0..2 {
        while !vm.gc_step() {}
    }
    assert!(vm.memory() < full, "{steps} steps");
}
