//! Partitions that are paused while their group is rebalanced.

use std::time::Duration;

use ottla::{Assignor, Client, Consumer};
use ottla_broker::Cluster;
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(20);

async fn member(client: &Client, assignor: Assignor) -> Consumer {
    let builder = client.consumer("g").subscribe(["t"]);
    let builder = builder.heartbeat_interval(Duration::from_millis(50));
    builder.assignors([assignor]).build().await.unwrap()
}

#[tokio::test]
async fn a_member_that_keeps_a_paused_partition_keeps_the_pause() {
    for assignor in [Assignor::Range, Assignor::CooperativeSticky] {
        let cluster = Cluster::builder().topic("t", 2).start().await.unwrap();
        let client = Client::connect(cluster.bootstrap_servers()).await.unwrap();
        let mut one = member(&client, assignor).await;
        let has = async |one: &mut Consumer, count: usize| {
            while one.assignment().len() != count {
                let _ = timeout(Duration::from_millis(10), one.recv()).await;
            }
        };
        timeout(SOON, has(&mut one, 2)).await.unwrap();
        for partition in one.assignment() {
            one.pause(&partition).unwrap();
        }
        let mut other = member(&client, assignor).await;
        let both = async {
            while one.assignment().len() != 1 || other.assignment().len() != 1 {
                let _ = timeout(Duration::from_millis(10), one.recv()).await;
                let _ = timeout(Duration::from_millis(10), other.recv()).await;
            }
        };
        timeout(SOON, both).await.unwrap();
        assert_eq!(one.paused(), one.assignment(), "{assignor:?}");
        assert_eq!(other.paused(), [], "it is another's pause");
        other.close(SOON).await.unwrap();
        timeout(SOON, has(&mut one, 2)).await.unwrap();
        assert_eq!(one.paused().len(), 1, "what comes anew is read");
    }
}
