//! What the cluster asks of its clients: logins, and what each may do.

use std::time::Duration;

use crate::acl::Acls;
use crate::sasl::{SaslMechanism, Users};

#[derive(Debug)]
pub(crate) struct Security {
    pub(crate) users: Users,
    pub(crate) mechanisms: Vec<SaslMechanism>,
    /// How long a login lasts.
    pub(crate) session_lifetime: Option<Duration>,
    pub(crate) acls: Acls,
}
