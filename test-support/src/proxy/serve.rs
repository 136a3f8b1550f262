//! One connection of a client, and how each of its requests is carried.

use std::{convert::Infallible, error::Error as _, fmt, future::pending, io, pin::Pin, sync::Arc};

use http_body_util::{BodyExt as _, Full};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    client::conn::http1 as client,
    header::CONTENT_TYPE,
    http::request::Parts,
    server::conn::http1 as server,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::sleep};

use super::{Action, Exchange, Hook, Shared};

type Answer = Response<Full<Bytes>>;
type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// How to end a connection without an answer.
#[derive(Clone, Copy, Debug)]
enum Cut {
    Close,
    Reset,
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection is cut on purpose")
    }
}

impl std::error::Error for Cut {}

/// Serves a client until it leaves, or is cut off.
pub(super) async fn connection(shared: Arc<Shared>, stream: TcpStream) {
    let service = service_fn(move |request| arrive(shared.clone(), request));
    let mut builder = server::Builder::new();
    builder.preserve_header_case(true).auto_date_header(false);
    let mut connection = builder.serve_connection(TokioIo::new(stream), service);
    let Err(error) = Pin::new(&mut connection).await else { return };
    let cut = error.source().and_then(|source| source.downcast_ref::<Cut>());
    if let Some(Cut::Reset) = cut {
        let stream = connection.into_parts().io.into_inner();
        let _ = stream.set_zero_linger(); // closing it now sends a reset
    }
}

/// Takes one request in and writes it down.
async fn arrive(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Answer, Cut> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Cut::Close)?.to_bytes();
    let exchange = shared.log.arrived(&parts, body);
    let action = shared.rules.decide(&exchange);
    if let Some(action) = &action {
        shared.log.note(exchange.number, |entry| entry.fault = Some(action.name()));
    }
    if matches!(action, Some(Action::BlackHole)) {
        return pending().await;
    }
    // In a task of its own: a request on its way arrives, even if the client no longer waits.
    let carried = tokio::spawn(carry(shared, parts, exchange, action));
    carried.await.unwrap_or(Err(Cut::Close))
}

async fn carry(
    shared: Arc<Shared>,
    parts: Parts,
    exchange: Exchange,
    action: Option<Action>,
) -> Result<Answer, Cut> {
    let number = exchange.number;
    let outcome = interfere(&shared, parts, exchange, action).await;
    match &outcome {
        Ok(Ok(answer)) => shared.log.note(number, |entry| entry.answered = Some(answer.status().as_u16())),
        Ok(Err(_cut)) => {}
        Err(error) => shared.log.note(number, |entry| entry.error = Some(error.to_string())),
    }
    outcome.unwrap_or(Err(Cut::Close))
}

/// The outer error is a failure, the inner one is wanted.
async fn interfere(
    shared: &Shared,
    parts: Parts,
    exchange: Exchange,
    action: Option<Action>,
) -> Result<Result<Answer, Cut>, BoxError> {
    match &action {
        Some(Action::DropBefore) => return Ok(Err(Cut::Close)),
        Some(Action::Instead(hook)) => {
            call(hook, exchange.clone()).await?;
            return Ok(Err(Cut::Close));
        }
        Some(Action::Reset) => return Ok(Err(Cut::Reset)),
        Some(Action::Answer { status, body }) => return Ok(Ok(made_up(*status, body)?)),
        Some(Action::Delay(time)) => sleep(*time).await,
        Some(Action::Before(hook)) => call(hook, exchange.clone()).await?,
        _ => {}
    }
    let answer = forward(&shared.upstream, parts, exchange.body.clone()).await?;
    let status = Some(answer.status().as_u16());
    shared.log.note(exchange.number, |entry| entry.upstream = status);
    match &action {
        Some(Action::DropAfter) => return Ok(Err(Cut::Close)),
        Some(Action::After(hook)) => call(hook, Exchange { upstream: status, ..exchange }).await?,
        _ => {}
    }
    Ok(Ok(answer))
}

/// Sends the request as it came, on a connection of its own: nothing of a killed upstream is reused.
async fn forward(upstream: &str, parts: Parts, body: Bytes) -> Result<Answer, BoxError> {
    let stream = TcpStream::connect(upstream).await.map_err(|error| unreachable(upstream, &error))?;
    let (mut sender, connection) =
        client::Builder::new().preserve_header_case(true).handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let answer = sender.send_request(Request::from_parts(parts, Full::new(body))).await?;
    let (parts, body) = answer.into_parts();
    Ok(Response::from_parts(parts, Full::new(body.collect().await?.to_bytes())))
}

fn unreachable(upstream: &str, error: &io::Error) -> String {
    format!("cannot connect to the upstream at {upstream}: {error}")
}

fn made_up(status: u16, body: &str) -> Result<Answer, BoxError> {
    let kind = if body.starts_with('{') { "application/json" } else { "application/xml" };
    let answer = Response::builder().status(status).header(CONTENT_TYPE, kind);
    Ok(answer.body(Full::new(Bytes::copy_from_slice(body.as_bytes())))?)
}

async fn call(hook: &Hook, exchange: Exchange) -> Result<(), BoxError> {
    let hook = hook.clone();
    let called = tokio::task::spawn_blocking(move || hook(&exchange));
    called.await.map_err(|_| "the rule's hook panicked".into())
}

/// Accepts connections for ever.
pub(super) async fn accept(shared: Arc<Shared>, listener: tokio::net::TcpListener) -> Infallible {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let _ = stream.set_nodelay(true);
                tokio::spawn(connection(shared.clone(), stream));
            }
            // Out of file descriptors: some connection will end.
            Err(_) => sleep(std::time::Duration::from_millis(20)).await,
        }
    }
}
