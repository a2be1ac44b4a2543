//! Elements: a tree with namespaces resolved.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::{XML_NS, XMLNS_NS, chars};

/// An element. Whatever is put in, what it writes is well-formed:
///
/// - a character that XML forbids becomes U+FFFD in text and values;
/// - a character that a name cannot have becomes `_` (ask [`super::is_name`] first where the name comes from outside), and so
///   do white space and control characters in a namespace.
///
/// Cloning, writing, comparing and dropping do not recurse, so no depth of nesting exhausts the stack. The order of
/// attributes makes no difference.
pub struct Element {
    name: Box<str>,
    ns: Arc<str>,
    attributes: Vec<Attribute>,
    children: Vec<Node>,
}

/// A child of an element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// An element.
    Element(Element),
    /// Text, references resolved.
    Text(String),
}

/// An attribute; namespace declarations are none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    ns: Option<Arc<str>>,
    name: Box<str>,
    value: Box<str>,
}

impl Attribute {
    pub(super) fn new(ns: Option<Arc<str>>, name: Box<str>, value: Box<str>) -> Attribute {
        Attribute { ns, name, value }
    }

    /// The namespace; empty for an attribute without a prefix.
    #[must_use]
    pub fn ns(&self) -> &str {
        self.ns.as_deref().unwrap_or_default()
    }

    /// The local name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value, references resolved.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }
}

impl Element {
    /// An empty element.
    #[must_use]
    pub fn new(name: &str, ns: &str) -> Element {
        Element::from_parts(&clean_name(name), clean_ns(ns).into(), Vec::new())
    }

    pub(super) fn from_parts(name: &str, ns: Arc<str>, attributes: Vec<Attribute>) -> Element {
        Element {
            name: name.into(),
            ns,
            attributes,
            children: Vec::new(),
        }
    }

    /// The local name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The namespace; may be empty.
    #[must_use]
    pub fn ns(&self) -> &str {
        &self.ns
    }

    /// Moves this element, and nothing in it, to another namespace.
    pub(crate) fn set_ns(&mut self, ns: &str) {
        self.ns = clean_ns(ns).into();
    }

    /// Whether this is `name` of `ns`.
    #[must_use]
    pub fn is(&self, name: &str, ns: &str) -> bool {
        self.name() == name && self.ns() == ns
    }

    /// The value of the attribute without prefix of that name, or of `xml:lang` and the like.
    #[must_use]
    pub fn attr(&self, key: &str) -> Option<&str> {
        let (ns, name) = split_key(key);
        self.attr_ns(name, ns)
    }

    /// The value of the attribute of that name and namespace.
    #[must_use]
    pub fn attr_ns(&self, name: &str, ns: &str) -> Option<&str> {
        let ns = (!ns.is_empty()).then_some(ns);
        self.attributes
            .iter()
            .find(|attribute| attribute.name() == name && attribute.ns.as_deref() == ns)
            .map(Attribute::value)
    }

    /// Every attribute, in order.
    #[must_use]
    pub fn attrs(&self) -> &[Attribute] {
        &self.attributes
    }

    /// Sets or removes an attribute, named as for [`Element::attr`].
    pub fn set_attr(&mut self, key: &str, value: Option<&str>) {
        let (ns, name) = split_key(key);
        let name = clean_name(name);
        let found = self
            .attributes
            .iter()
            .position(|attribute| *attribute.name == *name && attribute.ns() == ns);
        match (found, value) {
            (Some(at), None) => {
                self.attributes.remove(at);
            }
            (Some(at), Some(value)) => {
                if let Some(attribute) = self.attributes.get_mut(at) {
                    attribute.value = clean_text(value).into();
                }
            }
            (None, Some(value)) => self.attributes.push(Attribute {
                ns: (!ns.is_empty()).then(|| ns.into()),
                name: name.into(),
                value: clean_text(value).into(),
            }),
            (None, None) => {}
        }
    }

    /// Keeps the attributes that `keep` wants.
    pub fn retain_attrs(&mut self, keep: impl FnMut(&Attribute) -> bool) {
        self.attributes.retain(keep);
    }

    /// Every child, in order.
    #[must_use]
    pub fn children(&self) -> &[Node] {
        &self.children
    }

    /// Every child that is an element, in order.
    pub fn elements(&self) -> impl Iterator<Item = &Element> {
        self.children.iter().filter_map(|node| match node {
            Node::Element(element) => Some(element),
            Node::Text(_) => None,
        })
    }

    /// Every child that is an element, in order, to be changed.
    pub fn elements_mut(&mut self) -> impl Iterator<Item = &mut Element> {
        self.children.iter_mut().filter_map(|node| match node {
            Node::Element(element) => Some(element),
            Node::Text(_) => None,
        })
    }

    /// The first child of that name and namespace.
    #[must_use]
    pub fn child(&self, name: &str, ns: &str) -> Option<&Element> {
        self.elements().find(|element| element.is(name, ns))
    }

    /// The first child of that name and namespace, to be changed.
    pub fn child_mut(&mut self, name: &str, ns: &str) -> Option<&mut Element> {
        self.elements_mut().find(|element| element.is(name, ns))
    }

    /// The text of this element, without that of its children.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        let mut texts = self.children.iter().filter_map(|node| match node {
            Node::Text(text) => Some(text.as_str()),
            Node::Element(_) => None,
        });
        let first = texts.next().unwrap_or_default();
        match texts.next() {
            None => Cow::Borrowed(first),
            Some(second) => Cow::Owned([first, second].into_iter().chain(texts).collect()),
        }
    }

    /// Adds a child at the end; text behind text is joined with it.
    pub fn push(&mut self, node: impl Into<Node>) {
        match node.into() {
            Node::Element(element) => self.append(element),
            Node::Text(text) => self.append_text(&clean_text(&text)),
        }
    }

    /// Adds a child at the beginning.
    pub fn push_front(&mut self, element: Element) {
        self.children.insert(0, Node::Element(element));
    }

    pub(super) fn append(&mut self, element: Element) {
        self.children.push(Node::Element(element));
    }

    pub(super) fn append_text(&mut self, text: &str) {
        if let Some(Node::Text(last)) = self.children.last_mut() {
            last.push_str(text);
        } else if !text.is_empty() {
            self.children.push(Node::Text(text.to_owned()));
        }
    }

    /// Replaces all children by `text`.
    pub fn set_text(&mut self, text: &str) {
        self.take_children();
        self.append_text(&clean_text(text));
    }

    /// Removes and gives all children.
    pub fn take_children(&mut self) -> Vec<Node> {
        std::mem::take(&mut self.children)
    }

    /// Removes and gives the first child of that name and namespace.
    pub fn remove_child(&mut self, name: &str, ns: &str) -> Option<Element> {
        let at = self
            .children
            .iter()
            .position(|node| matches!(node, Node::Element(element) if element.is(name, ns)))?;
        match self.children.remove(at) {
            Node::Element(element) => Some(element),
            Node::Text(_) => None,
        }
    }

    /// Keeps the children that `keep` wants.
    pub fn retain(&mut self, keep: impl FnMut(&Node) -> bool) {
        self.children.retain(keep);
    }

    /// [`Element::set_attr`], for building.
    #[must_use]
    pub fn with_attr(mut self, key: &str, value: &str) -> Element {
        self.set_attr(key, Some(value));
        self
    }

    /// [`Element::push`], for building.
    #[must_use]
    pub fn with_child(mut self, child: Element) -> Element {
        self.append(child);
        self
    }

    /// [`Element::push`] of text, for building.
    #[must_use]
    pub fn with_text(mut self, text: &str) -> Element {
        self.append_text(&clean_text(text));
        self
    }

    /// Name, namespace and attributes, without children.
    fn without_children(&self) -> Element {
        Element {
            name: self.name.clone(),
            ns: self.ns.clone(),
            attributes: self.attributes.clone(),
            children: Vec::new(),
        }
    }
}

impl Clone for Element {
    fn clone(&self) -> Element {
        let mut whole = self.without_children();
        // The ancestors of the copy under way, each with the children it still wants.
        let mut open: Vec<(Element, std::slice::Iter<'_, Node>)> = Vec::new();
        let mut rest = self.children.iter();
        loop {
            match rest.next() {
                Some(Node::Text(text)) => whole.children.push(Node::Text(text.clone())),
                Some(Node::Element(child)) => {
                    let parent = std::mem::replace(&mut whole, child.without_children());
                    let later = std::mem::replace(&mut rest, child.children.iter());
                    open.push((parent, later));
                }
                None => {
                    let Some((parent, later)) = open.pop() else {
                        return whole;
                    };
                    let child = std::mem::replace(&mut whole, parent);
                    whole.append(child);
                    rest = later;
                }
            }
        }
    }
}

impl Drop for Element {
    fn drop(&mut self) {
        let nested =
            |node: &Node| matches!(node, Node::Element(child) if !child.children.is_empty());
        if !self.children.iter().any(nested) {
            return;
        }
        let mut doomed = self.take_children();
        while let Some(node) = doomed.pop() {
            if let Node::Element(mut element) = node {
                doomed.append(&mut element.children);
            }
        }
    }
}

impl PartialEq for Element {
    fn eq(&self, other: &Element) -> bool {
        let mut pairs = vec![(self, other)];
        while let Some((a, b)) = pairs.pop() {
            let alike = a.is(&b.name, &b.ns)
                && a.attributes.len() == b.attributes.len()
                && a.attributes.iter().all(|one| b.attributes.contains(one))
                && a.children.len() == b.children.len();
            if !alike {
                return false;
            }
            for nodes in a.children.iter().zip(&b.children) {
                match nodes {
                    (Node::Element(a), Node::Element(b)) => pairs.push((a, b)),
                    (Node::Text(a), Node::Text(b)) if a == b => {}
                    _ => return false,
                }
            }
        }
        true
    }
}

impl Eq for Element {}

/// The element as text that needs no declaration around it.
impl fmt::Display for Element {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = Vec::new();
        self.write_to(&mut bytes, "");
        out.write_str(&String::from_utf8_lossy(&bytes))
    }
}

impl fmt::Debug for Element {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl From<Element> for Node {
    fn from(element: Element) -> Node {
        Node::Element(element)
    }
}

impl From<&str> for Node {
    fn from(text: &str) -> Node {
        Node::Text(text.to_owned())
    }
}

impl From<String> for Node {
    fn from(text: String) -> Node {
        Node::Text(text)
    }
}

/// Namespace and local name of an attribute's key.
fn split_key(key: &str) -> (&'static str, &str) {
    match key.strip_prefix("xml:") {
        Some(name) => (XML_NS, name),
        None => ("", key),
    }
}

fn clean_text(text: &str) -> Cow<'_, str> {
    replace(text, chars::is_char, "\u{fffd}")
}

fn clean_ns(ns: &str) -> Cow<'_, str> {
    if ns == XMLNS_NS {
        return Cow::Borrowed("");
    }
    let good = |c: char| chars::is_char(c) && !c.is_whitespace() && !c.is_control();
    replace(ns, good, "_")
}

/// `xmlns` cannot be an attribute's name: it would be written as a declaration.
fn clean_name(name: &str) -> Cow<'_, str> {
    if name == "xmlns" {
        return Cow::Borrowed("_xmlns");
    }
    if chars::is_name(name) {
        return Cow::Borrowed(name);
    }
    let mut clean: String = name
        .chars()
        .map(|c| {
            let one = c.encode_utf8(&mut [0; 4]).to_owned();
            // Behind a good start every name character is good.
            if chars::is_name(&format!("x{one}")) {
                c
            } else {
                '_'
            }
        })
        .collect();
    if !chars::is_name(&clean) {
        clean.insert(0, '_');
    }
    Cow::Owned(clean)
}

fn replace<'a>(text: &'a str, good: impl Fn(char) -> bool, with: &str) -> Cow<'a, str> {
    if text.chars().all(&good) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if good(c) {
            out.push(c);
        } else {
            out.push_str(with);
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_that_differ_are_not_equal() {
        let read = |text: &str| Element::parse(text.as_bytes(), "", &[]).unwrap();
        let one = read("<a xmlns='u' x='1' y='2'><b/>text<c/></a>");
        assert_eq!(one, read("<a y='2' x='1' xmlns='u'><b></b>text<c/></a>"));
        for other in [
            "<z xmlns='u' x='1' y='2'><b/>text<c/></z>",
            "<a xmlns='v' x='1' y='2'><b/>text<c/></a>",
            "<a xmlns='u' x='1'><b/>text<c/></a>",
            "<a xmlns='u' x='1' y='3'><b/>text<c/></a>",
            "<a xmlns='u' x='1' z='2'><b/>text<c/></a>",
            "<a xmlns='u' x='1' y='2' z='3'><b/>text<c/></a>",
            "<a xmlns='u' x='1' y='2'><b/>text</a>",
            "<a xmlns='u' x='1' y='2'><b/>text<c/><d/></a>",
            "<a xmlns='u' x='1' y='2'><b/>other<c/></a>",
            "<a xmlns='u' x='1' y='2'><b/>text<d/></a>",
            "<a xmlns='u' x='1' y='2'><b/><c/>text</a>",
        ] {
            let other = read(other);
            assert_ne!(one, other);
            assert_ne!(other, one);
        }
        assert_eq!(format!("{one:?}"), one.to_string());
    }

    #[test]
    fn a_namespace_has_neither_white_space_nor_control_characters() {
        for (given, kept) in [
            ("urn:\u{80}x", "urn:_x"),
            ("urn:\u{2003}x", "urn:_x"),
            ("urn:\tx", "urn:_x"),
            ("urn:\u{1}x", "urn:_x"),
            ("urn:\u{e9}x", "urn:\u{e9}x"),
        ] {
            assert_eq!(Element::new("a", given).ns(), kept, "{given:?}");
        }
    }
}
