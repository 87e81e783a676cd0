//! What may go wrong in a group.

use proptest::prelude::*;

use super::world::{TICK, World};
use super::*;

#[derive(Clone, Debug)]
pub(super) enum Fault {
    Join,
    Leave(usize),
    Kill(usize),
    Dawdle(usize),
    /// This one alone cannot reach the coordinator for a while, and is refused at once or waits in vain.
    Cut(usize, u64, bool),
    /// The coordinator dies.
    Down(u64),
    /// Another broker is the coordinator, which is noticed so much later.
    Move(u64),
    /// Out of the group and in again, so many ticks later.
    Resubscribe(usize, u32),
    /// Other topics.
    Subscribe(usize, &'static [&'static str]),
    /// For a while heartbeats are answered late: some when the generation that they were sent in is over.
    LateBeats(u64),
    /// For a while joins are answered late: some when the coordinator has given up whoever waits for them.
    LateJoins(u64),
    /// The next thing that is asked of the application takes so long.
    Slow(usize, u64),
    Grow,
}

pub(super) fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        3 => Just(Fault::Join),
        2 => any::<usize>().prop_map(Fault::Leave),
        1 => any::<usize>().prop_map(Fault::Kill),
        1 => any::<usize>().prop_map(Fault::Dawdle),
        2 => prop_oneof![10u64..2_000, 5_000u64..25_000].prop_map(Fault::Down),
        2 => (any::<usize>(), 1_000u64..40_000, any::<bool>())
            .prop_map(|(w, n, is_refused)| Fault::Cut(w, n, is_refused)),
        1 => (100u64..6_000).prop_map(Fault::Move),
        2 => (any::<usize>(), 0u32..300).prop_map(|(w, n)| Fault::Resubscribe(w, n)),
        2 => (any::<usize>(), prop_oneof![Just(&["t"][..]), Just(&["u"][..]), Just(&["t", "u"][..])])
            .prop_map(|(w, topics)| Fault::Subscribe(w, topics)),
        1 => (10u64..3_300).prop_map(Fault::LateBeats),
        1 => prop_oneof![10u64..3_000, 8_000u64..70_000].prop_map(Fault::LateJoins),
        1 => (any::<usize>(), 3_000u64..70_000).prop_map(|(w, n)| Fault::Slow(w, n)),
        1 => Just(Fault::Grow),
    ]
}

impl World {
    pub(super) fn apply(&mut self, fault: &Fault) {
        match *fault {
            Fault::Join => self.add(),
            Fault::Leave(which) => {
                if let Some(node) = self.pick(which) {
                    self.tell(node, Event::Leave);
                }
            }
            Fault::Kill(which) => {
                if let Some(node) = self.pick(which) {
                    self.nodes[node].is_dead = true;
                }
            }
            Fault::Dawdle(which) => {
                if let Some(node) = self.pick(which) {
                    self.tell(node, Event::PollExpired(ms(60_000)));
                    self.run(ms(500));
                    self.tell(node, Event::Polled);
                }
            }
            Fault::Cut(which, millis, is_refused) => {
                if let Some(node) = self.pick(which) {
                    self.cut(node, ms(millis), is_refused);
                }
            }
            Fault::Down(millis) => self.fail(ms(millis)),
            Fault::Move(millis) => self.move_away(ms(millis)),
            Fault::Resubscribe(which, ticks) => {
                if let Some(node) = self.pick(which) {
                    self.tell(node, Event::Subscribe(Arc::default()));
                    self.run(TICK * ticks);
                    self.tell(node, Event::Subscribe(["t".into()].into()));
                }
            }
            Fault::Subscribe(which, topics) => {
                if let Some(node) = self.pick(which) {
                    self.tell(
                        node,
                        Event::Subscribe(topics.iter().map(|t| (*t).into()).collect()),
                    );
                }
            }
            Fault::LateJoins(millis) => {
                self.joins_late = (self.now + ms(20_000), ms(millis));
            }
            Fault::LateBeats(millis) => {
                self.beats_late = (self.now + ms(20_000), ms(millis));
            }
            Fault::Slow(which, millis) => {
                if let Some(node) = self.pick(which) {
                    self.nodes[node].dawdles = Some(ms(millis));
                }
            }
            Fault::Grow => self.grow(),
        }
    }
}
