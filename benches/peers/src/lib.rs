//! What the programs of this package share: the work to do, its payloads, the accounting, the line
//! of figures.

pub mod figures;
pub mod usage;
pub mod work;
