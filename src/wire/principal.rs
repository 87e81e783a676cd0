//! A principal, as calls about delegation tokens carry it.

use std::sync::Arc;

use super::decode::{Decoder, Malformed};
use super::encode::Encoder;

/// Its kind, such as `User`, and its name.
pub(crate) type Principal = (Arc<str>, Arc<str>);

pub(super) fn write_principal(body: &mut Encoder<'_>, (kind, name): &Principal) {
    body.string(kind);
    body.string(name);
}

pub(super) fn read_principal(d: &mut Decoder) -> Result<Principal, Malformed> {
    Ok((d.owned()?, d.owned()?))
}
