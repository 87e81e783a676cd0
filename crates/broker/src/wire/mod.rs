//! Kafka's wire format: reading what clients send within bounds, writing what they expect.

mod api_key;
mod error_code;
mod header;
mod reader;
mod writer;

pub use api_key::ApiKey;
pub use error_code::ErrorCode;
pub(crate) use header::Header;
pub(crate) use reader::{Malformed, Reader};
pub(crate) use writer::{Frame, Writer};

use std::sync::Arc;

/// A name a client sent or a user gave: copied, so that it pins no frame.
pub(crate) type Name = Arc<str>;

/// A topic's id (KIP-516); all zero is none.
pub(crate) type TopicId = [u8; 16];
