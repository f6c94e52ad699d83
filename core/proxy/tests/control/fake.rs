//! A control plane without a mind of its own: each stream an edge opens is handed to the test, which plays it.

use std::convert::Infallible;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_stream::wrappers::{ReceiverStream, UnixListenerStream};
use tonic::codegen::http;
use tonic::{Request, Response, Status, Streaming, async_trait};
use tower::Service;
use zproxy_proxy::wire::edge_service_server::{EdgeService, EdgeServiceServer};
use zproxy_proxy::wire::route_service_server::{RouteService, RouteServiceServer};
use zproxy_proxy::wire::session_service_server::{SessionService, SessionServiceServer};
use zproxy_proxy::wire::*;

/// Nothing here takes long; what takes that long has failed.
const DEADLINE: Duration = Duration::from_secs(20);

/// Waits for something that must come.
pub(super) async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(DEADLINE, what).await.expect("it came in time")
}

/// Waits for what tells nobody when it happens.
pub(super) async fn until(holds: impl Fn() -> bool) {
    soon(async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

/// One stream of an edge.
pub(super) struct Conversation<In, Out> {
    from_edge: Streaming<In>,
    to_edge: mpsc::Sender<Result<Out, Status>>,
}

impl<In, Out> Conversation<In, Out> {
    pub(super) async fn hear(&mut self) -> In {
        soon(self.from_edge.message()).await.unwrap().expect("the edge speaks")
    }

    pub(super) async fn say(&self, message: Out) {
        self.to_edge.send(Ok(message)).await.expect("the edge listens");
    }

    /// Waits until the edge has left.
    pub(super) async fn end(mut self) {
        soon(async { while let Ok(Some(_)) = self.from_edge.message().await {} }).await;
    }
}

pub(super) type Watch = Conversation<EdgeReport, EdgeUpdate>;
pub(super) type Lookups = Conversation<LookupBatch, LookupReply>;
pub(super) type Verifies = Conversation<VerifyBatch, VerifyReply>;
pub(super) type Serve = Conversation<SessionAnswer, SessionQuery>;

/// The running fake.
pub(super) struct Control {
    watches: mpsc::Receiver<Watch>,
    lookups: mpsc::Receiver<Lookups>,
    verifies: mpsc::Receiver<Verifies>,
    serves: mpsc::Receiver<Serve>,
    serving: JoinHandle<()>,
}

impl Control {
    pub(super) fn start(socket: &Path) -> Self {
        let (watch, watches) = mpsc::channel(16);
        let (lookup, lookups) = mpsc::channel(16);
        let (verify, verifies) = mpsc::channel(16);
        let (serve, serves) = mpsc::channel(16);
        let api = Api {
            edge: EdgeServiceServer::new(Streams(watch)),
            route: RouteServiceServer::new(Routes { lookups: Streams(lookup), verifies: Streams(verify) }),
            session: SessionServiceServer::new(Streams(serve)),
        };
        let incoming = UnixListenerStream::new(UnixListener::bind(socket).unwrap());
        let serving = tokio::spawn(async move {
            tonic::transport::Server::builder().serve_with_incoming(api, incoming).await.unwrap();
        });
        Self { watches, lookups, verifies, serves, serving }
    }

    pub(super) async fn watch(&mut self) -> Watch {
        soon(self.watches.recv()).await.unwrap()
    }

    pub(super) async fn lookups(&mut self) -> Lookups {
        soon(self.lookups.recv()).await.unwrap()
    }

    pub(super) async fn verifies(&mut self) -> Verifies {
        soon(self.verifies.recv()).await.unwrap()
    }

    pub(super) async fn serve(&mut self) -> Serve {
        soon(self.serves.recv()).await.unwrap()
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Hands each new stream to the test.
struct Streams<In, Out>(mpsc::Sender<Conversation<In, Out>>);

impl<In, Out> Streams<In, Out> {
    async fn open(
        &self,
        request: Request<Streaming<In>>,
    ) -> Result<Response<ReceiverStream<Result<Out, Status>>>, Status> {
        let (to_edge, receiver) = mpsc::channel(16);
        let conversation = Conversation { from_edge: request.into_inner(), to_edge };
        self.0.send(conversation).await.map_err(|_| Status::unavailable("the test is over"))?;
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}

#[async_trait]
impl EdgeService for Streams<EdgeReport, EdgeUpdate> {
    type WatchStream = ReceiverStream<Result<EdgeUpdate, Status>>;

    async fn watch(&self, request: Request<Streaming<EdgeReport>>) -> Result<Response<Self::WatchStream>, Status> {
        self.open(request).await
    }
}

struct Routes {
    lookups: Streams<LookupBatch, LookupReply>,
    verifies: Streams<VerifyBatch, VerifyReply>,
}

#[async_trait]
impl RouteService for Routes {
    type LookupStream = ReceiverStream<Result<LookupReply, Status>>;
    type VerifyStream = ReceiverStream<Result<VerifyReply, Status>>;

    async fn lookup(&self, request: Request<Streaming<LookupBatch>>) -> Result<Response<Self::LookupStream>, Status> {
        self.lookups.open(request).await
    }

    async fn verify(&self, request: Request<Streaming<VerifyBatch>>) -> Result<Response<Self::VerifyStream>, Status> {
        self.verifies.open(request).await
    }

    async fn explain(&self, _: Request<ExplainRequest>) -> Result<Response<ExplainResponse>, Status> {
        Err(Status::unimplemented("for people"))
    }

    async fn invalidate(&self, _: Request<InvalidateRequest>) -> Result<Response<InvalidateResponse>, Status> {
        Err(Status::unimplemented("for people"))
    }
}

#[async_trait]
impl SessionService for Streams<SessionAnswer, SessionQuery> {
    type ServeStream = ReceiverStream<Result<SessionQuery, Status>>;

    async fn serve(&self, request: Request<Streaming<SessionAnswer>>) -> Result<Response<Self::ServeStream>, Status> {
        self.open(request).await
    }

    async fn list(&self, _: Request<ListSessionsRequest>) -> Result<Response<ListSessionsResponse>, Status> {
        Err(Status::unimplemented("for people"))
    }

    async fn count(&self, _: Request<CountSessionsRequest>) -> Result<Response<CountSessionsResponse>, Status> {
        Err(Status::unimplemented("for people"))
    }

    async fn kick(&self, _: Request<KickRequest>) -> Result<Response<KickResponse>, Status> {
        Err(Status::unimplemented("for people"))
    }
}

/// The three services on one socket, as tonic's own router would have it with a web framework behind it.
#[derive(Clone)]
struct Api {
    edge: EdgeServiceServer<Streams<EdgeReport, EdgeUpdate>>,
    route: RouteServiceServer<Routes>,
    session: SessionServiceServer<Streams<SessionAnswer, SessionQuery>>,
}

impl Service<http::Request<tonic::body::Body>> for Api {
    type Response = http::Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<tonic::body::Body>) -> Self::Future {
        let service = request.uri().path().split('/').nth(1).unwrap_or_default();
        match service {
            "zcontrol.v1.EdgeService" => self.edge.call(request),
            "zcontrol.v1.RouteService" => self.route.call(request),
            "zcontrol.v1.SessionService" => self.session.call(request),
            other => panic!("no service {other}"),
        }
    }
}
