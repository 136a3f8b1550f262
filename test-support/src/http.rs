//! The smallest HTTP client that a test can need: blocking, one request for each connection.
//!
//! It is meant for looking at an emulator, or at the proxy, without an SDK and its retries in between.

use std::{
    io::{self, Read, Write},
    net::{TcpStream, ToSocketAddrs},
    time::Duration,
};

/// One request, built by chaining and sent by [`Request::send`].
#[derive(Clone, Debug)]
pub struct Request {
    endpoint: String,
    head: String,
    body: Vec<u8>,
    timeout: Duration,
}

/// The answer to a [`Request`].
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The header lines, as they came.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Vec<u8>,
}

impl Request {
    /// A request to `endpoint` (`http://host:port`); `path` begins with a slash and may have a query.
    pub fn new(method: &str, endpoint: &str, path: &str) -> Self {
        // HTTP/1.0 because then no server answers in chunks.
        let host = authority(endpoint).unwrap_or(endpoint);
        let head = format!("{method} {path} HTTP/1.0\r\nHost: {host}\r\n");
        Self { endpoint: endpoint.to_owned(), head, body: Vec::new(), timeout: Duration::from_secs(10) }
    }

    /// A GET request.
    pub fn get(endpoint: &str, path: &str) -> Self {
        Self::new("GET", endpoint, path)
    }

    /// A POST request.
    pub fn post(endpoint: &str, path: &str) -> Self {
        Self::new("POST", endpoint, path)
    }

    /// Adds a header line.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.head += &format!("{name}: {value}\r\n");
        self
    }

    /// Adds the header by which an AWS emulator tells account, region and service. There is no signature:
    /// emulators do not check it. `account` is a number of 12 digits.
    #[must_use]
    pub fn aws(self, account: &str, region: &str, service: &str) -> Self {
        let scope = format!("{account}/20260101/{region}/{service}/aws4_request");
        let line = format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=none");
        self.header("Authorization", &line)
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sets how long to wait for the connection, and for each piece of the answer (10 s if not set).
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sends the request and reads the whole answer. A connection that is closed early is an error of the
    /// kind [`io::ErrorKind::UnexpectedEof`].
    pub fn send(&self) -> io::Result<Response> {
        let mut stream = self.connect()?;
        stream.set_read_timeout(Some(self.timeout))?;
        stream.set_write_timeout(Some(self.timeout))?;
        write!(stream, "{}Content-Length: {}\r\n\r\n", self.head, self.body.len())?;
        stream.write_all(&self.body)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        parse(&answer)
    }

    fn connect(&self) -> io::Result<TcpStream> {
        let authority = authority(&self.endpoint).ok_or_else(|| {
            let message = format!("`{}` is not of the form http://host:port", self.endpoint);
            io::Error::new(io::ErrorKind::InvalidInput, message)
        })?;
        let mut last = io::Error::new(io::ErrorKind::NotFound, format!("no address for {authority}"));
        for address in authority.to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, self.timeout) {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

/// The `host:port` of an `http://host:port` address; nothing if it is something else.
pub(crate) fn authority(endpoint: &str) -> Option<&str> {
    let authority = endpoint.strip_prefix("http://")?.trim_end_matches('/');
    (authority.contains(':') && !authority.contains('/')).then_some(authority)
}

fn parse(answer: &[u8]) -> io::Result<Response> {
    let cut = || io::Error::new(io::ErrorKind::UnexpectedEof, "the connection was closed before the answer");
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").ok_or_else(cut)?;
    let head = String::from_utf8_lossy(&answer[..end]);
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).ok_or_else(cut)?;
    let headers: Vec<_> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let response = Response { status, headers, body: answer[end + 4..].to_vec() };
    let promised = response.header("content-length").and_then(|length| length.parse().ok());
    if promised.is_some_and(|length: usize| response.body.len() < length) {
        return Err(cut());
    }
    Ok(response)
}

impl Response {
    /// The first header of this name, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?;
        Some(&found.1)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Protects the proxy's tests: an answer that was cut must never pass for a whole one.
    #[test]
    fn a_cut_answer_is_an_error() {
        for cut in ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab"] {
            let error = parse(cut.as_bytes()).expect_err(cut);
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{cut:?}");
        }
        assert_eq!(parse(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap().status, 204);
    }

    /// Protects against an endpoint of a form that would connect to somewhere else than it seems.
    #[test]
    fn an_endpoint_is_a_host_and_a_port() {
        assert_eq!(authority("http://127.0.0.1:4566/"), Some("127.0.0.1:4566"));
        for wrong in ["https://127.0.0.1:4566", "127.0.0.1:4566", "http://localhost", "http://a:1/path"] {
            assert_eq!(authority(wrong), None, "{wrong}");
        }
    }
}
