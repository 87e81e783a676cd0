//! A TCP proxy that counts connections and can cut them.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;

/// Forwards every connection to one server, for as long as the process lives.
pub(crate) struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    target: OnceLock<String>,
    open: AtomicUsize,
    opened: AtomicUsize,
    streams: Mutex<Vec<TcpStream>>,
}

impl Proxy {
    /// Listens on a free port.
    pub(crate) fn start() -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let (address, shared) = (listener.local_addr()?, Arc::<Shared>::default());
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let shared = Arc::clone(&accepting);
                thread::spawn(move || shared.forward(&client));
            }
        });
        Ok(Self { address, shared })
    }

    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    /// Names the server; before that, connections are closed at once.
    pub(crate) fn forward_to(&self, target: &str) {
        self.shared.target.get_or_init(|| target.to_owned());
    }

    /// Connections that are open now.
    pub(crate) fn open(&self) -> usize {
        self.shared.open.load(Ordering::SeqCst)
    }

    /// Connections ever opened.
    pub(crate) fn opened(&self) -> usize {
        self.shared.opened.load(Ordering::SeqCst)
    }

    /// Closes every connection, as a server does that finds them idle.
    pub(crate) fn cut(&self) {
        for stream in self.shared.streams().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Shared {
    fn streams(&self) -> std::sync::MutexGuard<'_, Vec<TcpStream>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forward(&self, client: &TcpStream) {
        let Some(Ok(server)) = self.target.get().map(TcpStream::connect) else {
            return;
        };
        self.opened.fetch_add(1, Ordering::SeqCst);
        self.open.fetch_add(1, Ordering::SeqCst);
        self.streams().extend(client.try_clone());
        thread::scope(|scope| {
            scope.spawn(|| copy(&server, client));
            copy(client, &server);
        });
        self.open.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Copies until one side is done, then ends both.
fn copy(mut from: &TcpStream, mut to: &TcpStream) {
    let _ = io::copy(&mut from, &mut to);
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
