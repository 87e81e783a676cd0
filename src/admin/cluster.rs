//! Describing the cluster.

use std::sync::Arc;

use super::{Admin, refusal};
use crate::error::{Error, Result};
use crate::types::BrokerId;
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
                let call = &DescribeCluster;
                let answer = connection.call(call, self.calls.request_timeout()).await?;
                let context = || "describing the cluster".to_owned();
                refusal(answer.code, answer.message.as_ref(), context)?;
                Ok(answer)
            })
            .await;
        let (cluster_id, controller, brokers) = match asked {
            Ok(answer) => (Some(answer.cluster_id), answer.controller, answer.brokers),
            Err(Error::Unsupported { .. }) => {
                let brokers_alone = MetadataTopics::Names(Vec::new());
                let answer = self.calls.metadata(deadline, what, brokers_alone).await?;
                (answer.cluster_id, answer.controller, answer.brokers)
            }
            Err(error) => return Err(error),
        };
        Ok(describe(cluster_id, controller, brokers))
    }
}

fn describe(
    cluster_id: Option<Arc<str>>,
    controller: Option<BrokerId>,
    brokers: Vec<BrokerMeta>,
) -> ClusterDescription {
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
    ClusterDescription {
        cluster_id,
        controller: controller.map(|id| id.0),
        brokers,
    }
}
