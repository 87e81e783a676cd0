//! A broker's listeners that are not for us.

use std::process::Command;
use std::time::Duration;

use kafka_cluster::Cluster;
use ottla::{Client, Error};

use super::support::{Outcome, Suite, within};

pub(crate) fn promises(suite: &mut Suite) {
    suite.alone("listeners::a_brokers_tls_listener_is_recognised", tls);
}

async fn tls() -> Outcome {
    let store = std::env::temp_dir().join(format!("ottla-tls-{}.p12", std::process::id()));
    let path = store
        .to_str()
        .ok_or("a temporary directory with an odd name")?;
    let password = "password";
    let options = [
        "-genkeypair",
        "-alias",
        "broker",
        "-keyalg",
        "EC",
        "-dname",
        "CN=localhost",
    ];
    let files = [
        "-storetype",
        "PKCS12",
        "-storepass",
        password,
        "-keystore",
        path,
    ];
    let output = Command::new("keytool").args(options).args(files).output()?;
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
    let cluster = Cluster::builder()
        .heap("256m")
        // The second listener, made one with TLS.
        .proxies(["127.0.0.1:1"])
        .property(
            "listener.security.protocol.map",
            "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,PROXIED:SSL",
        )
        .property("ssl.keystore.location", path)
        .property("ssl.keystore.password", password)
        .property("ssl.keystore.type", "PKCS12")
        .start();
    std::fs::remove_file(&store)?;
    let cluster = cluster?;
    let address = cluster.behind_proxy(1);
    let connecting = within(
        Duration::from_secs(5),
        "connecting",
        Client::connect(&address),
    );
    let error = connecting.await?.err().ok_or("connected without TLS")?;
    let text = error.to_string();
    println!("{text}");
    assert!(text.contains(&address) && text.contains("TLS"), "{text}");
    assert!(
        matches!(error, Error::NotKafka { .. } | Error::Bootstrap { .. }),
        "{error:?}"
    );
    // A server of the other kind does not keep a client from one that is right.
    let servers = format!("{address},{}", cluster.bootstrap());
    within(
        Duration::from_secs(10),
        "connecting",
        Client::connect(&servers),
    )
    .await??;
    Ok(())
}
