//! To whom a quota applies, as two calls carry it.

use std::sync::Arc;

use super::decode::{Decoder, Malformed};
use super::encode::Encoder;

/// Kinds of whom a quota applies to, each with a name, or `None` for the default of all.
pub(crate) type QuotaNames = Vec<(Arc<str>, Option<Arc<str>>)>;

pub(super) fn write_entity(body: &mut Encoder<'_>, entity: &QuotaNames) {
    body.array(entity, |body, (kind, name)| {
        body.string(kind);
        body.nullable_string(name.as_deref());
        body.no_tags();
    });
}

pub(super) fn read_entity(d: &mut Decoder) -> Result<QuotaNames, Malformed> {
    d.array(3, |d| {
        let one = (d.owned()?, d.nullable_owned()?);
        d.skip_tags()?;
        Ok(one)
    })
}
