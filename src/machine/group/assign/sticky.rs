//! Sticky: balanced, and as much as possible stays where it was, by what the members tell in their user data.

use bytes::{Bytes, BytesMut};

use super::balance::{Claim, balance};
use super::shares::{PartitionCounts, Shares, Subscriber};
use crate::machine::group::protocol::{read_partitions, write_partitions};
use crate::types::TopicPartition;
use crate::wire::{Decoder, Encoder, Malformed};

/// What a member had. Java: `StickyAssignorUserData` version 1; nothing before its first assignment.
pub(super) fn user_data(given: &[TopicPartition], generation: Option<i32>) -> Bytes {
    let Some(generation) = generation else {
        return Bytes::new();
    };
    let mut out = BytesMut::new();
    let mut body = Encoder::new(&mut out, false);
    write_partitions(&mut body, given);
    body.i32(generation);
    out.freeze()
}

pub(super) fn assign(members: &[Subscriber], counts: &PartitionCounts) -> Shares {
    let claims: Vec<_> = members.iter().map(claim).collect();
    balance(members, counts, &claims).shares
}

/// What cannot be read counts as nothing: the member is served, though it may lose what it had.
fn claim(member: &Subscriber) -> Claim {
    read_user_data(&member.subscription.user_data).unwrap_or_default()
}

fn read_user_data(data: &Bytes) -> Result<Claim, Malformed> {
    if data.is_empty() {
        return Ok(Claim::default());
    }
    let mut d = Decoder::new(data.clone(), false);
    let partitions = read_partitions(&mut d)?;
    // Version 0 ends here; which of the two it is, is not told.
    let generation = d.i32().ok();
    Ok(Claim {
        partitions,
        generation,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_data_has_javas_bytes_and_version_0_is_read_too() {
        let given = [TopicPartition::new("t", 1), TopicPartition::new("t", 2)];
        let bytes = user_data(&given, Some(9));
        let v0: &[u8] = &[0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2];
        assert_eq!(bytes, [v0, &[0, 0, 0, 9]].concat());
        let read = read_user_data(&bytes).unwrap();
        assert_eq!(
            (read.partitions, read.generation),
            (given.to_vec(), Some(9))
        );
        let read = read_user_data(&Bytes::copy_from_slice(v0)).unwrap();
        assert_eq!((read.partitions, read.generation), (given.to_vec(), None));
        assert_eq!(user_data(&given, None), Bytes::new());
    }

    #[test]
    fn user_data_that_is_garbage_is_no_claim() {
        for garbage in [
            &b"?"[..],
            &[0x7f, 0xff, 0xff, 0xff],
            &[0, 0, 0, 1, 0xff, 0xff],
        ] {
            assert!(read_user_data(&Bytes::copy_from_slice(garbage)).is_err());
        }
    }
}
