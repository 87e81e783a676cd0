//! Which versions of each call a broker speaks, and the choice of one.

use super::call::ApiKey;

/// What one broker speaks, as its ApiVersions answer tells.
#[derive(Clone, Debug, Default)]
pub(crate) struct Versions {
    /// Sorted by key; a broker lists about a hundred.
    ranges: Box<[(i16, i16, i16)]>,
    /// The level of the cluster's feature `transaction.version`.
    transaction_version: i16,
}

impl Versions {
    /// `ranges` are key, lowest and highest version; an empty range counts as not spoken.
    pub(crate) fn new(ranges: impl IntoIterator<Item = (i16, i16, i16)>) -> Self {
        let mut ranges: Vec<_> = ranges
            .into_iter()
            .filter(|(_, min, max)| min <= max)
            .collect();
        ranges.sort_unstable();
        Self {
            ranges: ranges.into_boxed_slice(),
            transaction_version: 0,
        }
    }

    /// The same of a cluster with this level of the feature `transaction.version`.
    pub(crate) fn with_transaction_version(mut self, level: i16) -> Self {
        self.transaction_version = level;
        self
    }

    /// The level of the cluster's feature `transaction.version`; 0 where it has none.
    pub(crate) fn transaction_version(&self) -> i16 {
        self.transaction_version
    }

    /// The lowest and highest version that the broker speaks.
    pub(crate) fn range(&self, key: ApiKey) -> Option<(i16, i16)> {
        let at = self
            .ranges
            .binary_search_by_key(&key.code(), |(code, _, _)| *code);
        let (_, min, max) = self.ranges.get(at.ok()?)?;
        Some((*min, *max))
    }

    /// The highest version that the broker, this library and the request (`least` and `most`) all have.
    ///
    /// The error names what each side speaks.
    pub(crate) fn choose(&self, key: ApiKey, least: i16, most: i16) -> Result<i16, String> {
        let (our_min, our_max) = key.supported();
        let (our_min, our_max) = (our_min.max(least), our_max.min(most));
        let name = key.name();
        let Some((min, max)) = self.range(key) else {
            return Err(format!(
                "the broker has no {name}, of which versions {our_min} to {our_max} would do"
            ));
        };
        let version = max.min(our_max);
        if version < min.max(our_min) {
            return Err(format!(
                "the broker speaks {name} versions {min} to {max}, this request needs {our_min} to {our_max}"
            ));
        }
        Ok(version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_common_version_is_chosen() {
        for (broker, limit, expected) in [
            ((0, 20), 13, Some(13)),
            ((0, 20), 99, Some(13)),
            ((0, 20), 12, Some(12)),
            ((0, 9), 13, Some(9)),
            ((8, 8), 13, Some(8)),
            ((13, 20), 13, Some(13)),
            ((0, 7), 13, None),
            ((14, 20), 13, None),
            ((13, 13), 12, None),
            ((0, 20), 7, None),
            ((13, 8), 13, None),
        ] {
            let (min, max) = broker;
            let versions = Versions::new([(18, 0, 4), (0, min, max), (3, 0, 12)]);
            let chosen = versions.choose(ApiKey::Produce, 0, limit).ok();
            assert_eq!(chosen, expected, "{broker:?}, limit {limit}");
        }
    }

    #[test]
    fn without_a_common_version_the_error_names_both_ranges() {
        let error = Versions::new([(0, 0, 7)]).choose(ApiKey::Produce, 0, 13);
        assert_eq!(
            error.unwrap_err(),
            "the broker speaks Produce versions 0 to 7, this request needs 8 to 13"
        );
        let error = Versions::new([]).choose(ApiKey::InitProducerId, 0, 5);
        assert_eq!(
            error.unwrap_err(),
            "the broker has no InitProducerId, of which versions 2 to 5 would do"
        );
        let error = Versions::new([(38, 0, 2)]).choose(ApiKey::CreateDelegationToken, 3, 3);
        assert_eq!(
            error.unwrap_err(),
            "the broker speaks CreateDelegationToken versions 0 to 2, this request needs 3 to 3"
        );
    }
}
