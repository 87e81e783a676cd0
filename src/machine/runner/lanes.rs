//! Whose turn it is: what is in one lane goes one after the other, lanes go side by side.
//!
//! A lane is there for as long as something is in it. Its first is ready, with the one who took it, or set aside; the
//! others are behind it. What is in no lane is always ready.

use std::collections::VecDeque;

use hashbrown::HashMap;

/// Behind this there is nobody.
const NOBODY: u32 = u32::MAX;

/// A place among the lanes, until it is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place(u32);

#[derive(Debug)]
struct Entry<T> {
    /// What is in it, unless somebody took it.
    item: Option<T>,
    lane: Option<u64>,
    next: u32,
}

/// What waits for its turn.
#[derive(Debug)]
pub(crate) struct Lanes<T> {
    entries: Vec<Entry<T>>,
    free: Vec<u32>,
    /// The last of each lane.
    lanes: HashMap<u64, u32>,
    ready: VecDeque<u32>,
    waiting: usize,
}

impl<T> Default for Lanes<T> {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            free: Vec::new(),
            lanes: HashMap::new(),
            ready: VecDeque::new(),
            waiting: 0,
        }
    }
}

impl<T> Lanes<T> {
    /// Puts an item at the end of its lane.
    pub(crate) fn push(&mut self, lane: Option<u64>, item: T) {
        let entry = Entry {
            item: Some(item),
            lane,
            next: NOBODY,
        };
        let at = match self.free.pop() {
            Some(at) => {
                if let Some(place) = self.entries.get_mut(at as usize) {
                    *place = entry;
                }
                at
            }
            None => {
                self.entries.push(entry);
                (self.entries.len() - 1) as u32
            }
        };
        self.waiting += 1;
        match lane.and_then(|lane| self.lanes.insert(lane, at)) {
            Some(last) => {
                if let Some(last) = self.entries.get_mut(last as usize) {
                    last.next = at;
                }
            }
            None => self.ready.push_back(at),
        }
    }

    /// Takes the item whose turn it is; its lane stands still until the place is given up.
    pub(crate) fn take(&mut self) -> Option<(Place, T)> {
        while let Some(at) = self.ready.pop_front() {
            let item = self
                .entries
                .get_mut(at as usize)
                .and_then(|e| e.item.take());
            if let Some(item) = item {
                self.waiting -= 1;
                return Some((Place(at), item));
            }
        }
        None
    }

    /// Puts an item that was taken back where it was: its lane stands still until it is called.
    pub(crate) fn put_back(&mut self, place: Place, item: T) {
        if let Some(entry) = self.entries.get_mut(place.0 as usize) {
            entry.item = Some(item);
            self.waiting += 1;
        }
    }

    /// It is the turn of an item that was put back.
    pub(crate) fn call(&mut self, place: Place) {
        self.ready.push_back(place.0);
    }

    /// The place of an item that was taken is given up: the next one of its lane is ready.
    pub(crate) fn done(&mut self, place: Place) {
        let Some(entry) = self.entries.get(place.0 as usize) else {
            return;
        };
        let (lane, next) = (entry.lane, entry.next);
        if next != NOBODY {
            self.ready.push_back(next);
        } else if let Some(lane) = lane {
            self.lanes.remove(&lane);
        }
        self.free.push(place.0);
        self.shrink();
    }

    /// Gives memory back that a long queue has left.
    fn shrink(&mut self) {
        if self.free.len() == self.entries.len() && self.entries.capacity() > 65_536 {
            *self = Self::default();
        }
    }

    /// Items that nobody has taken.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Items whose turn it is.
    pub(crate) fn ready(&self) -> usize {
        self.ready.len()
    }

    /// Whether it is somebody's turn.
    pub(crate) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_lane_goes_one_after_the_other_and_others_beside_it() {
        let mut lanes = Lanes::default();
        for (lane, item) in [(1, "a"), (1, "b"), (2, "c"), (1, "d")] {
            lanes.push(Some(lane), item);
        }
        let (first, item) = lanes.take().unwrap();
        assert_eq!(item, "a");
        let (other, item) = lanes.take().unwrap();
        assert_eq!(item, "c");
        assert!(lanes.take().is_none(), "both lanes stand");
        assert_eq!((lanes.waiting(), lanes.ready()), (2, 0));
        lanes.done(other);
        assert!(!lanes.has_ready());
        lanes.done(first);
        assert_eq!(lanes.take().unwrap().1, "b");
    }

    #[test]
    fn what_is_in_no_lane_waits_for_nobody() {
        let mut lanes = Lanes::default();
        (0..3).for_each(|item| lanes.push(None, item));
        let taken: Vec<_> = std::iter::from_fn(|| lanes.take()).collect();
        let items: Vec<_> = taken.iter().map(|(_, item)| *item).collect();
        assert_eq!(items, [0, 1, 2]);
    }

    #[test]
    fn what_is_put_back_holds_its_lane_until_it_is_called() {
        let mut lanes = Lanes::default();
        lanes.push(Some(1), "a");
        lanes.push(Some(1), "b");
        let (place, item) = lanes.take().unwrap();
        lanes.put_back(place, item);
        assert!(lanes.take().is_none());
        lanes.call(place);
        let (place, item) = lanes.take().unwrap();
        assert_eq!(item, "a");
        lanes.done(place);
        assert_eq!(lanes.take().unwrap().1, "b");
    }

    proptest! {
        #[test]
        fn each_item_has_its_turn_once_in_the_order_of_its_lane(
            events in prop::collection::vec((0..4u8, 0..6u64, 0..100usize), 0..400),
        ) {
            let mut lanes = Lanes::default();
            let mut sent: HashMap<Option<u64>, Vec<usize>> = HashMap::new();
            let mut seen: HashMap<Option<u64>, Vec<usize>> = HashMap::new();
            let mut taken: Vec<(Place, (Option<u64>, usize))> = Vec::new();
            let mut aside: Vec<Place> = Vec::new();
            let mut number = 0;
            let settle = |lanes: &mut Lanes<_>, taken: &mut Vec<(Place, (Option<u64>, usize))>, pick: usize,
                          seen: &mut HashMap<Option<u64>, Vec<usize>>| {
                if taken.is_empty() { return; }
                let (place, (lane, number)) = taken.swap_remove(pick % taken.len());
                seen.entry(lane).or_default().push(number);
                lanes.done(place);
            };
            for (event, lane, pick) in events {
                let lane = (lane > 0).then_some(lane);
                match event {
                    0 => {
                        number += 1;
                        sent.entry(lane).or_default().push(number);
                        lanes.push(lane, (lane, number));
                    }
                    1 => taken.extend(lanes.take()),
                    2 => settle(&mut lanes, &mut taken, pick, &mut seen),
                    _ if pick % 2 == 0 && !taken.is_empty() => {
                        let (place, item) = taken.swap_remove(pick % taken.len());
                        lanes.put_back(place, item);
                        aside.push(place);
                    }
                    _ => if !aside.is_empty() {
                        lanes.call(aside.swap_remove(pick % aside.len()));
                    }
                }
                let busy: Vec<_> = taken.iter().filter_map(|(_, (lane, _))| *lane).collect();
                let once: std::collections::HashSet<_> = busy.iter().collect();
                prop_assert_eq!(once.len(), busy.len(), "one of a lane at a time");
            }
            aside.into_iter().for_each(|place| lanes.call(place));
            loop {
                taken.extend(std::iter::from_fn(|| lanes.take()));
                if taken.is_empty() { break; }
                settle(&mut lanes, &mut taken, 0, &mut seen);
            }
            prop_assert_eq!(lanes.waiting(), 0);
            for (lane, sent) in sent {
                let mut seen = seen.remove(&lane).unwrap_or_default();
                if lane.is_none() { seen.sort_unstable(); }
                prop_assert_eq!(seen, sent);
            }
        }
    }
}
