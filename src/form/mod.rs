//! Data forms (XEP-0004) that say what they are about (`FORM_TYPE`, XEP-0068): written from typed fields, read within bounds.
//!
//! [`Form`] is what we ask or tell; [`Submission`] is what somebody fills in. A submission is matched by the names of its
//! fields alone: their types are the business of who asked (XEP-0004 §3.2).

mod submission;
#[cfg(test)]
mod tests;

pub use submission::{FIELDS_MAX, FormError, Submission, VALUES_MAX};

use crate::xml::Element;

/// The namespace of data forms.
pub const FORM_NS: &str = "jabber:x:data";

/// The field that names what a form is about.
const FORM_TYPE: &str = "FORM_TYPE";

/// What a form is sent for (XEP-0004 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormKind {
    /// To be filled in.
    Form,
    /// To tell something.
    Result,
}

impl FormKind {
    fn name(self) -> &'static str {
        match self {
            FormKind::Form => "form",
            FormKind::Result => "result",
        }
    }
}

/// What a field holds (XEP-0004 §3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// Addresses.
    JidMulti,
    /// One address.
    JidSingle,
    /// Some of the options.
    ListMulti,
    /// One of the options.
    ListSingle,
    /// A line that is not shown while it is typed.
    TextPrivate,
    /// A line.
    TextSingle,
}

impl FieldKind {
    fn name(self) -> &'static str {
        match self {
            FieldKind::JidMulti => "jid-multi",
            FieldKind::JidSingle => "jid-single",
            FieldKind::ListMulti => "list-multi",
            FieldKind::ListSingle => "list-single",
            FieldKind::TextPrivate => "text-private",
            FieldKind::TextSingle => "text-single",
        }
    }
}

/// One field of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    kind: FieldKind,
    var: &'static str,
    label: &'static str,
    required: bool,
    values: Vec<String>,
    options: &'static [&'static str],
}

impl Field {
    /// A field of that type and name; `label` is for people, empty where programs read it.
    #[must_use]
    pub fn new(kind: FieldKind, var: &'static str, label: &'static str) -> Field {
        Field {
            kind,
            var,
            label,
            required: false,
            values: Vec::new(),
            options: &[],
        }
    }

    /// The same, which must be filled in.
    #[must_use]
    pub fn required(mut self) -> Field {
        self.required = true;
        self
    }

    /// The same with these values.
    #[must_use]
    pub fn with_values(mut self, values: impl IntoIterator<Item = String>) -> Field {
        self.values.extend(values);
        self
    }

    /// The same with a choice of values.
    #[must_use]
    pub fn with_options(mut self, options: &'static [&'static str]) -> Field {
        self.options = options;
        self
    }

    /// Its name.
    #[must_use]
    pub fn var(&self) -> &'static str {
        self.var
    }

    /// Its values.
    #[must_use]
    pub fn values(&self) -> &[String] {
        &self.values
    }

    fn to_element(&self) -> Element {
        let mut field = part("field")
            .with_attr("type", self.kind.name())
            .with_attr("var", self.var);
        field.set_attr("label", Some(self.label).filter(|label| !label.is_empty()));
        for value in &self.values {
            field.push(part("value").with_text(value));
        }
        if self.required {
            field.push(part("required"));
        }
        for option in self.options {
            let value = part("value").with_text(option);
            field.push(part("option").with_attr("label", option).with_child(value));
        }
        field
    }
}

/// A form that we send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    kind: FormKind,
    form_type: &'static str,
    title: &'static str,
    instructions: &'static str,
    fields: Vec<Field>,
}

impl Form {
    /// A form about `form_type`, without fields so far.
    #[must_use]
    pub fn new(kind: FormKind, form_type: &'static str) -> Form {
        Form {
            kind,
            form_type,
            title: "",
            instructions: "",
            fields: Vec::new(),
        }
    }

    /// The same with a title and with what is to be done, for people.
    #[must_use]
    pub fn titled(mut self, title: &'static str, instructions: &'static str) -> Form {
        self.title = title;
        self.instructions = instructions;
        self
    }

    /// The same with one more field.
    #[must_use]
    pub fn with_field(mut self, field: Field) -> Form {
        self.fields.push(field);
        self
    }

    /// Its `FORM_TYPE`.
    #[must_use]
    pub fn form_type(&self) -> &'static str {
        self.form_type
    }

    /// Its fields, without the `FORM_TYPE`.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The element `x`.
    #[must_use]
    pub fn to_element(&self) -> Element {
        let mut form = part("x").with_attr("type", self.kind.name());
        for (name, text) in [("title", self.title), ("instructions", self.instructions)] {
            if !text.is_empty() {
                form.push(part(name).with_text(text));
            }
        }
        let about = part("field")
            .with_attr("type", "hidden")
            .with_attr("var", FORM_TYPE)
            .with_child(part("value").with_text(self.form_type));
        form.push(about);
        for field in &self.fields {
            form.push(field.to_element());
        }
        form
    }
}

fn part(name: &str) -> Element {
    Element::new(name, FORM_NS)
}
