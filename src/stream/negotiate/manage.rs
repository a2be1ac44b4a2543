//! Stream management before a resource is bound (XEP-0198 §3, §5).

use crate::jid::Jid;
use crate::sasl::Mechanism;
use crate::stanza::Condition;
use crate::stream::NotResumed;
use crate::stream::sm::{self, Managed, Management};
use crate::xml::Element;

use super::{Negotiation, Next, State};

impl Negotiation {
    /// The client goes on with an earlier session instead of binding a resource. Whatever else there is to say needs a
    /// session first: XEP-0198 §3 has `unexpected-request` for that.
    pub(super) fn manage(&mut self, element: &Element, out: &mut Vec<u8>) -> Next {
        let (Some(user), Some(mechanism)) = (self.user.clone(), self.mechanism) else {
            return self.not_managed(Condition::UnexpectedRequest, out);
        };
        match Management::read(element) {
            Managed::Yes(Management::Resume { previd, h }) => {
                self.state = State::Resuming(previd.clone(), mechanism);
                Next::Resume { user, previd, h }
            }
            Managed::Malformed => self.not_managed(Condition::BadRequest, out),
            Managed::Yes(_) | Managed::No => self.not_managed(Condition::UnexpectedRequest, out),
        }
    }

    /// The driver has asked the server for the session. If there is none, the client may bind a resource.
    pub(super) fn resumed(
        &mut self,
        previd: &str,
        mechanism: Mechanism,
        outcome: Result<(Jid, u32), NotResumed>,
        out: &mut Vec<u8>,
    ) -> Next {
        match outcome {
            Ok((jid, h)) => {
                out.extend_from_slice(sm::resumed(previd, h).as_bytes());
                Next::Bound(jid, mechanism)
            }
            Err(NotResumed::Gone) => self.not_managed(Condition::ItemNotFound, out),
            Err(NotResumed::TooHigh(error)) => {
                out.extend_from_slice(sm::failed_too_high(error.h, error.sent).as_bytes());
                self.state = State::Features;
                self.count_failure(out)
            }
        }
    }

    fn not_managed(&mut self, condition: Condition, out: &mut Vec<u8>) -> Next {
        out.extend_from_slice(sm::failed(condition).as_bytes());
        self.state = State::Features;
        self.count_failure(out)
    }
}
