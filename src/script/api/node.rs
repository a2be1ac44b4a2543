//! XML nodes. A node is a place in a tree that a stanza or a script owns; nothing is copied until it is written.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use mlua::{
    Error as LuaError, IntoLua, Lua, MetaMethod, MultiValue, UserData, UserDataMethods, Value,
};
use smallvec::SmallVec;

use crate::script::sandbox::{Held, work};
#[cfg(test)]
use crate::script::{FunctionDoc, ModuleDoc};
use crate::xml::{Element, Node};

use super::stanza::LuaStanza;
use super::text_of;

/// The class. A stanza has these methods too.
#[cfg(test)]
pub(in crate::script) const DOC: ModuleDoc = ModuleDoc {
    name: "xmlnode",
    doc: "An XML element, in a stanza or alone. `tostring` gives its XML.",
    functions: &[
        FunctionDoc {
            name: ":name",
            args: &[],
            returns: "string",
            doc: "Its name, without prefix.",
        },
        FunctionDoc {
            name: ":ns",
            args: &[],
            returns: "string",
            doc: "Its namespace.",
        },
        FunctionDoc {
            name: ":attr",
            args: &[("key", "string"), ("value?", "string?")],
            returns: "string?",
            doc: "An attribute; with a second argument it is set, or removed by nil.",
        },
        FunctionDoc {
            name: ":contents",
            args: &[("text?", "string")],
            returns: "string",
            doc: "Its text, without that of its children; with an argument everything in it is replaced.",
        },
        FunctionDoc {
            name: ":child",
            args: &[("name", "string"), ("ns?", "string")],
            returns: "xmlnode?",
            doc: "The first child of that name, in any namespace or in this one.",
        },
        FunctionDoc {
            name: ":children",
            args: &[],
            returns: "fun(): xmlnode?",
            doc: "For `for child in node:children() do`: its child elements.",
        },
        FunctionDoc {
            name: ":addchild",
            args: &[("what", "string|xmlnode"), ("ns?", "string")],
            returns: "xmlnode",
            doc: "Adds a child of that name (in the parent's namespace, or this one), or a copy of a node.",
        },
        FunctionDoc {
            name: ":unlink",
            args: &[],
            returns: "",
            doc: "Takes it out of its parent.",
        },
    ],
};

/// A tree of a script's own.
pub(in crate::script) struct Tree {
    element: RefCell<Element>,
    /// Grows when children go away: places noted before then mean nothing any more.
    version: Cell<u32>,
    held: RefCell<Held>,
}

/// Bytes that an element takes besides its texts, about.
const ELEMENT: usize = 120;
/// Bytes that an attribute or a text takes besides its characters, about.
const PART: usize = 40;

/// Bytes that an element takes in memory with all that is in it, about.
pub(super) fn weight(element: &Element) -> usize {
    let attributes = element.attrs().iter();
    let attributes = attributes.map(|attr| PART + attr.name().len() + attr.value().len());
    ELEMENT + element.name().len() + attributes.sum::<usize>() + weight_inside(element)
}

fn weight_inside(element: &Element) -> usize {
    let children = element.children().iter();
    children
        .map(|node| match node {
            Node::Element(child) => weight(child),
            Node::Text(text) => PART + text.len(),
        })
        .sum()
}

/// What a node is in.
#[derive(Clone)]
enum Root {
    Stanza(LuaStanza),
    Tree(Rc<Tree>),
}

/// A node in Lua.
#[derive(Clone)]
pub(in crate::script) struct LuaNode {
    root: Root,
    /// From the root, the index among all children of each element on the way.
    path: SmallVec<[usize; 4]>,
    version: u32,
}

impl LuaNode {
    /// A tree of its own.
    pub(in crate::script) fn new(lua: &Lua, element: Element) -> mlua::Result<LuaNode> {
        let mut held = Held::default();
        held.grow(lua, weight(&element))?;
        let tree = Tree {
            element: RefCell::new(element),
            version: Cell::new(0),
            held: RefCell::new(held),
        };
        Ok(LuaNode {
            root: Root::Tree(Rc::new(tree)),
            path: SmallVec::new(),
            version: 0,
        })
    }

    /// Accounts for what is about to be added, and for what has gone.
    fn held<T>(&self, change: impl FnOnce(&mut Held) -> T) -> T {
        match &self.root {
            Root::Stanza(stanza) => stanza.held(change),
            Root::Tree(tree) => change(&mut tree.held.borrow_mut()),
        }
    }

    /// The element of a stanza itself.
    pub(super) fn of_stanza(stanza: &LuaStanza) -> LuaNode {
        LuaNode {
            version: stanza.version(),
            root: Root::Stanza(stanza.clone()),
            path: SmallVec::new(),
        }
    }

    /// A copy of what the node is.
    pub(in crate::script) fn element(&self) -> mlua::Result<Element> {
        self.read(Element::clone)
    }

    fn current(&self) -> u32 {
        match &self.root {
            Root::Stanza(stanza) => stanza.version(),
            Root::Tree(tree) => tree.version.get(),
        }
    }

    /// A root is always where it was; any other place may be another one after children went away.
    fn check_current(&self) -> mlua::Result<()> {
        if self.path.is_empty() || self.version == self.current() {
            Ok(())
        } else {
            Err(gone())
        }
    }

    fn read<T>(&self, look: impl FnOnce(&Element) -> T) -> mlua::Result<T> {
        self.check_current()?;
        let down = |root: &Element| walk(root, &self.path).map(look).ok_or_else(gone);
        match &self.root {
            Root::Stanza(stanza) => stanza.read(down)?,
            Root::Tree(tree) => down(&tree.element.borrow()),
        }
    }

    fn write<T>(&self, change: impl FnOnce(&mut Element) -> T) -> mlua::Result<T> {
        self.check_current()?;
        let down = |root: &mut Element| walk_mut(root, &self.path).map(change).ok_or_else(gone);
        match &self.root {
            Root::Stanza(stanza) => stanza.write(down)?,
            Root::Tree(tree) => down(&mut tree.element.borrow_mut()),
        }
    }

    fn child_at(&self, index: usize) -> LuaNode {
        let mut child = self.clone();
        child.path.push(index);
        child.version = self.current();
        child
    }

    fn outdate(&self) {
        match &self.root {
            Root::Stanza(stanza) => stanza.outdate(),
            Root::Tree(tree) => tree.version.set(tree.version.get().wrapping_add(1)),
        }
    }

    fn attr(&self, lua: &Lua, key: &str, value: Option<&Value>) -> mlua::Result<Option<String>> {
        let Some(value) = value else {
            return self.read(|element| element.attr(key).map(str::to_owned));
        };
        let text = match value {
            Value::Nil => None,
            value => Some(text_of(value)?),
        };
        if self.path.is_empty()
            && let Root::Stanza(stanza) = &self.root
        {
            stanza.may_set(key)?;
        }
        let size = |value: &str| PART + key.len() + value.len();
        self.held(|held| held.grow(lua, text.as_deref().map_or(0, size)))?;
        let before = self.write(|element| {
            let before = element.attr(key).map_or(0, size);
            element.set_attr(key, text.as_deref());
            before
        })?;
        self.held(|held| held.shrink(before));
        Ok(text)
    }

    fn contents(&self, lua: &Lua, text: Option<&str>) -> mlua::Result<String> {
        let Some(text) = text else {
            let text = self.read(|element| element.text().into_owned())?;
            work(lua, text.len())?;
            return Ok(text);
        };
        self.held(|held| held.grow(lua, PART + text.len()))?;
        let (had_children, before) = self.write(|element| {
            let had_children = element.elements().next().is_some();
            let before = weight_inside(element);
            element.set_text(text);
            (had_children, before)
        })?;
        self.held(|held| held.shrink(before));
        if had_children {
            self.outdate();
        }
        Ok(text.to_owned())
    }

    fn child(&self, name: &str, ns: Option<&str>) -> mlua::Result<Option<LuaNode>> {
        let wanted =
            |element: &Element| element.name() == name && ns.is_none_or(|ns| element.ns() == ns);
        let found = self.read(|element| {
            element
                .children()
                .iter()
                .position(|node| matches!(node, Node::Element(child) if wanted(child)))
        })?;
        Ok(found.map(|index| self.child_at(index)))
    }

    fn children(&self, lua: &Lua) -> mlua::Result<mlua::Function> {
        let parent = self.clone();
        let next = Cell::new(0);
        lua.create_function(move |_, _: MultiValue| {
            let found = parent.read(|element| {
                let children = element.children().iter().enumerate().skip(next.get());
                children
                    .into_iter()
                    .find(|(_, node)| matches!(node, Node::Element(_)))
                    .map(|(index, _)| index)
            })?;
            Ok(found.map(|index| {
                next.set(index + 1);
                parent.child_at(index)
            }))
        })
    }

    fn addchild(&self, lua: &Lua, what: &Value, ns: Option<&str>) -> mlua::Result<LuaNode> {
        let child = match what {
            Value::String(name) => {
                let name = name.to_str()?;
                named(
                    &name,
                    ns.map_or_else(
                        || self.read(|parent| parent.ns().to_owned()),
                        |ns| Ok(ns.to_owned()),
                    )?
                    .as_str(),
                )?
            }
            Value::UserData(data) => element_of(data)?,
            other => {
                return Err(LuaError::runtime(format!(
                    "a child is a name or a node, not a {}",
                    other.type_name()
                )));
            }
        };
        self.held(|held| held.grow(lua, weight(&child)))?;
        let index = self.write(|element| {
            element.push(child);
            element.children().len().saturating_sub(1)
        })?;
        Ok(self.child_at(index))
    }

    fn unlink(&self) -> mlua::Result<()> {
        let Some((index, above)) = self.path.split_last() else {
            return Err(LuaError::runtime(
                "a node without parent cannot be unlinked",
            ));
        };
        let parent = LuaNode {
            path: above.into(),
            ..self.clone()
        };
        let gone = self.read(weight)?;
        parent.write(|element| {
            let mut at = 0;
            element.retain(|_| {
                at += 1;
                at - 1 != *index
            });
        })?;
        self.held(|held| held.shrink(gone));
        self.outdate();
        Ok(())
    }
}

fn gone() -> LuaError {
    LuaError::runtime("this node is of before a change of its tree: look it up again")
}

fn walk<'a>(root: &'a Element, path: &[usize]) -> Option<&'a Element> {
    path.iter().try_fold(root, |element, index| {
        match element.children().get(*index) {
            Some(Node::Element(child)) => Some(child),
            _ => None,
        }
    })
}

fn walk_mut<'a>(root: &'a mut Element, path: &[usize]) -> Option<&'a mut Element> {
    path.iter().try_fold(root, |element, index| {
        // The index counts texts too, which cannot be had for changing.
        let before = element
            .children()
            .iter()
            .take(*index)
            .filter(|node| matches!(node, Node::Element(_)))
            .count();
        element.elements_mut().nth(before)
    })
}

/// An element whose name came from a script.
pub(super) fn named(name: &str, ns: &str) -> mlua::Result<Element> {
    if crate::xml::is_name(name) {
        Ok(Element::new(name, ns))
    } else {
        Err(LuaError::runtime(format!(
            "\"{name}\" cannot be an element's name"
        )))
    }
}

/// The element that a stanza or a node is, copied.
pub(super) fn element_of(data: &mlua::AnyUserData) -> mlua::Result<Element> {
    if let Ok(node) = data.borrow::<LuaNode>() {
        return node.element();
    }
    match data.borrow::<LuaStanza>() {
        Ok(stanza) => stanza.read(Element::clone),
        Err(_) => Err(LuaError::runtime("this is neither a node nor a stanza")),
    }
}

/// Objects that are nodes.
pub(super) trait AsNode {
    /// The node.
    fn node(&self) -> LuaNode;
}

impl AsNode for LuaNode {
    fn node(&self) -> LuaNode {
        self.clone()
    }
}

/// The methods of a node, for all that are nodes.
pub(super) fn add_node_methods<T: AsNode + 'static, M: UserDataMethods<T>>(methods: &mut M) {
    methods.add_method("name", |_, this, ()| {
        this.node().read(|element| element.name().to_owned())
    });
    methods.add_method("ns", |_, this, ()| {
        this.node().read(|element| element.ns().to_owned())
    });
    methods.add_method("attr", |lua, this, args: MultiValue| {
        let key = match args.front() {
            Some(Value::String(key)) => key.to_str()?.to_owned(),
            _ => return Err(LuaError::runtime("attr takes the attribute's name")),
        };
        this.node().attr(lua, &key, args.get(1))
    });
    methods.add_method("contents", |lua, this, text: Option<String>| {
        this.node().contents(lua, text.as_deref())
    });
    methods.add_method("child", |_, this, (name, ns): (String, Option<String>)| {
        this.node().child(&name, ns.as_deref())
    });
    methods.add_method("children", |lua, this, ()| this.node().children(lua));
    methods.add_method(
        "addchild",
        |lua, this, (what, ns): (Value, Option<String>)| {
            this.node().addchild(lua, &what, ns.as_deref())
        },
    );
    methods.add_method("unlink", |_, this, ()| this.node().unlink());
    methods.add_meta_method(MetaMethod::ToString, |lua, this, ()| {
        let text = this.node().read(|element| element.to_string())?;
        work(lua, text.len())?;
        text.into_lua(lua)
    });
}

impl UserData for LuaNode {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        add_node_methods(methods);
    }
}
