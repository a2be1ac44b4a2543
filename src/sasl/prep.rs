//! Preparation of names and passwords (SASLprep, RFC 4013).

use std::borrow::Cow;

use super::PasswordError;

/// The longest name or password that is looked at, in bytes.
const MAX_BYTES: usize = 1023;

/// `text` in its prepared form. Empty, over-long and prohibited text is refused.
pub(super) fn prepare(text: &str) -> Result<Cow<'_, str>, PasswordError> {
    if text.len() > MAX_BYTES {
        return Err(PasswordError::TooLong);
    }
    let prepared = stringprep::saslprep(text).map_err(|_| PasswordError::Prohibited)?;
    if prepared.is_empty() {
        return Err(PasswordError::Empty);
    }
    Ok(prepared)
}
