//! Standard input, read ahead by a few blocks of whole lines and never as a whole.

use std::io::{self, BufRead, BufReader};
use std::thread;

use tokio::sync::mpsc;

/// A line longer than any request that brokers take by default (`socket.request.max.bytes`) is not kept.
pub(crate) const LONGEST: usize = 100 << 20;

/// How much is read at once.
const BLOCK: usize = 64 << 10;

/// The lines of standard input.
pub(crate) struct Lines {
    blocks: mpsc::Receiver<io::Result<Block>>,
}

impl Lines {
    /// Reads in a thread of its own, which a runtime does not wait for when the program ends: nothing
    /// wakes a read from a terminal.
    pub(crate) fn of_standard_input() -> Self {
        let (reader, blocks) = mpsc::channel(4);
        thread::spawn(move || {
            let mut input = BufReader::with_capacity(BLOCK, io::stdin());
            while let Some(block) = read_block(&mut input, LONGEST).transpose() {
                let ended = block.is_err();
                if reader.blocking_send(block).is_err() || ended {
                    return;
                }
            }
        });
        Self { blocks }
    }

    /// The next lines, `None` after the last; dropped half-way, it loses none.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Block>> {
        self.blocks.recv().await.transpose()
    }
}

/// Whole lines, at least one.
pub(crate) struct Block(Vec<u8>);

impl Block {
    /// In bytes.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Each line, without its end.
    pub(crate) fn lines(&self) -> impl Iterator<Item = &[u8]> {
        let lines = self.0.strip_suffix(b"\n").unwrap_or(&self.0);
        lines.split(|byte| *byte == b'\n')
    }
}

/// Whole lines, as many as have come; of one that is too long, a byte more than `longest`.
fn read_block(input: &mut impl BufRead, longest: usize) -> io::Result<Option<Block>> {
    let mut block = Vec::new();
    loop {
        let bytes = match input.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            bytes => bytes?,
        };
        let end = bytes.iter().rposition(|byte| *byte == b'\n');
        let take = end.map_or(bytes.len(), |at| at + 1);
        let (taken, _) = bytes.split_at(take);
        add(&mut block, taken, longest);
        let ended = end.is_some() || taken.is_empty();
        input.consume(take);
        if ended {
            return Ok((!block.is_empty()).then_some(Block(block)));
        }
    }
}

/// Adds a piece of a line, or its rest and whole lines behind that.
fn add(block: &mut Vec<u8>, bytes: &[u8], longest: usize) {
    let rest = bytes
        .iter()
        .position(|byte| *byte == b'\n')
        .unwrap_or(bytes.len());
    let (rest, lines) = bytes.split_at(rest);
    let room = (longest + 1).saturating_sub(block.len());
    block.extend_from_slice(rest.get(..room).unwrap_or(rest));
    block.extend_from_slice(lines);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(input: &str, at_once: usize, longest: usize) -> Vec<Vec<String>> {
        let mut input = BufReader::with_capacity(at_once, input.as_bytes());
        let mut blocks = Vec::new();
        while let Some(block) = read_block(&mut input, longest).unwrap() {
            let text = |line: &[u8]| String::from_utf8(line.to_vec()).unwrap();
            blocks.push(block.lines().map(text).collect());
        }
        blocks
    }

    #[test]
    fn lines_are_the_same_however_they_come() {
        for (input, expected) in [
            ("", &[][..]),
            ("\n", &[""]),
            ("\n\n", &["", ""]),
            ("a", &["a"]),
            ("a\n\nbc\n", &["a", "", "bc"]),
            ("abcdef\ng\th\n\ni", &["abcdef", "g\th", "", "i"]),
        ] {
            for at_once in 1..20 {
                assert_eq!(
                    blocks(input, at_once, 100).concat(),
                    expected,
                    "{at_once} at once"
                );
            }
        }
    }

    #[test]
    fn of_a_line_too_long_a_byte_too_many_is_kept_and_the_next_is_whole() {
        for at_once in 1..5 {
            let lines = blocks("0123456789\nab\n", at_once, 5).concat();
            assert_eq!(lines, ["012345", "ab"], "{at_once} at once");
        }
    }
}
