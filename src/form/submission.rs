//! Forms that somebody has filled in.

use std::collections::BTreeMap;
use std::fmt;

use super::{FORM_NS, FORM_TYPE};
use crate::jid::Jid;
use crate::xml::Element;

/// Fields of one form that are read.
pub const FIELDS_MAX: usize = 64;

/// Values of all fields of one form together that are read.
pub const VALUES_MAX: usize = 1_000;

/// Why a form is not taken. It tells names of fields and never what is in them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// There is none, or it is of another type than `submit`.
    #[error("a submitted form is needed")]
    NotSubmitted,
    /// It says that it is about something else.
    #[error("the form is about something else: its FORM_TYPE is not {0}")]
    About(&'static str),
    /// More than [`FIELDS_MAX`].
    #[error("the form has more than {FIELDS_MAX} fields")]
    Fields,
    /// More than [`VALUES_MAX`].
    #[error("the form has more than {VALUES_MAX} values")]
    Values,
    /// Which of them counts?
    #[error("the form has a field twice")]
    Twice,
    /// Not there, or empty.
    #[error("the field {0} must be filled in")]
    Missing(&'static str),
    /// More values than the field can hold.
    #[error("the field {0} holds one value")]
    Several(&'static str),
    /// No address.
    #[error("the field {0} holds something that is no address")]
    NoAddress(&'static str),
}

/// What somebody has filled in. `Debug` shows the names of the fields alone: there may be passwords in them.
#[derive(Clone, Default)]
pub struct Submission(BTreeMap<String, Vec<String>>);

impl Submission {
    /// Reads the element `x` of a form about `form_type`. A form that does not say what it is about is taken at its place.
    ///
    /// # Errors
    /// [`FormError`], of the form as a whole.
    pub fn read(form: &Element, form_type: &'static str) -> Result<Submission, FormError> {
        if !form.is("x", FORM_NS) || form.attr("type") != Some("submit") {
            return Err(FormError::NotSubmitted);
        }
        let mut fields: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut room = VALUES_MAX;
        for field in form.elements().filter(|field| field.is("field", FORM_NS)) {
            // Without a name it is there to be read by people (XEP-0004 §3.2).
            let Some(var) = field.attr("var") else {
                continue;
            };
            if fields.len() >= FIELDS_MAX {
                return Err(FormError::Fields);
            }
            let values: Vec<String> = field
                .elements()
                .filter(|value| value.is("value", FORM_NS))
                .map(|value| value.text().into_owned())
                .collect();
            room = room.checked_sub(values.len()).ok_or(FormError::Values)?;
            if fields.insert(var.to_owned(), values).is_some() {
                return Err(FormError::Twice);
            }
        }
        let about = fields.remove(FORM_TYPE).unwrap_or_default();
        if about.iter().any(|about| about != form_type) {
            return Err(FormError::About(form_type));
        }
        Ok(Submission(fields))
    }

    /// The value of a field that holds one; `None` when it was left empty.
    ///
    /// # Errors
    /// [`FormError::Several`].
    pub fn text(&self, var: &'static str) -> Result<Option<&str>, FormError> {
        match self.values(var) {
            [] => Ok(None),
            [value] => Ok(Some(value.as_str()).filter(|value| !value.is_empty())),
            _ => Err(FormError::Several(var)),
        }
    }

    /// The value of a field that must be filled in.
    ///
    /// # Errors
    /// [`FormError::Missing`], [`FormError::Several`].
    pub fn required(&self, var: &'static str) -> Result<&str, FormError> {
        self.text(var)?.ok_or(FormError::Missing(var))
    }

    /// The address in a field that must be filled in.
    ///
    /// # Errors
    /// [`FormError::Missing`], [`FormError::Several`], [`FormError::NoAddress`].
    pub fn jid(&self, var: &'static str) -> Result<Jid, FormError> {
        address(var, self.required(var)?)
    }

    /// The addresses in a field that must be filled in: sorted, each once.
    ///
    /// # Errors
    /// [`FormError::Missing`], [`FormError::NoAddress`].
    pub fn jids(&self, var: &'static str) -> Result<Vec<Jid>, FormError> {
        // Clients that ask for many lines in one text leave empty ones.
        let given = self.values(var).iter().filter(|value| !value.is_empty());
        let mut jids = given
            .map(|value| address(var, value))
            .collect::<Result<Vec<Jid>, FormError>>()?;
        jids.sort_unstable();
        jids.dedup();
        if jids.is_empty() {
            return Err(FormError::Missing(var));
        }
        Ok(jids)
    }

    fn values(&self, var: &str) -> &[String] {
        self.0.get(var).map_or(&[], Vec::as_slice)
    }
}

impl fmt::Debug for Submission {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_set().entries(self.0.keys()).finish()
    }
}

fn address(var: &'static str, text: &str) -> Result<Jid, FormError> {
    Jid::new(text.trim()).map_err(|_| FormError::NoAddress(var))
}
