//! Connections to control and the streams on them: begun anew for ever, at growing times with full jitter, so that a
//! control plane that comes back is not run over by all its edges at once.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep};
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Response, Status, Streaming};

use super::credentials::{Credentials, Shown};
use crate::config::Api;
use crate::server::Shared;

/// A connection to control that shows who we are.
pub(super) type Connection = InterceptedService<Channel, Shown>;

/// First and longest time before another try. Users who are not cached wait for the last one: with full jitter a hundred
/// edges at two seconds are a hundred small connections a second, which control does not notice.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// A stream that lived so long was a good one: its end is the first failure again.
const LIVED: Duration = Duration::from_secs(30);
/// Control is on this machine or near it.
const CONNECT: Duration = Duration::from_secs(3);
/// HTTP/2 pings notice a control that hangs, or a path that is gone without a word.
const PING: Duration = Duration::from_secs(10);
const PING_ANSWER: Duration = Duration::from_secs(5);
/// Messages that wait to be sent; each stream needs fewer.
const WAITING: usize = 16;
/// A pool of tens of thousands of backends.
pub(super) const LARGEST_MESSAGE: usize = 64 << 20;

/// Connects and lives on the connection, for ever. `meanwhile` runs in the pauses between two tries; what waits at start
/// may wait for the first one.
pub(super) async fn keep(
    shared: &Shared,
    name: &str,
    life: impl AsyncFn(Connection) -> Status,
    meanwhile: impl AsyncFn(),
) {
    let mut failures = 0_u32;
    loop {
        let began = Instant::now();
        let api = shared.setup.load().config.api.clone();
        let ended = match connect(&api).await {
            Ok(connection) => life(connection).await,
            Err(problem) => Status::unavailable(format!("{api}: {problem}")),
        };
        if began.elapsed() > LIVED {
            failures = 0;
        }
        if failures == 0 {
            let message = ended.message();
            let told = format!("no {name} stream with control, {message}; serving what is known, and trying again");
            shared.records.log("warning", &told);
        }
        tokio::select! {
            () = sleep(pause(failures)) => {}
            () = meanwhile() => {}
        }
        failures = failures.saturating_add(1);
    }
}

/// tonic's own text is "transport error"; what an operator needs is at the end of the chain.
fn told(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

async fn connect(api: &Api) -> Result<Connection, String> {
    let (uri, credentials) = match api {
        Api::Tcp(address) => (format!("http://{address}"), None),
        Api::Tls(remote) => {
            let read = remote.clone();
            // Files are read by a thread that may wait.
            let read = tokio::task::spawn_blocking(move || Credentials::read(&read)).await;
            let credentials = read
                .map_err(|error| told(&error))?
                .map_err(|(field, problem)| format!("control.{field}: {problem}"))?;
            (format!("https://{}", remote.authority), Some(credentials))
        }
        Api::Unix(_) => (api.to_string(), None),
    };
    let endpoint = Endpoint::new(uri).map_err(|error| told(&error))?;
    let endpoint = endpoint.connect_timeout(CONNECT).http2_keep_alive_interval(PING);
    let mut endpoint = endpoint.keep_alive_timeout(PING_ANSWER).keep_alive_while_idle(true);
    let mut shown = Shown::default();
    if let Some(credentials) = credentials {
        endpoint = endpoint.tls_config(credentials.tls).map_err(|error| told(&error))?;
        shown = credentials.shown;
    }
    let channel = endpoint.connect().await.map_err(|error| told(&error))?;
    Ok(InterceptedService::new(channel, shown))
}

/// Full jitter: anything between nothing and the step.
fn pause(failures: u32) -> Duration {
    let step = PAUSES.0.saturating_mul(2_u32.saturating_pow(failures)).min(PAUSES.1);
    #[allow(clippy::cast_precision_loss)]
    let part = RandomState::new().hash_one(()) as f64 / u64::MAX as f64;
    step.mul_f64(part)
}

/// Both directions of a stream. Control may send its headers only with its first message, so the call is awaited beside
/// whatever is sent, never before it.
pub(super) struct Link<Out, In> {
    out: mpsc::Sender<Out>,
    read: mpsc::Receiver<Result<In, Status>>,
    reading: AbortHandle,
}

impl<Out, In: 'static> Link<Out, In> {
    /// Begins a call, given what will be sent on it.
    pub(super) fn open<C>(call: impl FnOnce(ReceiverStream<Out>) -> C) -> Self
    where
        C: Future<Output = Result<Response<Streaming<In>>, Status>> + 'static,
    {
        let (out, to_send) = mpsc::channel(WAITING);
        let (received, read) = mpsc::channel(WAITING);
        let call = call(ReceiverStream::new(to_send));
        let reading = tokio::task::spawn_local(async move {
            let last = match call.await {
                Ok(response) => forward(response.into_inner(), &received).await,
                Err(status) => status,
            };
            // Nobody listens any more: then nobody needs to know.
            let _ = received.send(Err(last)).await;
        });
        Self { out, read, reading: reading.abort_handle() }
    }

    /// Sends a message, as soon as there is room.
    pub(super) async fn send(&self, message: Out) -> Result<(), Status> {
        self.out.send(message).await.map_err(|_| ended())
    }

    /// The next message; an error ends the stream.
    pub(super) async fn read(&mut self) -> Result<In, Status> {
        self.read.recv().await.unwrap_or_else(|| Err(ended()))
    }
}

impl<Out, In> Drop for Link<Out, In> {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

async fn forward<In>(mut stream: Streaming<In>, to: &mpsc::Sender<Result<In, Status>>) -> Status {
    loop {
        match stream.message().await {
            Ok(Some(message)) => {
                if to.send(Ok(message)).await.is_err() {
                    return ended();
                }
            }
            Ok(None) => return ended(),
            Err(status) => return status,
        }
    }
}

fn ended() -> Status {
    Status::unavailable("control has closed it")
}
