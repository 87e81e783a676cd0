//! What a request is about: the topics, partitions, groups and transactional ids by which faults are aimed.

use crate::wire::Name;

/// What a request is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct About {
    /// Topics with one partition each time, or with all of theirs.
    pub(crate) topics: Vec<(Name, Option<i32>)>,
    pub(crate) groups: Vec<Name>,
    pub(crate) transactional_ids: Vec<Name>,
}

impl About {
    /// Whole topics.
    pub(crate) fn topics(names: impl IntoIterator<Item = Name>) -> Self {
        Self::partitions(names.into_iter().map(|name| (name, None)))
    }

    pub(crate) fn partitions(of: impl IntoIterator<Item = (Name, Option<i32>)>) -> Self {
        Self {
            topics: of.into_iter().collect(),
            ..Self::default()
        }
    }

    pub(crate) fn group(name: &Name) -> Self {
        Self::groups([name.clone()])
    }

    pub(crate) fn groups(names: impl IntoIterator<Item = Name>) -> Self {
        Self {
            groups: names.into_iter().collect(),
            ..Self::default()
        }
    }

    /// The same, and transactions of this id.
    pub(crate) fn with_transaction(mut self, id: Option<&Name>) -> Self {
        self.transactional_ids.extend(id.cloned());
        self
    }

    /// The topics' names, each once where its partitions follow each other.
    pub(crate) fn names(&self) -> impl Iterator<Item = &Name> {
        let before = [None].into_iter().chain(self.topics.iter().map(Some));
        let each = self.topics.iter().zip(before);
        each.filter_map(|((name, _), before)| {
            let again = before.is_some_and(|(before, _)| before == name);
            (!again).then_some(name)
        })
    }
}
