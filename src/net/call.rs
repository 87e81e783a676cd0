//! One request and its answer: the version that is spoken, the bytes there, and what came back.

use std::time::Duration;

use bytes::BytesMut;
use tokio::sync::oneshot;

use super::link::LinkInner;
use super::requests::{Expect, OnAnswer};
use crate::error::Error;
use crate::wire::{Call, Versions};

/// The version for a call, or an error that names the call and what both sides speak.
pub(super) fn choose<C: Call>(
    versions: &Versions,
    link: &LinkInner,
    call: &C,
) -> Result<i16, Error> {
    versions
        .choose(C::KEY, call.min_version(), call.max_version())
        .map_err(|reason| Error::Unsupported {
            feature: C::KEY.name(),
            address: link.name.clone(),
            reason: reason.into(),
        })
}

/// One request and its answer in a version that is already chosen.
pub(super) async fn call_on<C: Call>(
    link: &LinkInner,
    call: &C,
    version: i16,
    timeout: Duration,
) -> Result<C::Response, Error> {
    let mut body = BytesMut::new();
    call.encode(version, &mut body);
    let (sender, receiver) = oneshot::channel();
    let on_answer: OnAnswer = Box::new(move |answer| {
        // The caller may have gone: then nobody wants the answer.
        let _ = sender.send(answer);
    });
    let expect = Expect::Answer(timeout, call.held(), on_answer);
    link.submit(C::KEY, version, vec![body.freeze()], expect);
    let answer = receiver
        .await
        .map_err(|_| link.disconnected("its answer was dropped"))?;
    let answer = match answer {
        Ok(answer) => answer,
        Err(failed) => {
            let told = failed.beginning;
            let told = told.and_then(|beginning| C::decode_beginning(version, beginning));
            return told.ok_or(failed.error);
        }
    };
    C::decode(version, answer).map_err(|malformed| {
        let reason = format!("{} answer: {malformed}", C::KEY.name());
        let error = Error::protocol(link.name.clone(), reason);
        // What follows on a stream that cannot be understood is not to be trusted either.
        link.close(error.clone());
        error
    })
}
