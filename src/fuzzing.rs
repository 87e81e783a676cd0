//! What the fuzz targets call: decoders on any bytes, and promises that hold for all of them.
//!
//! Only there under `cfg(fuzzing)`, which cargo-fuzz sets. A broken promise is a panic.

#![allow(
    clippy::indexing_slicing,
    reason = "a panic here is a finding, as it is in a test"
)]

mod answers;
mod batches;
mod logins;

use bytes::Buf;

pub use self::answers::{
    api_versions_answer, fetch_answer, frames, group_answer, metadata_answer, other_answer,
    produce_answer,
};
pub use self::batches::{compressed, record_set, round_trip};
pub use self::logins::{jaas_line, oauthbearer, pem, properties_file, scram};

/// Spilled records' files: any bytes, and what we wrote with damage.
#[cfg(feature = "spill")]
pub fn spilled(data: &[u8]) {
    crate::spill::fuzzed::files(data);
}

/// The largest answer, and the most bytes out of a decompressor; far above what the inputs are.
const LIMIT: usize = 1 << 20;

/// Takes one byte of the input to choose by; 0 when there is none left.
fn byte(data: &mut &[u8]) -> u8 {
    data.try_get_u8().unwrap_or_default()
}
