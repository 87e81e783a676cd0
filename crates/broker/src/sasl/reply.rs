//! What a client's message leads to.

use std::borrow::Cow;

/// What a client's message brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// Another message is to follow.
    Challenge(Vec<u8>),
    /// This user is logged in.
    Done { user: String, last: Vec<u8> },
}

/// Why a login failed, as clients are told it; nothing is said where that would say which names there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused(pub(crate) Option<Cow<'static, str>>);
