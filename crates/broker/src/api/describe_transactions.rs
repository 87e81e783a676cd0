//! DescribeTransactions: transactional ids with their producers and what they have touched (KIP-664).

use super::groups::code;
use super::{At, Call, Step};
use crate::about::About;
use crate::state::transactions::{Phase, Transaction};
use crate::state::{NodeId, State};
use crate::wire::{ErrorCode, Malformed, Name, Reader, Writer};

pub(super) struct DescribeTransactions {
    ids: Vec<Name>,
}

pub(super) fn read(r: &mut Reader) -> Result<DescribeTransactions, Malformed> {
    let ids = r.array(Reader::string)?;
    Ok(DescribeTransactions { ids })
}

impl Call for DescribeTransactions {
    fn about(&self, _state: &State, _node: NodeId) -> About {
        About {
            transactional_ids: self.ids.clone(),
            ..About::default()
        }
    }

    fn step(&mut self, at: &mut At<'_>, out: &mut Writer) -> Step {
        out.throttle();
        out.array(&self.ids, |out, id| {
            let found = at.transaction_part(id, |at| {
                at.coordinates_transaction(id)?;
                let found = at.state.transactions.get(id);
                found.cloned().ok_or(ErrorCode::TRANSACTIONAL_ID_NOT_FOUND)
            });
            out.code(code(&found));
            out.string(id);
            write(found.as_ref().ok(), out);
            out.tags();
        });
        out.tags();
        Step::Answer
    }
}

fn write(of: Option<&Transaction>, out: &mut Writer) {
    let Some(of) = of else {
        out.string("");
        out.i32(0);
        out.i64(0);
        out.i64(0);
        out.i16(0);
        out.array_len(0);
        return;
    };
    let begun = of.begun.filter(|_| of.phase != Phase::Empty);
    out.string(of.phase.name());
    out.i32(i32::try_from(of.timeout.as_millis()).unwrap_or(i32::MAX));
    out.i64(begun.map_or(-1, |begun| begun.wall));
    out.i64(of.producer.id);
    out.i16(of.producer.epoch);
    let mut topics: Vec<(&Name, Vec<i32>)> = Vec::new();
    for (name, index) in &of.partitions {
        match topics.last_mut() {
            Some((last, all)) if *last == name => all.push(*index),
            _ => topics.push((name, vec![*index])),
        }
    }
    out.array(topics, |out, (name, all)| {
        out.string(name);
        out.array(all, Writer::i32);
        out.tags();
    });
}
