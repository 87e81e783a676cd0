//! The header of every request.

use super::{ApiKey, Malformed, Name, Reader};

/// Who asks for what.
#[derive(Clone, Debug)]
pub(crate) struct Header {
    pub(crate) key: ApiKey,
    pub(crate) version: i16,
    pub(crate) correlation_id: i32,
    pub(crate) client_id: Option<Name>,
}

/// The longest request but Produce: of names and numbers, nothing near it is honest.
const MOST_WITHOUT_RECORDS: usize = 16 * 1024 * 1024;

impl Header {
    /// How long a request may be, up to `most`; `None` if the call or its version is not spoken.
    pub(crate) fn longest(key: i16, version: i16, most: usize) -> Option<usize> {
        match ApiKey::from_code(key)? {
            ApiKey::Produce if ApiKey::Produce.versions().contains(&version) => Some(most),
            ApiKey::ApiVersions => Some(most.min(MOST_WITHOUT_RECORDS)),
            key if key.versions().contains(&version) => Some(most.min(MOST_WITHOUT_RECORDS)),
            _ => None,
        }
    }

    /// Reads the header; the reader is then in the layout of the request.
    ///
    /// An unknown call and a version that is not spoken are refused, except ApiVersions: its answer tells what is.
    pub(crate) fn read(reader: &mut Reader) -> Result<Self, Malformed> {
        let key = ApiKey::from_code(reader.i16()?).ok_or(Malformed("no such call"))?;
        let version = reader.i16()?;
        let spoken = key.versions().contains(&version);
        if !spoken && key != ApiKey::ApiVersions {
            return Err(Malformed("a version of the call that is not spoken"));
        }
        let correlation_id = reader.i32()?;
        let client_id = reader.nullable_string()?;
        let flexible = version >= key.flexible_from();
        reader.set_layout(version, flexible);
        if spoken {
            reader.tags()?;
        }
        Ok(Self {
            key,
            version,
            correlation_id,
            client_id,
        })
    }
}
