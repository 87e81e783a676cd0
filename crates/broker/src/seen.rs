//! The requests that the nodes have read, as far as they are worth remembering.

use std::collections::VecDeque;

use crate::about::About;
use crate::state::NodeId;
use crate::wire::{ApiKey, Header};

/// As many requests are remembered.
const MOST_SEEN: usize = 4096;
/// So much of a client's id is remembered, and sixteen times that of topics' names.
const MOST_NOTED: usize = 256;

/// A request that a node has read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestSeen {
    /// The node it went to.
    pub node: i32,
    /// The call.
    pub api: ApiKey,
    /// The version that the client chose.
    pub version: i16,
    /// The client's id (`client.id`), empty if it has none; its first 256 letters.
    pub client_id: String,
    /// Whose it is, as the connection logged in: `ANONYMOUS` without a login; its first 256 letters.
    pub user: String,
    /// The topics it is about, where the call names any; the first 4 KiB of them.
    pub topics: Vec<String>,
}

/// The last requests, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Seen(VecDeque<RequestSeen>);

impl Seen {
    pub(crate) fn note(&mut self, node: NodeId, user: &str, header: &Header, about: &About) {
        if self.0.len() == MOST_SEEN {
            self.0.pop_front();
        }
        let client_id = header.client_id.as_deref().unwrap_or_default();
        self.0.push_back(RequestSeen {
            node,
            api: header.key,
            version: header.version,
            client_id: client_id.chars().take(MOST_NOTED).collect(),
            user: user.chars().take(MOST_NOTED).collect(),
            topics: noted(about),
        });
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &RequestSeen> {
        self.0.iter()
    }
}

/// The first topics of a request, as many as are worth remembering.
fn noted(about: &About) -> Vec<String> {
    let mut left = 16 * MOST_NOTED;
    let short = about.names().take_while(|name| {
        let fits = name.len() <= left;
        left = left.saturating_sub(name.len());
        fits
    });
    short.map(ToString::to_string).collect()
}
