//! Wrong settings and wrong servers: each a clear error that names the setting or the address, none a hang. No Kafka
//! is needed.

use std::io;
use std::time::{Duration, Instant};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::metadata_response::MetadataResponseBroker;
use kafka_protocol::messages::{ApiVersionsResponse, BrokerId, MetadataResponse, ResponseHeader};
use kafka_protocol::protocol::{Encodable, StrBytes};
use ottla::{Acks, Client, Compression, Error, Producer, ProducerBuilder, Record};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// Longest time that any of these may take.
const LIMIT: Duration = Duration::from_secs(10);

/// A server that does with each connection what it is told; gives its address.
async fn server<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> io::Result<String>
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    Ok(address)
}

/// A server that answers the first bytes it gets with `answer`, then says and does nothing.
async fn answering(answer: &'static [u8]) -> io::Result<String> {
    server(move |mut stream| async move {
        let mut request = [0; 1024];
        if stream.read(&mut request).await? > 0 {
            stream.write_all(answer).await?;
        }
        // Until the client hangs up.
        while stream.read(&mut request).await? > 0 {}
        Ok(())
    })
    .await
}

/// An address at which nobody listens.
async fn closed_port() -> io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    Ok(listener.local_addr()?.to_string())
}

/// What connecting to `servers` fails with, and how long that takes.
async fn refusal(servers: &str) -> Result<(Error, Duration), String> {
    let began = Instant::now();
    let builder = Client::builder().bootstrap_servers(servers);
    let builder = builder.request_timeout(Duration::from_millis(500));
    let connecting = builder
        .connection_setup_timeout(Duration::from_millis(500))
        .connect();
    match tokio::time::timeout(LIMIT, connecting).await {
        Err(_) => Err(format!("connecting to {servers} hangs")),
        Ok(Ok(_)) => Err(format!("connected to {servers}")),
        Ok(Err(error)) => Ok((error, began.elapsed())),
    }
}

/// Just enough of a broker for a client to connect.
async fn broker() -> io::Result<String> {
    server(|mut stream| async move {
        let here = stream.local_addr()?;
        loop {
            let length = usize::try_from(stream.read_i32().await?).unwrap_or_default();
            let mut request = vec![0; length];
            stream.read_exact(&mut request).await?;
            let mut request = Bytes::from(request);
            let (key, version, id) = (request.get_i16(), request.get_i16(), request.get_i32());
            let mut answer = BytesMut::new();
            let header = ResponseHeader::default().with_correlation_id(id);
            let encoded = if key == 18 {
                let range = |(key, max)| {
                    ApiVersion::default()
                        .with_api_key(key)
                        .with_max_version(max)
                };
                let keys = [(0, 9), (3, 9), (18, 3), (22, 2)].map(range).to_vec();
                let body = ApiVersionsResponse::default().with_api_keys(keys);
                // A version that the server does not know is answered in the oldest layout.
                let known = version <= 3;
                let body = body.with_error_code(if known { 0 } else { 35 });
                let written = header.encode(&mut answer, 0);
                written.and_then(|()| body.encode(&mut answer, if known { version } else { 0 }))
            } else {
                let host = StrBytes::from_string(here.ip().to_string());
                let own = MetadataResponseBroker::default()
                    .with_node_id(BrokerId(1))
                    .with_host(host)
                    .with_port(i32::from(here.port()));
                let body = MetadataResponse::default().with_brokers(vec![own]);
                let written = header.encode(&mut answer, 1);
                written.and_then(|()| body.encode(&mut answer, version))
            };
            encoded.map_err(io::Error::other)?;
            let mut frame = BytesMut::new();
            frame.put_i32(i32::try_from(answer.len()).unwrap_or(i32::MAX));
            frame.extend_from_slice(&answer);
            stream.write_all(&frame).await?;
        }
    })
    .await
}

#[tokio::test]
async fn an_http_server_is_recognised() -> Outcome {
    for answer in [
        &b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"[..],
        b"HTTP/1.0 505 HTTP Version Not Supported\r\n\r\n",
        b"<html><body>What?</body></html>",
    ] {
        let address = answering(answer).await?;
        let (error, took) = refusal(&address).await?;
        assert!(matches!(error, Error::NotKafka { .. }), "{error:?}");
        let text = error.to_string();
        assert!(
            text.contains(&address) && (text.contains("HTTP") || text.contains("web")),
            "{text}"
        );
        // Recognised by its answer, not by a timeout.
        assert!(took < Duration::from_millis(400), "{took:?}");
        assert!(!error.is_retriable());
    }
    Ok(())
}

#[tokio::test]
async fn a_tls_port_is_recognised() -> Outcome {
    // What OpenSSL, Java and rustls answer to something that is no ClientHello.
    for alert in [
        b"\x15\x03\x03\x00\x02\x02\x46",
        b"\x15\x03\x01\x00\x02\x02\x0a",
    ] {
        let address = answering(alert).await?;
        let (error, took) = refusal(&address).await?;
        assert!(matches!(error, Error::NotKafka { .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.contains(&address) && text.contains("TLS"), "{text}");
        assert!(took < Duration::from_millis(400), "{took:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_server_that_hangs_up_before_its_first_answer_may_want_tls() -> Outcome {
    // A proper end, once all is read; and a reset, which OpenSSL's servers answer.
    let polite = server(|mut stream| async move { stream.read(&mut [0; 1024]).await.map(drop) });
    let rude = server(|mut stream| async move { stream.read_u8().await.map(drop) });
    for address in [polite.await?, rude.await?] {
        let (error, _) = refusal(&address).await?;
        let text = error.to_string();
        assert!(text.contains(&address) && text.contains("TLS"), "{text}");
    }
    Ok(())
}

#[tokio::test]
async fn a_closed_port_is_named() -> Outcome {
    let address = closed_port().await?;
    let (error, took) = refusal(&address).await?;
    assert!(matches!(error, Error::Bootstrap { .. }), "{error:?}");
    let text = error.to_string();
    assert!(
        text.contains(&address) && text.contains("refused"),
        "{text}"
    );
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert!(error.is_retriable() && !error.is_fatal());
    Ok(())
}

#[tokio::test]
async fn a_server_that_never_answers_does_not_hang() -> Outcome {
    let address = answering(b"").await?;
    let (error, took) = refusal(&address).await?;
    let text = error.to_string();
    assert!(text.contains(&address) && text.contains("500ms"), "{text}");
    assert!(
        took >= Duration::from_millis(450) && took < Duration::from_secs(3),
        "{took:?}"
    );
    assert!(error.is_retriable());
    Ok(())
}

#[tokio::test]
async fn a_server_that_answers_nonsense_is_no_kafka() -> Outcome {
    for nonsense in [
        &b"\xff\xff\xff\xff\xff\xff\xff\xff"[..],
        b"\x7f\xff\xff\xff\x00\x00\x00\x00",
        b"\x00\x00\x00\x00",
        b"\x00\x00\x00\x02\x00\x00",
        b"\x00\x00\x00\x08\x00\x00\x00\x63\x00\x00\x00\x00",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"-ERR unknown command\r\n",
    ] {
        let address = answering(nonsense).await?;
        let (error, took) = refusal(&address).await?;
        let text = error.to_string();
        assert!(text.contains(&address), "{nonsense:?}: {text}");
        assert!(
            took < Duration::from_secs(2),
            "{nonsense:?} took {took:?}: {text}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn every_server_is_named_with_its_own_error() -> Outcome {
    let (closed, silent) = (closed_port().await?, answering(b"").await?);
    let (error, _) = refusal(&format!("{closed}, {silent}")).await?;
    let text = error.to_string();
    assert!(text.contains(&closed) && text.contains("refused"), "{text}");
    assert!(text.contains(&silent) && text.contains("500ms"), "{text}");
    // A name that no resolver knows.
    let (error, _) = refusal("no-such-host.invalid:9092").await?;
    assert!(
        error.to_string().contains("no-such-host.invalid:9092"),
        "{error}"
    );
    Ok(())
}

#[tokio::test]
async fn one_good_server_is_enough() -> Outcome {
    let good = broker().await?;
    for bad in [
        closed_port().await?,
        answering(b"").await?,
        answering(b"HTTP/1.1 400\r\n").await?,
    ] {
        for servers in [format!("{bad},{good}"), format!("{good},{bad}")] {
            let connecting = Client::connect(&servers);
            tokio::time::timeout(LIMIT, connecting)
                .await?
                .map_err(|e| format!("{servers}: {e}"))?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn addresses_that_do_not_parse_are_named() -> Outcome {
    for servers in [
        "",
        "  ,",
        "localhost",
        "localhost:",
        "localhost:http",
        "localhost:0",
        "localhost:70000",
        ":9092",
        "http://localhost:9092",
        "SASL_SSL://localhost:9092",
        "::1:9092",
        "[::1]",
        "a b:9092",
    ] {
        let (error, took) = refusal(servers).await?;
        assert!(
            matches!(error, Error::Config { .. }),
            "{servers:?}: {error:?}"
        );
        let text = error.to_string();
        assert!(text.contains("bootstrap.servers"), "{text}");
        assert!(took < Duration::from_millis(100), "{took:?}");
    }
    let unset = Client::builder()
        .connect()
        .await
        .err()
        .ok_or("connected to nowhere")?;
    assert!(unset.to_string().contains("bootstrap.servers"), "{unset}");
    Ok(())
}

#[tokio::test]
async fn an_unknown_setting_is_refused_with_what_was_meant() -> Outcome {
    for (name, meant) in [
        ("linger.mns", "linger.ms"),
        ("bootstrap.server", "bootstrap.servers"),
        ("Compression.Type", "compression.type"),
        ("max_block_ms", "max.block.ms"),
        ("enable.idempotent", "enable.idempotence"),
    ] {
        let properties = [("bootstrap.servers", "127.0.0.1:1"), (name, "1")];
        // Before anything is connected to.
        match Client::from_properties(properties).await {
            Err(error @ Error::UnknownSetting { .. }) => {
                let text = error.to_string();
                assert!(
                    text.contains(name) && text.contains(&format!("{meant:?}")),
                    "{text}"
                );
            }
            other => return Err(format!("{name}: {other:?}").into()),
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_value_that_does_not_parse_is_refused_with_its_setting() -> Outcome {
    let wrong = [
        ("linger.ms", "soon"),
        ("linger.ms", "-1"),
        ("batch.size", "16k"),
        ("buffer.memory", "0"),
        ("acks", "2"),
        ("enable.idempotence", "yes please"),
        ("compression.type", "brotli"),
        ("compression.gzip.level", "10"),
        ("max.in.flight.requests.per.connection", "0"),
        ("max.request.size", "99999999999"),
        ("request.timeout.ms", "0"),
        ("partitioner.class", "com.example.Mine"),
        ("security.protocol", "SASL_SSL"),
        ("connections.max.idle.ms", "0"),
    ];
    for (name, value) in wrong {
        let properties = [("bootstrap.servers", "127.0.0.1:1"), (name, value)];
        match Client::from_properties(properties).await {
            Err(error @ Error::Config { .. }) => {
                let text = error.to_string();
                assert!(text.contains(name), "{name}={value}: {text}");
            }
            other => return Err(format!("{name}={value}: {other:?}").into()),
        }
    }
    Ok(())
}

#[tokio::test]
async fn settings_that_conflict_are_refused_with_both_named() -> Outcome {
    type Change = fn(ProducerBuilder) -> Result<ProducerBuilder, Error>;
    let conflicts: [(Change, [&str; 2]); 11] = [
        (|b| Ok(b.acks(Acks::Leader)), ["acks", "enable.idempotence"]),
        (|b| b.set("acks", "0"), ["acks", "enable.idempotence"]),
        (
            |b| Ok(b.max_in_flight(6)),
            ["max.in.flight", "enable.idempotence"],
        ),
        (|b| b.set("retries", "0"), ["retries", "enable.idempotence"]),
        (
            |b| Ok(b.batch_size(2000).buffer_memory(1000)),
            ["buffer.memory", "batch.size"],
        ),
        (
            |b| b.buffer_memory(200_000).set("max.request.size", "300000"),
            ["buffer.memory", "max.request.size"],
        ),
        (
            |b| b.set("delivery.timeout.ms", "20000"),
            ["delivery.timeout.ms", "request.timeout.ms"],
        ),
        (
            |b| Ok(b.linger(Duration::from_secs(100))),
            ["delivery.timeout.ms", "linger.ms"],
        ),
        (
            |b| Ok(b.retry_backoff(Duration::from_secs(5))),
            ["retry.backoff.ms", "retry.backoff.max.ms"],
        ),
        (
            |b| b.set("compression.zstd.level", "3"),
            ["compression.zstd.level", "compression.type"],
        ),
        (
            |b| Ok(b.compression(Compression::Gzip(Some(12)))),
            ["compression.gzip.level", "9"],
        ),
    ];
    let client = Client::connect(&broker().await?).await?;
    for (number, (change, names)) in conflicts.into_iter().enumerate() {
        match change(client.producer()).and_then(|builder| builder.build()) {
            Err(error @ Error::Config { .. }) => {
                let text = error.to_string();
                assert!(
                    names.iter().all(|name| text.contains(name)),
                    "{number}: {text}"
                );
                assert!(!error.is_retriable() && !error.possibly_written());
            }
            other => return Err(format!("{number}: {other:?}").into()),
        }
    }
    // Without what it conflicted with, each is as good as any.
    client
        .producer()
        .acks(Acks::None)
        .idempotence(false)
        .build()?;
    client
        .producer()
        .batch_size(2000)
        .buffer_memory(2000)
        .build()?;
    // A producer's settings given to the client are its producers' defaults.
    let servers = broker().await?;
    let properties = [("bootstrap.servers", &*servers), ("acks", "1")];
    let client = Client::from_properties(properties).await?;
    assert!(client.producer().build().is_err());
    assert!(
        client
            .producer()
            .set("enable.idempotence", "false")?
            .build()
            .is_ok()
    );
    Ok(())
}

#[test]
fn a_producer_built_outside_a_runtime_is_an_error() -> Outcome {
    let runtime = tokio::runtime::Runtime::new()?;
    let address = runtime.block_on(broker())?;
    let client = runtime.block_on(Client::connect(&address))?;
    let outside: Result<Producer, Error> = client.producer().build();
    let error = outside.err().ok_or("built without a runtime")?;
    assert!(error.to_string().contains("runtime"), "{error}");
    Ok(())
}

#[tokio::test]
async fn a_cluster_that_goes_silent_does_not_hang_the_callers() -> Outcome {
    // Connects, and never tells of a topic.
    let client = Client::connect(&broker().await?).await?;
    let limit = Duration::from_millis(700);
    let producer = client.producer().max_block(limit).build()?;
    let began = Instant::now();
    let sending = producer.send(Record::to("t").value("v"));
    let error = tokio::time::timeout(LIMIT, sending)
        .await?
        .err()
        .ok_or("sent")?;
    assert!(
        began.elapsed() >= limit && began.elapsed() < limit * 2,
        "{:?}",
        began.elapsed()
    );
    assert!(matches!(error, Error::UnknownTopic { .. }), "{error:?}");
    tokio::time::timeout(LIMIT, producer.flush()).await??;
    tokio::time::timeout(LIMIT, producer.close(LIMIT)).await??;
    Ok(())
}
