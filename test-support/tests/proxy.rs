//! The proxy, in front of a small server whose every request can be seen.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use test_support::{Action, Match, Proxy, ProxyError, http::Request};

/// A server that answers every request with 200 and `done`, and keeps what it was sent. It lives as long
/// as the test process.
struct Upstream {
    endpoint: String,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Upstream {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::default();
        let keep = Arc::clone(&seen);
        thread::spawn(move || {
            for stream in listener.incoming() {
                answer(stream.unwrap(), &keep);
            }
        });
        Self { endpoint, seen }
    }

    fn proxy(&self) -> Proxy {
        Proxy::start(&self.endpoint).unwrap()
    }

    fn count(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

fn answer(mut stream: TcpStream, seen: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut request = String::new();
    while !request.ends_with("\r\n\r\n") {
        assert_ne!(reader.read_line(&mut request).unwrap(), 0, "{request}");
    }
    let length = request.lines().find_map(|line| line.strip_prefix("Content-Length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).unwrap();
    request += &String::from_utf8_lossy(&body);
    let content = if request.starts_with("HEAD") { "" } else { "done" };
    seen.lock().unwrap().push(request);
    write!(stream, "HTTP/1.1 200 OK\r\nX-Upstream: Yes\r\nContent-Length: 4\r\n\r\n{content}").unwrap();
}

fn put(proxy: &Proxy, region: &str) -> Request {
    Request::post(&proxy.endpoint(), "/")
        .aws("000000000001", region, "dynamodb")
        .header("X-Amz-Target", "DynamoDB_20120810.PutItem")
        .body("{}")
        .timeout(Duration::from_secs(5))
}

fn kind(sent: io::Result<test_support::http::Response>) -> io::ErrorKind {
    sent.expect_err("the connection is cut").kind()
}

/// Protects everything seen through the proxy: it changes neither the request nor the answer.
#[test]
fn forwards_as_it_came() {
    let upstream = Upstream::start();
    let proxy = upstream.proxy();
    let request =
        Request::new("PUT", &proxy.endpoint(), "/a%2Fb?c=d%20e").header("X-OdD-Case", "v").body("body");
    let answer = request.send().unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (200, "done"));
    assert!(answer.headers.contains(&("X-Upstream".to_owned(), "Yes".to_owned())), "{:?}", answer.headers);

    let seen = upstream.seen.lock().unwrap()[0].clone();
    let host = proxy.endpoint().replace("http://", "Host: ");
    for part in ["PUT /a%2Fb?c=d%20e HTTP/1", "X-OdD-Case: v\r\n", &host, "\r\n\r\nbody"] {
        assert!(seen.contains(part), "{part:?} in {seen}");
    }
}

/// Protects requests without a body in the answer, such as the HEAD of an object.
#[test]
fn passes_the_length_of_a_head() {
    let proxy = Upstream::start().proxy();
    let mut stream = TcpStream::connect(proxy.endpoint().trim_start_matches("http://")).unwrap();
    stream.write_all(b"HEAD /object HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("Content-Length: 4\r\n") && answer.ends_with("\r\n\r\n"), "{answer}");
}

/// Protects the tests that count requests, and the file that people look at after a failure.
#[test]
fn the_log_has_every_request() {
    let proxy = Upstream::start().proxy();
    put(&proxy, "us-west-2").send().unwrap();
    let route53 = "/2013-04-01/hostedzone/Z1/rrset/";
    Request::post(&proxy.endpoint(), route53).body(vec![0xff, 0x00]).send().unwrap();

    let log = proxy.log();
    assert_eq!(log.len(), 2);
    assert_eq!((log[0].number, log[0].operation.as_str(), log[0].path.as_str()), (0, "PutItem", "/"));
    assert_eq!((log[0].service.as_deref(), log[0].region.as_deref()), (Some("dynamodb"), Some("us-west-2")));
    assert_eq!((log[0].text().as_str(), log[0].upstream, log[0].answered), ("{}", Some(200), Some(200)));
    assert_eq!(log[1].operation, format!("POST {route53}"));
    assert!(log[0].at <= log[1].at);

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("log.jsonl");
    proxy.write_log(&file).unwrap();
    let text = std::fs::read_to_string(file).unwrap();
    let rows: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 2);
    assert_eq!((&rows[0]["operation"], &rows[0]["body"]), (&"PutItem".into(), &"{}".into()));
    assert_eq!(rows[1]["body_hex"], "ff00");
}

/// Protects the difference that everything about unknown outcomes rests on: not sent, or not answered.
#[test]
fn a_drop_before_does_not_arrive_and_a_drop_after_does() {
    let upstream = Upstream::start();
    let proxy = upstream.proxy();
    let rule = proxy.when(Match::any(), Action::DropBefore);
    assert_eq!(kind(put(&proxy, "us-east-1").send()), io::ErrorKind::UnexpectedEof);
    assert_eq!(upstream.count(), 0);
    proxy.remove(rule);
    proxy.when(Match::any(), Action::DropAfter);
    assert_eq!(kind(put(&proxy, "us-east-1").send()), io::ErrorKind::UnexpectedEof);
    assert_eq!(upstream.count(), 1);
    proxy.heal();
    assert_eq!(put(&proxy, "us-east-1").send().unwrap().status, 200);
}

/// Protects tests of one region's failure: the others must not notice.
#[test]
fn a_region_is_cut_off_alone() {
    let upstream = Upstream::start();
    let proxy = upstream.proxy();
    let hole = proxy.black_hole("us-east-1");
    let silent = put(&proxy, "us-east-1").timeout(Duration::from_millis(200)).send();
    assert!(matches!(kind(silent), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut));
    assert_eq!(put(&proxy, "us-west-2").send().unwrap().status, 200);
    proxy.remove(hole);
    proxy.reset("us-east-1");
    assert_eq!(kind(put(&proxy, "us-east-1").send()), io::ErrorKind::ConnectionReset);
    assert_eq!(put(&proxy, "us-west-2").send().unwrap().status, 200);
    assert_eq!(upstream.count(), 2);
}

/// Protects rules that aim at one request out of many.
#[test]
fn a_rule_hits_the_nth_request_that_fits() {
    let upstream = Upstream::start();
    let proxy = upstream.proxy();
    proxy.when(Match::operation("PutItem").region("us-east-1").nth(2), Action::answer(503, "{}"));
    proxy.when(Match::operation("PutItem").region("us-west-2").first(2), Action::answer(400, "<a/>"));
    let statuses = |region| [(); 3].map(|()| put(&proxy, region).send().unwrap().status);
    assert_eq!(statuses("us-east-1"), [200, 503, 200]);
    assert_eq!(statuses("us-west-2"), [400, 400, 200]);
    assert_eq!(statuses("eu-west-1"), [200, 200, 200]);
    assert_eq!(upstream.count(), 6, "a made-up answer is not forwarded");
    let refused = proxy.log_of(&Match::any().region("us-east-1"))[1].clone();
    assert_eq!((refused.fault, refused.upstream, refused.answered), (Some("answer"), None, Some(503)));
}

/// Protects tests that crash something at an exact moment: before a request takes effect, or after it has
/// and before anybody knows.
#[test]
fn hooks_run_before_the_request_and_before_the_answer() {
    let upstream = Upstream::start();
    let proxy = upstream.proxy();
    let seen = upstream.seen.clone();
    let arrived = Arc::new(AtomicUsize::new(99));
    let note = |at: &Arc<AtomicUsize>| {
        let (seen, at) = (seen.clone(), at.clone());
        move |_: &test_support::Exchange| at.store(seen.lock().unwrap().len(), Ordering::SeqCst)
    };
    proxy.when(Match::any().nth(1), Action::before(note(&arrived)));
    put(&proxy, "us-east-1").send().unwrap();
    assert_eq!(arrived.load(Ordering::SeqCst), 0);
    proxy.when(Match::any().nth(1), Action::after(note(&arrived)));
    put(&proxy, "us-east-1").send().unwrap();
    assert_eq!(arrived.load(Ordering::SeqCst), 2);
    proxy.when(Match::any().only(|request| request.number == 2), Action::instead(note(&arrived)));
    assert_eq!(kind(put(&proxy, "us-east-1").send()), io::ErrorKind::UnexpectedEof);
    assert_eq!(
        (arrived.load(Ordering::SeqCst), upstream.count()),
        (2, 2),
        "it is called, nothing is forwarded"
    );

    proxy.when(Match::any(), Action::before(|_| panic!("a hook panics, as this one is meant to")));
    assert_eq!(kind(put(&proxy, "us-east-1").send()), io::ErrorKind::UnexpectedEof);
    assert_eq!(proxy.log()[3].error.as_deref(), Some("the rule's hook panicked"));
}

/// Protects tests of late writes: what is on its way arrives, although nobody waits for it any more.
#[test]
fn a_delayed_request_arrives_after_its_client_left() {
    let upstream = Upstream::start();
    let proxy = upstream.proxy();
    let (release, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    let hold = move |_: &test_support::Exchange| {
        let _ = held.lock().unwrap().recv_timeout(Duration::from_secs(10));
    };
    proxy.when(Match::any().first(1), Action::before(hold));
    put(&proxy, "us-east-1").timeout(Duration::from_millis(100)).send().expect_err("held");
    assert_eq!(upstream.count(), 0);
    release.send(()).unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while upstream.count() == 0 {
        assert!(Instant::now() < deadline, "the request never arrived");
        thread::sleep(Duration::from_millis(5));
    }

    proxy.when(Match::any(), Action::Delay(Duration::from_millis(100)));
    let start = Instant::now();
    put(&proxy, "us-east-1").send().unwrap();
    assert!(start.elapsed() >= Duration::from_millis(100));
}

/// Protects tests of a dead region: no answer is made up for an upstream that is gone, and nothing listens
/// where a proxy was.
#[test]
fn a_dead_upstream_is_a_closed_connection() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let proxy = Proxy::start(&format!("http://{nobody}")).unwrap();
    assert_eq!(kind(put(&proxy, "us-east-1").send()), io::ErrorKind::UnexpectedEof);
    let error = proxy.log()[0].error.clone().unwrap();
    assert!(error.contains("cannot connect to the upstream"), "{error}");

    let gone = put(&proxy, "us-east-1");
    drop(proxy);
    assert_eq!(kind(gone.send()), io::ErrorKind::ConnectionRefused);
    assert!(matches!(Proxy::start("https://example.com"), Err(ProxyError::Upstream(_))));
}
