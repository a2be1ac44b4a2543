//! Stream headers, as far as stanzas need them: the same for nearly all sessions, so kept once.

use std::cell::RefCell;
use std::rc::Rc;

use crate::xml::Header;

/// The stream header that the last session of this worker has come with.
#[derive(Default)]
pub struct Headers(RefCell<Rc<Header>>);

impl Headers {
    /// What stanzas inherit from `header`: language, namespaces, prefixes. Shared with the session before if it is the same.
    pub(super) fn share(&self, header: Header) -> Rc<Header> {
        let inherited = Header {
            to: None,
            from: None,
            id: None,
            version: None,
            ..header
        };
        let mut last = self.0.borrow_mut();
        if **last != inherited {
            *last = Rc::new(inherited);
        }
        last.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_that_speak_alike_share_their_header() {
        let headers = Headers::default();
        let header = |to: &str, lang: &str| Header {
            to: Some(to.into()),
            lang: Some(lang.into()),
            ..Header::default()
        };
        let one = headers.share(header("example.org", "en"));
        let two = headers.share(header("example.net", "en"));
        assert!(Rc::ptr_eq(&one, &two));
        let other = headers.share(header("example.net", "de"));
        assert_eq!(
            (two.lang.as_deref(), other.lang.as_deref()),
            (Some("en"), Some("de"))
        );
    }
}
