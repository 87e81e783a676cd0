//! Logins and what they allow, as a client of bare bytes and the library's own see them.

// A test that fails by a panic says where; its author need not.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod logins {
    mod allowed;
    mod library;
    mod wire;
}
