//! What scripts announce of themselves: stream features and namespaces for service discovery.

use std::rc::Rc;

use mlua::Error as LuaError;

use crate::xml::Element;

/// Most stream features, and most namespaces, of one generation.
const MOST: usize = 64;
/// Most bytes of a name or a namespace.
const LONGEST: usize = 256;

/// What the scripts of one generation announce.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Announced {
    /// Stream features after the login, as XML, in the order in which they were registered.
    pub stream: String,
    /// Namespaces that service discovery tells of the server, sorted.
    pub disco: Rc<[String]>,
}

/// The same while scripts are loaded, each with its script: one that is parked takes its own along.
#[derive(Default)]
pub(super) struct Announcements {
    stream: Vec<(usize, (String, String))>,
    disco: Vec<(usize, String)>,
}

impl Announcements {
    /// A stream feature: an empty element.
    ///
    /// # Errors
    /// What it is called is no name, too long, or one too many.
    pub(super) fn stream(
        &mut self,
        script: usize,
        name: String,
        namespace: String,
    ) -> mlua::Result<()> {
        let mut bytes = name.bytes();
        let begins = bytes
            .next()
            .is_some_and(|first| first.is_ascii_alphabetic());
        let goes_on = bytes.all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        if !begins || !goes_on || name.len() > LONGEST {
            return Err(LuaError::runtime(format!(
                "\"{name}\" is no name of a stream feature: letters, digits, - and _, a letter first"
            )));
        }
        checked(&namespace)?;
        let feature = (name, namespace);
        if self.stream.iter().all(|(_, known)| *known != feature) {
            room(self.stream.len(), "stream features")?;
            self.stream.push((script, feature));
        }
        Ok(())
    }

    /// A namespace for service discovery.
    ///
    /// # Errors
    /// It is empty, too long, or one too many.
    pub(super) fn disco(&mut self, script: usize, namespace: String) -> mlua::Result<()> {
        checked(&namespace)?;
        if self.disco.iter().all(|(_, known)| *known != namespace) {
            room(self.disco.len(), "features")?;
            self.disco.push((script, namespace));
        }
        Ok(())
    }

    /// Without what `script` has announced.
    pub(super) fn forget(&mut self, script: usize) {
        self.stream.retain(|(owner, _)| *owner != script);
        self.disco.retain(|(owner, _)| *owner != script);
    }

    /// All of it.
    pub(super) fn finish(&self) -> Announced {
        let elements = self.stream.iter();
        let elements = elements.map(|(_, (name, namespace))| Element::new(name, namespace));
        let mut disco: Vec<String> = self.disco.iter().map(|(_, name)| name.clone()).collect();
        disco.sort_unstable();
        Announced {
            stream: elements.map(|element| element.to_string()).collect(),
            disco: disco.into(),
        }
    }
}

fn checked(namespace: &str) -> mlua::Result<()> {
    if namespace.is_empty() || namespace.len() > LONGEST || namespace.contains(char::is_control) {
        return Err(LuaError::runtime(format!(
            "a namespace has 1 to {LONGEST} bytes and no control characters"
        )));
    }
    Ok(())
}

fn room(have: usize, what: &str) -> mlua::Result<()> {
    if have < MOST {
        return Ok(());
    }
    Err(LuaError::runtime(format!(
        "scripts announce at most {MOST} {what}"
    )))
}
