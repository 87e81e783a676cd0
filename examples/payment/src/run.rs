//! The whole run: parts, HTTP, callers, members, and the comparison in the end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ottla_app::{Database, Failure, Kafka, Members, Settings, say};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::callers;
use crate::gateway::HttpGateway;
use crate::http::router;
use crate::intents::Intents;
use crate::member::{self, GROUP};
use crate::options::Options;
use crate::report::Report;
use crate::service::{PARTITIONS, Payments, TOPIC};
use crate::stand_in::StandIn;
use crate::store::Store;

/// The settings that come with the application.
const SETTINGS: &str = include_str!("../settings.toml");

/// How long answers may take on their way once all are given.
const GRACE: Duration = Duration::from_secs(1);

/// Everything that the run works with.
pub struct System {
    kafka: Kafka,
    payments: Arc<Payments>,
    store: Store,
    server: Server,
    members: Members,
    _stand_in: Option<StandIn>,
}

/// HTTP, open.
struct Server {
    url: String,
    stop: CancellationToken,
    task: JoinHandle<std::io::Result<()>>,
    payments: Arc<Payments>,
}

impl System {
    /// Connects to the parts, embedded where none are named, makes topic and table when they are missing, and opens
    /// HTTP.
    ///
    /// # Errors
    /// Wrong options and settings, before anything is connected to; then a part that does not answer.
    pub async fn open(options: &Options) -> Result<Self, Failure> {
        let settings = Settings::load(&options.parts, SETTINGS)?;
        let stand_in = match &options.gateway {
            Some(_) => None,
            None => Some(StandIn::start().await?),
        };
        let url = options.gateway.as_deref();
        let url = url.or(stand_in.as_ref().map(StandIn::url));
        let gateway = Arc::new(HttpGateway::new(url.unwrap_or_default())?);
        let address = options.serve.unwrap_or_else(|| ([127, 0, 0, 1], 0).into());
        let listener = TcpListener::bind(address).await;
        let listener = listener.map_err(Failure::of(format!("--serve {address}")))?;
        let database = Database::open(settings.database.as_deref()).await?;
        let kafka = Kafka::open(&settings).await?;
        let intents = Intents::open(database.clone()).await?;
        let payments = Payments::new(gateway, kafka.client(), intents)?;
        kafka.topic(TOPIC, PARTITIONS).await?;
        payments.take_up_open();
        let store = Store::open(database).await?;
        let server = Server::open(listener, Arc::clone(&payments))?;
        let members = Members::start(options.members, |stop| {
            member::run(kafka.client().clone(), store.clone(), stop)
        });
        Ok(Self {
            kafka,
            payments,
            store,
            server,
            members,
            _stand_in: stand_in,
        })
    }

    /// Where HTTP is open.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.server.url
    }

    /// The table.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// How many payments are on their way, or were left open.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn open_payments(&self) -> Result<u64, Failure> {
        self.payments.count_open().await
    }

    /// Makes the payments, waits until they are saved, closes everything, and compares.
    ///
    /// # Errors
    /// When a part fails.
    pub async fn run(
        mut self,
        options: &Options,
        interrupt: CancellationToken,
    ) -> Result<Report, Failure> {
        let started = Instant::now();
        let run = callers::new_run();
        let amount = (options.payments(), options.ticket_types);
        let paid = callers::pay(&self.server.url, &run, amount, options.sync, &interrupt).await;
        let took = started.elapsed();
        let mut served = Ok(());
        if options.serve.is_some() {
            say(&format!("open at {} until Ctrl-C", self.server.url));
            let interrupted = async {
                interrupt.cancelled().await;
                Ok(())
            };
            served = self.members.work_until(interrupted).await;
        }
        // In this order, and whatever has failed: no more calls, no more payments between gateway and Kafka. Then all
        // of them are saved.
        let closed = self.server.close().await;
        self.payments.finish().await?;
        closed?;
        let told = paid?;
        served?;
        let Self { kafka, members, .. } = &mut self;
        let caught_up = kafka.caught_up(GROUP, TOPIC, "payments", &interrupt);
        members.work_until(caught_up).await?;
        let work = self.members.stop().await?;
        Ok(Report {
            kafka: self.kafka.place().to_owned(),
            database: self.store.place().to_owned(),
            members: options.members,
            counts: self.payments.totals(),
            open: self.payments.count_open().await?,
            told,
            work,
            saved: self.store.ending_in(&run).await?,
            lag: self.kafka.last_lag(GROUP, TOPIC).await,
            took,
        })
    }
}

impl Server {
    fn open(listener: TcpListener, payments: Arc<Payments>) -> Result<Self, Failure> {
        let address = listener.local_addr().map_err(Failure::of("HTTP"))?;
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let router = router(Arc::clone(&payments));
        let serve = axum::serve(listener, router).with_graceful_shutdown(stopped);
        Ok(Self {
            url: format!("http://{address}"),
            stop,
            task: tokio::spawn(async move { serve.await }),
            payments,
        })
    }

    /// Takes no more calls, and answers those that have come whole; one that never does holds nobody up.
    async fn close(&mut self) -> Result<(), Failure> {
        self.stop.cancel();
        let answered = async {
            self.payments.calls_answered().await;
            sleep(GRACE).await;
        };
        tokio::select! {
            ended = &mut self.task => {
                let ended = ended.map_err(Failure::of("HTTP"))?;
                return ended.map_err(Failure::of("HTTP"));
            }
            () = answered => {}
        }
        self.task.abort();
        Ok(())
    }
}
