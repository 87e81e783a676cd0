//! The faults of a cluster: which of them happen to a request, and how often they did.

use crate::faults::{Fault, FaultId, Schedule};
use crate::plan::{Facts, Plan};
use crate::state::random::Random;

/// The faults of a cluster, in the order in which they were added.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    all: Vec<Rule>,
    /// How often each happened, also of those that are over.
    hits: Vec<u64>,
}

#[derive(Debug)]
struct Rule {
    id: FaultId,
    fault: Fault,
    /// Requests that it meant so far.
    met: u64,
}

impl Rules {
    pub(crate) fn add(&mut self, fault: Fault) -> FaultId {
        let id = FaultId(self.hits.len() as u64);
        self.hits.push(0);
        self.all.push(Rule { id, fault, met: 0 });
        id
    }

    pub(crate) fn remove(&mut self, id: FaultId) {
        self.all.retain(|rule| rule.id != id);
    }

    pub(crate) fn clear(&mut self) {
        self.all.clear();
    }

    pub(crate) fn hits(&self, id: FaultId) -> u64 {
        self.hits.get(id.0 as usize).copied().unwrap_or(0)
    }

    /// What goes wrong with this request.
    pub(crate) fn plan(&mut self, request: &Facts<'_>, random: &mut Random) -> Plan {
        let mut plan = Plan::default();
        let hits = &mut self.hits;
        self.all.retain_mut(|rule| {
            let happens = rule.fault.means(request) && rule.fault.has_room(&plan);
            if !happens || !rule.is_due(random) {
                return !rule.is_over();
            }
            if let Some(count) = hits.get_mut(rule.id.0 as usize) {
                *count += 1;
            }
            rule.fault.happens(&mut plan);
            !rule.is_over()
        });
        plan
    }
}

impl Rule {
    fn is_due(&mut self, random: &mut Random) -> bool {
        self.met += 1;
        match &mut self.fault.schedule {
            Schedule::Times(0) => false,
            Schedule::Times(left) => {
                *left -= 1;
                true
            }
            Schedule::Every(n) => self.met.is_multiple_of(*n),
            Schedule::Sometimes(probability) => random.fraction() < *probability,
            Schedule::Always => true,
        }
    }

    fn is_over(&self) -> bool {
        matches!(self.fault.schedule, Schedule::Times(0))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::about::About;
    use crate::plan::End;
    use crate::wire::{ApiKey, ErrorCode};

    fn hits(fault: Fault, requests: usize) -> Vec<usize> {
        let mut rules = Rules::default();
        let mut random = Random::new(1);
        rules.add(fault);
        let about = About {
            topics: vec![("t".into(), Some(3)), ("all".into(), None)],
            groups: vec!["g".into()],
            transactional_ids: vec!["x".into()],
        };
        let request = Facts {
            api: ApiKey::Fetch,
            node: 1,
            client_id: "c",
            user: "u",
            about: &about,
        };
        let happens = |_: &usize| rules.plan(&request, &mut random).end == End::Before;
        (1..=requests).filter(happens).collect()
    }

    #[test]
    fn a_fault_happens_as_often_as_it_says() {
        assert_eq!(hits(Fault::disconnect(), 5), [1]);
        assert_eq!(hits(Fault::disconnect().times(2), 5), [1, 2]);
        assert_eq!(hits(Fault::disconnect().every(2), 5), [2, 4]);
        assert_eq!(hits(Fault::disconnect().always(), 3), [1, 2, 3]);
        let some = hits(Fault::disconnect().sometimes(0.5), 1000);
        assert!((400..600).contains(&some.len()));
        assert_eq!(some, hits(Fault::disconnect().sometimes(0.5), 1000));
    }

    #[test]
    fn a_fault_falls_only_on_what_it_means() {
        let on = |fault: Fault| hits(fault, 1).len();
        assert_eq!(
            on(Fault::disconnect()
                .on(ApiKey::Fetch)
                .topic("t")
                .node(1)
                .client_id("c")),
            1
        );
        assert_eq!(on(Fault::disconnect().on(ApiKey::Produce)), 0);
        assert_eq!(on(Fault::disconnect().topic("other")), 0);
        assert_eq!(on(Fault::disconnect().topic("t").partition(3)), 1);
        assert_eq!(on(Fault::disconnect().topic("t").partition(4)), 0);
        assert_eq!(on(Fault::disconnect().topic("all").partition(4)), 1);
        assert_eq!(on(Fault::disconnect().partition(3)), 1);
        assert_eq!(on(Fault::disconnect().group("g")), 1);
        assert_eq!(on(Fault::disconnect().group("other")), 0);
        assert_eq!(on(Fault::disconnect().transactional_id("x")), 1);
        assert_eq!(on(Fault::disconnect().transactional_id("y")), 0);
        assert_eq!(on(Fault::disconnect().user("u")), 1);
        assert_eq!(on(Fault::disconnect().user("other")), 0);
        assert_eq!(on(Fault::disconnect().node(2)), 0);
        assert_eq!(on(Fault::disconnect().client_id("other")), 0);
    }

    #[test]
    fn faults_add_up() {
        let mut rules = Rules::default();
        let second = Duration::from_secs(1);
        let first = rules.add(Fault::delay(second).times(2));
        rules.add(Fault::delay(second));
        rules.add(Fault::error(ErrorCode::CORRUPT_MESSAGE));
        rules.add(Fault::error(ErrorCode::UNKNOWN_SERVER_ERROR));
        let request = Facts {
            api: ApiKey::Metadata,
            node: 1,
            client_id: "",
            user: "u",
            about: &About::default(),
        };
        let codes = |plan: &Plan| -> Vec<_> { plan.forced.iter().map(|one| one.code).collect() };
        let plan = rules.plan(&request, &mut Random::new(1));
        assert_eq!(plan.delay, 2 * second);
        assert_eq!(codes(&plan), [ErrorCode::CORRUPT_MESSAGE]);
        let plan = rules.plan(&request, &mut Random::new(1));
        assert_eq!(plan.delay, second);
        assert_eq!(codes(&plan), [ErrorCode::UNKNOWN_SERVER_ERROR]);
        assert_eq!(rules.hits(first), 2);
    }

    #[test]
    fn a_hit_is_what_happened() {
        let mut rules = Rules::default();
        let mut random = Random::new(1);
        let about = About::partitions([("t".into(), Some(0)), ("t".into(), Some(1))]);
        let request = Facts {
            api: ApiKey::Produce,
            node: 1,
            client_id: "",
            user: "u",
            about: &about,
        };
        let error = || Fault::error(ErrorCode::CORRUPT_MESSAGE).topic("t");
        let parts = [0, 1].map(|partition| rules.add(error().partition(partition)));
        let second = rules.add(error().partition(1));
        let elsewhere = rules.add(error().partition(2));
        let whole = rules.add(error());
        let ends = [Fault::disconnect(), Fault::cut_answer()].map(|end| rules.add(end));
        let plan = rules.plan(&request, &mut random);
        let hits = |rules: &Rules, ids: &[FaultId]| -> Vec<_> {
            ids.iter().map(|id| rules.hits(*id)).collect()
        };
        // The parts that are left of a whole fail with it.
        assert_eq!(plan.forced.len(), 3);
        assert_eq!(hits(&rules, &parts), [1, 1]);
        assert_eq!(hits(&rules, &[second, elsewhere, whole]), [0, 0, 1]);
        assert_eq!((plan.end, hits(&rules, &ends)), (End::Before, vec![1, 0]));
        // What had no room happens next time.
        let plan = rules.plan(&request, &mut random);
        assert_eq!((plan.forced.len(), plan.end), (1, End::Cut));
        assert_eq!(hits(&rules, &[second, elsewhere, whole]), [1, 0, 1]);
    }
}
