//! Describing the cluster.

use std::sync::Arc;

use super::acl::{AclOperation, authorized};
use super::{Admin, refusal};
use crate::error::{Error, Result};
use crate::wire::{BrokerMeta, DescribeCluster, MetadataTopics};

/// What the cluster says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClusterDescription {
    /// The id that it was formatted with, where the broker tells.
    pub cluster_id: Option<Arc<str>>,
    /// The broker that takes changes: with ZooKeeper the controller itself, with KRaft any broker, which passes
    /// them on.
    pub controller: Option<i32>,
    /// The brokers that are up, by id.
    pub brokers: Vec<BrokerDescription>,
    /// What this client may do with it; `None` unless
    /// [`include_authorized_operations`](crate::Admin::include_authorized_operations) asked for it, and where the broker
    /// does not tell.
    pub authorized_operations: Option<Vec<AclOperation>>,
}

/// One broker, and where clients reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BrokerDescription {
    /// Its id.
    pub id: i32,
    /// The host that it advertises.
    pub host: Arc<str>,
    /// The port that it advertises.
    pub port: u16,
    /// Where it runs, where it was told. Kafka: `broker.rack`.
    pub rack: Option<Arc<str>>,
}

impl Admin {
    /// Describes the cluster. Kafka: `DescribeCluster`, and `Metadata` on brokers older than Kafka 2.8.
    ///
    /// # Errors
    /// When no broker could be asked, or it refused.
    pub async fn describe_cluster(&self) -> Result<ClusterDescription> {
        let deadline = self.calls.deadline();
        let what = "describe cluster";
        let asked = self
            .calls
            .retry_until(deadline, what, || async move {
                let connection = self.calls.cluster.any().await?;
                let call = &DescribeCluster {
                    operations: self.operations,
                };
                let answer = connection.call(call, self.calls.request_timeout()).await?;
                let context = || "describing the cluster".to_owned();
                refusal(answer.code, answer.message.as_ref(), context)?;
                Ok(answer)
            })
            .await;
        Ok(match asked {
            Ok(told) => ClusterDescription {
                cluster_id: Some(told.cluster_id),
                controller: told.controller.map(|id| id.0),
                brokers: describe(told.brokers),
                authorized_operations: authorized(told.operations),
            },
            Err(Error::Unsupported { .. }) => {
                let brokers_alone = MetadataTopics::Names(Vec::new());
                let told = self
                    .calls
                    .metadata_with(deadline, what, brokers_alone, self.operations)
                    .await?;
                ClusterDescription {
                    cluster_id: told.cluster_id,
                    controller: told.controller.map(|id| id.0),
                    brokers: describe(told.brokers),
                    authorized_operations: authorized(told.operations),
                }
            }
            Err(error) => return Err(error),
        })
    }
}

fn describe(brokers: Vec<BrokerMeta>) -> Vec<BrokerDescription> {
    let mut brokers: Vec<_> = brokers
        .into_iter()
        .map(|broker| BrokerDescription {
            id: broker.id.0,
            host: broker.address.host,
            port: broker.address.port,
            rack: broker.rack,
        })
        .collect();
    brokers.sort_by_key(|broker| broker.id);
    brokers
}
