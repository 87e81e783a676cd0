//! The best balance there is, reached with few moves: what both sticky assignors rest on.
//!
//! Who has a partition and who could have it make a graph of members. An assignment is as balanced as it can be
//! exactly when no path leads from a member to one with two partitions less; along each such path every member
//! hands one partition on. Paths are taken from the member with the most partitions, those first that move the
//! fewest partitions away from where they were before.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use hashbrown::HashMap;

use super::shares::{PartitionCounts, Shares, Subscriber, give, in_order, wanted};
use crate::types::{TopicName, TopicPartition};

/// What one member says it had, and since which generation.
#[derive(Clone, Debug, Default)]
pub(super) struct Claim {
    pub(super) partitions: Vec<TopicPartition>,
    pub(super) generation: Option<i32>,
}

pub(super) struct Balanced {
    pub(super) shares: Shares,
    /// Each partition that is claimed, with the member that is believed to own it; `None` when two claim it in the
    /// same generation.
    pub(super) owners: HashMap<TopicPartition, Option<usize>>,
}

/// Shares all partitions out; each member keeps what it claims as far as balance allows.
pub(super) fn balance(
    members: &[Subscriber],
    counts: &PartitionCounts,
    claims: &[Claim],
) -> Balanced {
    let owners = owners(claims);
    let mut table = Table::new(members, counts);
    table.keep(&owners);
    table.hand_out();
    table.level();
    Balanced {
        shares: table.shares(members),
        owners,
    }
}

/// Whom to believe: the claim of the latest generation.
fn owners(claims: &[Claim]) -> HashMap<TopicPartition, Option<usize>> {
    let mut latest: HashMap<&TopicPartition, (i32, Option<usize>)> = HashMap::new();
    for (member, claim) in claims.iter().enumerate() {
        let generation = claim.generation.unwrap_or(-1);
        for partition in &claim.partitions {
            let known = latest
                .entry(partition)
                .or_insert((generation, Some(member)));
            if known.0 < generation {
                *known = (generation, Some(member));
            } else if known.0 == generation && known.1 != Some(member) {
                known.1 = None;
            }
        }
    }
    let owner = |(partition, (_, member)): (&TopicPartition, (i32, _))| (partition.clone(), member);
    latest.into_iter().map(owner).collect()
}

/// A partition, by its place in the table.
type Place = usize;

/// Topics that the same members want.
struct Class {
    /// Those members, sorted.
    takers: Vec<usize>,
    places: Vec<Place>,
}

struct Slot<'a> {
    topic: &'a TopicName,
    partition: u32,
    class: usize,
    /// The member that claims it and may keep it.
    former: Option<usize>,
}

/// What a member holds of one class: partitions that are new to it, and those that it had before.
#[derive(Clone, Default)]
struct Held {
    new: Vec<Place>,
    kept: Vec<Place>,
}

/// Who holds what. Members are numbered in Java's order here, so that ties do not hang on the leader's.
struct Table<'a> {
    order: Vec<usize>,
    /// The members' numbers, by their places in the leader's list.
    numbers: Vec<usize>,
    slots: Vec<Slot<'a>>,
    classes: Vec<Class>,
    /// By member and class.
    held: Vec<BTreeMap<usize, Held>>,
    loads: Vec<usize>,
}

impl<'a> Table<'a> {
    fn new(members: &[Subscriber], counts: &'a PartitionCounts) -> Self {
        let order = in_order(members);
        let mut numbers = vec![0; members.len()];
        for (number, member) in order.iter().enumerate() {
            set(&mut numbers, *member, number);
        }
        let mut known: HashMap<Vec<usize>, usize> = HashMap::new();
        let (mut classes, mut slots) = (Vec::new(), Vec::new());
        for (topic, count, takers) in wanted(members, counts) {
            // In Java's order already, so that the numbers rise.
            let takers: Vec<_> = takers
                .iter()
                .filter_map(|m| numbers.get(*m))
                .copied()
                .collect();
            let class = *known.entry(takers).or_insert_with_key(|takers| {
                classes.push(Class {
                    takers: takers.clone(),
                    places: Vec::new(),
                });
                classes.len() - 1
            });
            for partition in 0..count {
                if let Some(class) = classes.get_mut(class) {
                    class.places.push(slots.len());
                }
                slots.push(Slot {
                    topic,
                    partition,
                    class,
                    former: None,
                });
            }
        }
        Self {
            held: vec![BTreeMap::new(); order.len()],
            loads: vec![0; order.len()],
            order,
            numbers,
            slots,
            classes,
        }
    }

    /// Leaves to each owner what it still wants.
    fn keep(&mut self, owners: &HashMap<TopicPartition, Option<usize>>) {
        let mut places: HashMap<(&str, u32), Place> = HashMap::with_capacity(self.slots.len());
        for (place, slot) in self.slots.iter().enumerate() {
            places.insert((slot.topic, slot.partition), place);
        }
        let mut kept = Vec::new();
        for (partition, owner) in owners {
            let number = u32::try_from(partition.partition()).ok();
            let place = number.and_then(|n| places.get(&(partition.topic(), n)));
            let owner = owner.and_then(|owner| self.numbers.get(owner));
            if let Some((place, owner)) = place.zip(owner)
                && self.may_take(*owner, *place)
            {
                kept.push((*place, *owner));
            }
        }
        kept.sort_unstable();
        for (place, owner) in kept {
            if let Some(slot) = self.slots.get_mut(place) {
                slot.former = Some(owner);
                self.put(owner, place);
            }
        }
    }

    fn may_take(&self, member: usize, place: Place) -> bool {
        let slot = self.slots.get(place);
        let class = slot.and_then(|slot| self.classes.get(slot.class));
        class.is_some_and(|class| class.takers.binary_search(&member).is_ok())
    }

    /// Gives what nobody holds to the member that holds least; what few can take goes first.
    fn hand_out(&mut self) {
        let mut order: Vec<usize> = (0..self.classes.len()).collect();
        order.sort_by_key(|class| self.classes.get(*class).map(|class| class.takers.len()));
        for class in order {
            let Some(Class { takers, places }) = self.classes.get(class) else {
                continue;
            };
            let free = |place: &Place| self.slots.get(*place).is_some_and(|s| s.former.is_none());
            let free: Vec<Place> = places.iter().copied().filter(free).collect();
            let load = |member: &usize| (self.load(*member), *member);
            let mut takers: BTreeSet<_> = takers.iter().map(load).collect();
            for place in free {
                if let Some((load, member)) = takers.pop_first() {
                    takers.insert((load + 1, member));
                    self.put(member, place);
                }
            }
        }
    }

    /// Hands partitions on until no path leads to a member with two less.
    fn level(&mut self) {
        let mut done = vec![false; self.order.len()];
        loop {
            let open = done.iter().enumerate().filter(|(_, done)| !**done);
            let most = open.max_by_key(|(member, _)| (self.load(*member), usize::MAX - member));
            let Some((from, _)) = most else {
                return;
            };
            let reach = self.reach(from, &done);
            match reach.target {
                Some(target) => self.hand_on(&reach, from, target),
                // Whatever can be reached from there has as many, less one at most: it is as good as it gets.
                None => {
                    for (member, distance) in reach.distance.iter().enumerate() {
                        if let Some(done) = done.get_mut(member) {
                            *done |= distance.is_some();
                        }
                    }
                }
            }
        }
    }

    /// The cheapest paths from a member: handing on what it had before costs one, what is new to it nothing.
    fn reach(&self, from: usize, done: &[bool]) -> Reach {
        let mut reach = Reach {
            distance: vec![None; self.order.len()],
            steps: vec![None; self.order.len()],
            seen: vec![[false; 2]; self.classes.len()],
            target: None,
        };
        let mut settled = vec![false; self.order.len()];
        let mut queue = VecDeque::from([from]);
        set(&mut reach.distance, from, Some(0));
        while let Some(member) = queue.pop_front() {
            if settled.get(member) == Some(&false) {
                set(&mut settled, member, true);
                self.spread(member, done, &mut reach, &mut queue);
            }
        }
        let limit = self.load(from);
        let all = reach.distance.iter().enumerate();
        let targets = all.filter_map(|(member, distance)| {
            let load = self.load(member);
            (load + 2 <= limit).then_some(((*distance)?, load, member))
        });
        reach.target = targets.min().map(|(_, _, member)| member);
        reach
    }

    /// Adds the members to which one can hand a partition on.
    fn spread(&self, giver: usize, done: &[bool], reach: &mut Reach, queue: &mut VecDeque<usize>) {
        let distance = reach.distance_of(giver).unwrap_or(0);
        for (class, held) in self.held.get(giver).into_iter().flatten() {
            for (cost, places) in [(0, &held.new), (1, &held.kept)] {
                if places.is_empty() || !reach.is_first(*class, cost) {
                    continue;
                }
                let takers = self.classes.get(*class).map(|c| c.takers.as_slice());
                for taker in takers.unwrap_or_default() {
                    let total = distance + cost;
                    let is_known = reach.distance_of(*taker).is_some_and(|d| d <= total);
                    if is_known || done.get(*taker) != Some(&false) {
                        continue;
                    }
                    set(&mut reach.distance, *taker, Some(total));
                    set(&mut reach.steps, *taker, Some((giver, *class)));
                    if cost == 0 {
                        queue.push_front(*taker);
                    } else {
                        queue.push_back(*taker);
                    }
                }
            }
        }
    }

    /// Moves one partition along each step of the path.
    fn hand_on(&mut self, reach: &Reach, from: usize, target: usize) {
        let mut to = target;
        while to != from {
            let Some((giver, class)) = reach.steps.get(to).copied().flatten() else {
                return;
            };
            if let Some(place) = self.take(giver, class, to) {
                self.put(to, place);
            }
            to = giver;
        }
    }

    /// Takes a partition of a class from a member: one that `to` had before, else one that is new to the giver,
    /// else the last one.
    fn take(&mut self, giver: usize, class: usize, to: usize) -> Option<Place> {
        let held = self.held.get_mut(giver)?.get_mut(&class)?;
        let slots = &self.slots;
        let was_its = |place: &Place| slots.get(*place).is_some_and(|s| s.former == Some(to));
        let place = match held.new.iter().position(was_its) {
            Some(at) => Some(held.new.remove(at)),
            None => held.new.pop().or_else(|| held.kept.pop()),
        };
        if let Some(load) = self.loads.get_mut(giver) {
            *load -= usize::from(place.is_some());
        }
        place
    }

    fn put(&mut self, member: usize, place: Place) {
        let Some(slot) = self.slots.get(place) else {
            return;
        };
        let (Some(held), Some(load)) = (self.held.get_mut(member), self.loads.get_mut(member))
        else {
            return;
        };
        let held = held.entry(slot.class).or_default();
        if slot.former == Some(member) {
            held.kept.push(place);
        } else {
            held.new.push(place);
        }
        *load += 1;
    }

    fn load(&self, member: usize) -> usize {
        self.loads.get(member).copied().unwrap_or(0)
    }

    fn shares(&self, members: &[Subscriber]) -> Shares {
        let mut shares = vec![Vec::new(); members.len()];
        for (member, held) in self.order.iter().zip(&self.held) {
            for place in held
                .values()
                .flat_map(|held| held.new.iter().chain(&held.kept))
            {
                if let Some(slot) = self.slots.get(*place) {
                    give(&mut shares, *member, slot.topic, slot.partition);
                }
            }
        }
        shares
    }
}

/// What can be reached from a member, how, and where a partition should go.
struct Reach {
    distance: Vec<Option<u32>>,
    /// For each member reached, who would hand it a partition, and of which class.
    steps: Vec<Option<(usize, usize)>>,
    /// Whether a class was reached, for nothing and for one.
    seen: Vec<[bool; 2]>,
    target: Option<usize>,
}

impl Reach {
    fn distance_of(&self, member: usize) -> Option<u32> {
        self.distance.get(member).copied().flatten()
    }

    /// Whether nobody handed on from this class at this cost yet: members come by rising distance, so that the
    /// first one is the cheapest.
    fn is_first(&mut self, class: usize, cost: u32) -> bool {
        let Some([free, dear]) = self.seen.get_mut(class) else {
            return false;
        };
        let is_first = !*free && (cost == 0 || !*dear);
        *(if cost == 0 { free } else { dear }) = true;
        is_first
    }
}

fn set<T>(all: &mut [T], at: usize, value: T) {
    if let Some(slot) = all.get_mut(at) {
        *slot = value;
    }
}
