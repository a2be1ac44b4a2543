//! docs/coming-from.md says of Lua what a daemon does.

use std::fs;
use std::path::Path;

use crate::harness::Setup;

const HEAD: &str = "| Lua 5.1 of Momentum | write |";
const SHIFTED: &str = "| line | 5.1 | here | write |";

/// The code spans of each row of the table with that head.
fn rows(page: &str, head: &str) -> Vec<Vec<String>> {
    let behind = page.split_once(head).unwrap().1;
    behind
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            line.split('`')
                .skip(1)
                .step_by(2)
                .map(str::to_owned)
                .collect()
        })
        .collect()
}

#[test]
fn every_line_of_lua_does_what_the_page_says() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/coming-from.md");
    let page = fs::read_to_string(page).unwrap();
    let setup =
        Setup::new().config("scriptlet \"scriptlet\" { script \"page\" { source = \"page\" } }\n");
    fs::create_dir_all(setup.scripts()).unwrap();
    fs::write(setup.scripts().join("helper.lua"), "return { two = 2 }\n").unwrap();
    let script = setup.scripts().join("page.lua");
    fs::write(&script, "\n").unwrap();
    let server = setup.start();
    let reload = |lua: &str| {
        fs::write(&script, format!("{lua}\n")).unwrap();
        server.ctl(&["script", "reload"])
    };
    let table = rows(&page, HEAD);
    assert!(table.len() > 15, "{table:?}");
    for row in table {
        let [old, new] = &row[..] else {
            panic!("{row:?}")
        };
        let refused = reload(old);
        assert_eq!(refused.code, Some(1), "{old} is taken");
        assert!(
            refused.message().contains("page.lua:1:"),
            "{}",
            refused.stderr
        );
        let taken = reload(new);
        assert_eq!(taken.code, Some(0), "{new}: {}", taken.stderr);
    }
    let shifted = rows(&page, SHIFTED);
    assert_eq!(shifted.len(), 3);
    for row in shifted {
        let [line, _, here, instead, ..] = &row[..] else {
            panic!("{row:?}")
        };
        let said = reload(&format!("assert(({line}) == {here:?}, ({line}))"));
        assert_eq!(said.code, Some(0), "{line}: {}", said.stderr);
        let said = reload(&format!(
            "assert(not tostring({instead}):find(\".\", 1, true))"
        ));
        assert_eq!(said.code, Some(0), "{instead}: {}", said.stderr);
    }
}
