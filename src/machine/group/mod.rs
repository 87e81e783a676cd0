//! The consumer group's pure half: what members tell each other, how partitions are shared out, and membership itself.

pub(crate) mod assign;
mod classic;
mod member;
pub(crate) mod protocol;

pub(crate) use classic::{Classic, Settings};
pub(crate) use member::{
    Action, Answer, CallId, Described, Event, Grounds, Joined, Loss, Member, MemberIdentity,
    MemberStanding, Request,
};
