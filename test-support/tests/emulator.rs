//! The AWS emulator, for real: installed, started, stopped, and killed whatever happens.

use std::{
    io::{BufRead, BufReader},
    net::TcpStream,
    os::unix::process::CommandExt,
    panic::{AssertUnwindSafe, catch_unwind},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use test_support::{
    Action, ControlError, ENDPOINT_VARIABLE, Emulator, Match, Proxy, StartError,
    http::{Request, Response},
    or_skip, skip,
};

const REGION: &str = "us-east-1";

/// An emulator that this test may kill; not available where the environment names another one.
macro_rules! own_emulator {
    () => {{
        if std::env::var(ENDPOINT_VARIABLE).is_ok() {
            skip!("{ENDPOINT_VARIABLE} names an emulator that must not be killed");
        }
        or_skip!(Emulator::start())
    }};
}

fn dynamodb(endpoint: &str, account: &str, operation: &str, body: &str) -> std::io::Result<Response> {
    Request::post(endpoint, "/")
        .aws(account, REGION, "dynamodb")
        .header("X-Amz-Target", &format!("DynamoDB_20120810.{operation}"))
        .header("Content-Type", "application/x-amz-json-1.0")
        .body(body)
        .send()
}

fn create_table(endpoint: &str, account: &str) -> Response {
    let body = r#"{"TableName":"cells","BillingMode":"PAY_PER_REQUEST",
        "AttributeDefinitions":[{"AttributeName":"pk","AttributeType":"S"}],
        "KeySchema":[{"AttributeName":"pk","KeyType":"HASH"}]}"#;
    let created = dynamodb(endpoint, account, "CreateTable", body).unwrap();
    assert_eq!(created.status, 200, "{}", created.text());
    created
}

fn tables(endpoint: &str, account: &str) -> String {
    dynamodb(endpoint, account, "ListTables", "{}").unwrap().text()
}

fn listens(endpoint: &str) -> bool {
    TcpStream::connect(endpoint.trim_start_matches("http://")).is_ok()
}

/// Waits for the system to finish what it has been told to do.
fn soon(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < deadline, "not within 10 s: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Protects every AWS test: the emulator answers, is the pinned version, and listens on this machine only.
#[test]
fn starts_and_answers_on_this_machine_only() {
    let aws = own_emulator!();
    let health = Request::get(&aws.endpoint(), "/_ministack/health").send().unwrap();
    assert_eq!(health.status, 200);
    assert!(health.text().contains(r#""version": "1.5.33""#), "{}", health.text());
    assert!(aws.endpoint().starts_with("http://127.0.0.1:"));
    let port = aws.endpoint().rsplit_once(':').unwrap().1.to_owned();
    // Another address of this machine: a server that listens on all interfaces would answer.
    assert!(!listens(&format!("http://127.0.0.2:{port}")));
}

/// Protects tests that share an emulator from each other's data.
#[test]
fn accounts_do_not_see_each_other() {
    let aws = or_skip!(Emulator::shared());
    let (one, other) = (aws.fresh_account(), aws.fresh_account());
    create_table(&aws.endpoint(), &one);
    assert!(tables(&aws.endpoint(), &one).contains("cells"));
    assert!(!tables(&aws.endpoint(), &other).contains("cells"));
}

/// Protects parallel tests: emulators that start at the same moment do not take each other's port, and a
/// fresh machine installs once for all of them.
#[test]
fn emulators_start_side_by_side() {
    let first = own_emulator!();
    let others: Vec<Emulator> = thread::scope(|scope| {
        let starting: Vec<_> = (0..2).map(|_| scope.spawn(|| Emulator::start().unwrap())).collect();
        starting.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    create_table(&first.endpoint(), "000000000001");
    for other in &others {
        assert!(!tables(&other.endpoint(), "000000000001").contains("cells"), "two names for one emulator");
    }
}

/// Protects the machine: nothing is left running, neither after a test that passed nor after a panic.
#[test]
fn is_dead_after_drop_and_after_a_panic() {
    let aws = own_emulator!();
    let endpoint = aws.endpoint();
    drop(aws);
    assert!(!listens(&endpoint));

    let aws = Emulator::start().unwrap();
    let endpoint = aws.endpoint();
    let test = AssertUnwindSafe(move || {
        let _aws = aws;
        panic!("a test fails, as this one is meant to");
    });
    assert!(catch_unwind(test).is_err());
    assert!(!listens(&endpoint));
}

/// Protects the machine: a test process that is killed with its whole group, as a runner does that loses
/// patience, cannot clean up, and the emulator must die anyway.
#[test]
fn dies_with_a_process_that_is_killed() {
    drop(own_emulator!()); // so that nothing has to be installed below
    let mut holder = Command::new(env!("CARGO_BIN_EXE_emulator"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .process_group(0)
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let endpoint = line.trim_end().strip_prefix("MANTISSA_MR_AWS_ENDPOINT=").unwrap().to_owned();
    assert!(listens(&endpoint));
    let kill = format!("kill -KILL -{}", holder.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    holder.wait().unwrap();
    soon("the emulator of a killed process is gone", || !listens(&endpoint));
}

/// Protects tests of dead and of hanging regions: kill, restart, pause and resume do what their names say.
#[test]
fn is_killed_restarted_paused_and_resumed() {
    let aws = own_emulator!();
    let (endpoint, account) = (aws.endpoint(), "000000000001");
    create_table(&endpoint, account);

    aws.pause().unwrap();
    let hanging = Request::get(&endpoint, "/_ministack/health").timeout(Duration::from_millis(300));
    assert!(listens(&endpoint), "a region that hangs still accepts connections");
    hanging.send().expect_err("a region that hangs does not answer");
    aws.resume().unwrap();
    assert!(tables(&endpoint, account).contains("cells"), "a pause keeps the state");

    aws.kill().unwrap();
    assert!(!listens(&endpoint));
    aws.pause().expect("pausing a dead emulator does nothing");
    aws.restart().unwrap();
    assert_eq!(aws.endpoint(), endpoint);
    assert!(!tables(&endpoint, account).contains("cells"), "it starts empty");
}

/// Protects an emulator that somebody else runs.
#[test]
fn an_emulator_elsewhere_is_used_and_left_alone() {
    let running = or_skip!(Emulator::shared());
    let aws = Emulator::elsewhere(&running.endpoint()).unwrap();
    assert_eq!(aws.endpoint(), running.endpoint());
    assert!(matches!(aws.kill(), Err(ControlError::NotOurs { .. })));
    drop(aws);
    assert!(listens(&running.endpoint()));

    let nobody = Emulator::elsewhere("http://127.0.0.1:1").unwrap_err();
    assert!(matches!(nobody, StartError::Elsewhere { .. }), "{nobody}");
    assert!(nobody.to_string().contains(ENDPOINT_VARIABLE), "{nobody}");
}

/// Protects the tests of unknown outcomes: after a lost answer the write is there, before it it is not.
#[test]
fn a_write_whose_answer_is_lost_has_taken_effect() {
    let aws = or_skip!(Emulator::shared());
    let account = aws.fresh_account();
    let proxy = Proxy::start(&aws.endpoint()).unwrap();
    let endpoint = proxy.endpoint();
    create_table(&endpoint, &account);
    let put = |key: &str| {
        let body = format!(r#"{{"TableName":"cells","Item":{{"pk":{{"S":"{key}"}}}}}}"#);
        dynamodb(&endpoint, &account, "PutItem", &body)
    };
    let scan = || dynamodb(&endpoint, &account, "Scan", r#"{"TableName":"cells"}"#).unwrap().text();

    proxy.when(Match::operation("PutItem").body("before"), Action::DropBefore);
    put("before").expect_err("the connection is closed");
    assert!(!scan().contains("before"));

    proxy.when(Match::operation("PutItem").region(REGION).body("after"), Action::DropAfter);
    put("after").expect_err("the connection is closed");
    assert!(scan().contains("after"));

    let puts = proxy.log_of(&Match::operation("PutItem").service("dynamodb").region(REGION));
    let seen: Vec<_> = puts.iter().map(|put| (put.fault, put.upstream, put.answered)).collect();
    assert_eq!(seen, [(Some("drop before"), None, None), (Some("drop after"), Some(200), None)]);
}
