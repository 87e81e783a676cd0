//! Records as they lie in memory, for whoever keeps account of it.

use std::sync::Arc;

use super::{RecordRef, Records};
use crate::batch::Slot;
use crate::machine::fetch::Block;

/// Records of one partition that lie in the same memory.
pub(crate) struct BlockRecords<'a> {
    block: &'a Arc<Block>,
    slots: &'a [Slot],
    /// Another one after each seek; later ones are larger.
    pub(crate) version: u64,
}

impl<'a> BlockRecords<'a> {
    /// Bytes of the memory that they lie in.
    pub(crate) fn bytes(&self) -> usize {
        self.block.bytes.len()
    }

    /// Tells that memory from all other that is in use.
    pub(crate) fn address(&self) -> usize {
        Arc::as_ptr(self.block).addr()
    }

    /// The records, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = RecordRef<'a>> + use<'a> {
        let block = self.block;
        self.slots.iter().map(move |slot| RecordRef { block, slot })
    }
}

impl Records {
    /// The records by the memory that they lie in.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = BlockRecords<'_>> {
        self.parts.iter().map(|part| BlockRecords {
            block: &part.block,
            slots: self.slots.get(part.slots.clone()).unwrap_or_default(),
            version: part.version,
        })
    }
}
