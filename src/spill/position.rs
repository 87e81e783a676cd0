//! How far a topic's records are delivered, in two places of one file of which one is always whole.

/// Each in a sector of its own, so that one that is half-written leaves the other.
const SLOTS: [u64; 2] = [0, 512];
const MAGIC: u32 = 0x6f74_7370;
const LEN: usize = 4 + 8 + 8 + 8 + 4;
/// What is read of the file.
pub(super) const FILE_LEN: usize = 512 + LEN;

/// How far a topic's records are delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Position {
    /// Records below this number are done with.
    pub(super) done: u64,
    /// Records from this number on have certainly not been sent; at least `done`.
    pub(super) unsent: u64,
}

/// The file as it is: which place is written next, and what the other one says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Places {
    turn: u64,
    pub(super) position: Position,
}

impl Places {
    /// The newest position in the file; `None` where no place is whole.
    pub(super) fn read(file: &[u8]) -> Option<Self> {
        let whole = SLOTS.iter().filter_map(|at| {
            let slot = file.get(usize::try_from(*at).ok()?..)?.first_chunk()?;
            Self::decode(slot)
        });
        whole.max_by_key(|places| places.turn)
    }

    /// Whether nothing was written yet.
    pub(super) fn is_new(&self) -> bool {
        self.turn == 0
    }

    /// Where to write the next position, and what.
    pub(super) fn write(&mut self, position: Position) -> (u64, [u8; LEN]) {
        self.turn += 1;
        self.position = position;
        let [even, odd] = SLOTS;
        let at = if self.turn.is_multiple_of(2) {
            even
        } else {
            odd
        };
        (at, self.encode())
    }

    fn encode(&self) -> [u8; LEN] {
        let mut slot = [0; LEN];
        let fields = [self.turn, self.position.done, self.position.unsent];
        let bytes = MAGIC.to_be_bytes().into_iter();
        let bytes = bytes.chain(fields.into_iter().flat_map(u64::to_be_bytes));
        slot.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
        if let Some((fields, crc)) = slot.split_last_chunk_mut::<4>() {
            *crc = crc32c::crc32c(fields).to_be_bytes();
        }
        slot
    }

    fn decode(slot: &[u8; LEN]) -> Option<Self> {
        let (fields, crc) = slot.split_last_chunk::<4>()?;
        let (magic, fields) = fields.split_first_chunk::<4>()?;
        let mut numbers = fields
            .chunks_exact(8)
            .filter_map(|number| number.first_chunk())
            .map(|number| u64::from_be_bytes(*number));
        let places = Self {
            turn: numbers.next()?,
            position: Position {
                done: numbers.next()?,
                unsent: numbers.next()?,
            },
        };
        let is_whole = *magic == MAGIC.to_be_bytes() && places.encode().ends_with(crc);
        (is_whole && places.position.done <= places.position.unsent).then_some(places)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(file: &mut [u8], at: u64, bytes: &[u8]) {
        let at = usize::try_from(at).unwrap();
        file[at..at + bytes.len()].copy_from_slice(bytes);
    }

    #[test]
    fn a_write_that_is_cut_anywhere_leaves_the_position_before_it_or_its_own() {
        let mut file = vec![0; FILE_LEN];
        let mut places = Places::default();
        let mut before = None;
        for done in 1..6 {
            let position = Position {
                done,
                unsent: done + 3,
            };
            let (at, bytes) = places.write(position);
            for len in 0..bytes.len() {
                let mut torn = file.clone();
                put(&mut torn, at, &bytes[..len]);
                let read = Places::read(&torn).map(|places| places.position);
                assert!(read == before || read == Some(position), "{len}: {read:?}");
            }
            put(&mut file, at, &bytes);
            before = Some(position);
            assert_eq!(Places::read(&file), Some(places));
        }
    }

    #[test]
    fn a_flipped_bit_costs_the_newest_position_at_most() {
        let mut file = vec![0; FILE_LEN];
        let mut places = Places::default();
        let [one, two] = [1, 2].map(|done| Position { done, unsent: done });
        for position in [one, two] {
            let (at, bytes) = places.write(position);
            put(&mut file, at, &bytes);
        }
        for at in 0..file.len() {
            for bit in 0..8 {
                file[at] ^= 1 << bit;
                let read = Places::read(&file).map(|places| places.position);
                assert!(read == Some(one) || read == Some(two), "{at}: {read:?}");
                file[at] ^= 1 << bit;
            }
        }
    }
}
