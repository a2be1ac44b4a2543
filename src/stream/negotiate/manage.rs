//! Stream management before a resource is bound (XEP-0198 §3, §5).

use crate::stanza::Condition;
use crate::stream::sm;
use crate::xml::Element;

use super::{Negotiation, Next, State};

impl Negotiation {
    /// Nothing is counted before there is a session: XEP-0198 §3 has `unexpected-request` for that. The client may bind.
    pub(super) fn manage(&mut self, _element: &Element, out: &mut Vec<u8>) -> Next {
        out.extend_from_slice(sm::failed(Condition::UnexpectedRequest, None).as_bytes());
        self.state = State::Features;
        self.count_failure(out)
    }
}
