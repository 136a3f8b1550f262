use std::net::TcpListener;

use aws_config::SdkConfig;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::future::ProvideCredentials as ProvideCredentialsFuture;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use mantissa_mr_core::cell::Expected;
use mantissa_mr_core::error::{Effect, Error, ErrorKind};
use test_support::{Action, Emulator, Match, or_skip};

use crate::world::{SECRET, WITNESS, World, cell, deployment, parse, region};

/// The error of storing a cell in a ledger behind this configuration.
async fn refused(config: &SdkConfig, deployment: &str) -> Error {
    let connected = mantissa_mr_aws::connect(&parse(deployment), config).await.unwrap();
    connected.cells.store(&cell("x"), &Expected::Absent, b"the-content").await.unwrap_err()
}

/// Protects the person who reads it: what the service refused is told by kind and with what to do, without effect.
#[tokio::test]
async fn refusals_of_the_service_are_told_apart() {
    let emulator = or_skip!(Emulator::shared());
    let world = World::new(emulator);
    for (code, kind, advice) in [
        ("AccessDeniedException", ErrorKind::PermissionDenied, "lack the permission"),
        ("ExpiredTokenException", ErrorKind::PermissionDenied, "renew them"),
        ("RequestTimeTooSkewed", ErrorKind::PermissionDenied, "clock"),
        ("InvalidSignatureException", ErrorKind::PermissionDenied, "clock"),
        ("UnrecognizedClientException", ErrorKind::PermissionDenied, "does not know"),
        ("ThrottlingException", ErrorKind::Throttled, ""),
        ("ValidationException", ErrorKind::InvalidInput, ""),
    ] {
        let body = format!(r#"{{"__type":"com.amazon.coral.service#{code}","message":"as it says"}}"#);
        let rule = world.proxy.when(Match::any(), Action::answer(400, body));
        let error = refused(&world.config(), &deployment("")).await;
        world.proxy.remove(rule);
        assert_eq!((error.kind(), error.effect()), (kind, Effect::None), "{code}: {error}");
        assert!(
            error.message().contains("as it says") && error.advice().unwrap_or_default().contains(advice)
        );
        assert_eq!((error.region(), error.operation()), (Some(&region(WITNESS)), "DescribeTable"));
    }
}

/// Protects the ledger from doubt where there is none: a port that nobody listens on has been sent nothing.
#[tokio::test]
async fn a_region_that_refuses_connections_has_received_nothing() {
    let emulator = or_skip!(Emulator::shared());
    let world = World::new(emulator);
    let connected = world.connect(&deployment("")).await;
    connected.init(false).await.unwrap();
    connected.cells.load(&cell("x")).await.unwrap();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = refused(&world.config_at(&format!("http://{nobody}")), &deployment("")).await;
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Unavailable, Effect::None), "{error}");
    assert!(error.message().starts_with("no connection: "), "{error}");
}

/// Protects callers from a frozen region: nothing waits longer than the deployment's deadline.
#[tokio::test]
async fn a_silent_region_is_given_up_after_the_call_deadline() {
    let emulator = or_skip!(Emulator::shared());
    let world = World::new(emulator);
    world.connect(&deployment("")).await.init(false).await.unwrap();
    let hasty = deployment("").replace("\"60s\"", "\"500ms\"");
    let connected = world.connect(&hasty).await;
    world.proxy.black_hole(WITNESS);
    let error = connected.cells.load(&cell("x")).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.effect()),
        (ErrorKind::Timeout, Effect::None),
        "a read has no effect: {error}"
    );
}

/// Has no credentials, as on a machine that nobody set up, or with a token service that is down.
#[derive(Debug)]
struct Nobody {
    set_up: bool,
}

impl ProvideCredentials for Nobody {
    fn provide_credentials<'a>(&'a self) -> ProvideCredentialsFuture<'a>
    where
        Self: 'a,
    {
        let missing = CredentialsError::not_loaded("no profile and no role");
        let down = CredentialsError::provider_error("the token service is down");
        ProvideCredentialsFuture::ready(Err(if self.set_up { down } else { missing }))
    }
}

/// Protects against a loop of retries where nothing but a person helps.
#[tokio::test]
async fn missing_credentials_are_told_and_not_retried() {
    let emulator = or_skip!(Emulator::shared());
    let world = World::new(emulator);
    let with = |nobody| {
        let mut config = world.config().to_builder();
        config.set_credentials_provider(Some(SharedCredentialsProvider::new(nobody)));
        config.build()
    };
    let error = refused(&with(Nobody { set_up: true }), &deployment("")).await;
    assert_eq!(
        (error.kind(), error.effect()),
        (ErrorKind::Unavailable, Effect::None),
        "it may come back: {error:#}"
    );
    let error = refused(&with(Nobody { set_up: false }), &deployment("")).await;
    assert_eq!((error.kind(), error.effect()), (ErrorKind::PermissionDenied, Effect::None), "{error:#}");
    assert!(error.to_string().contains("no profile and no role") && !error.can_retry(), "{error}");
    assert_eq!(world.asked(&Match::any()), 0);

    let mut config = world.config().to_builder();
    config.set_credentials_provider(None);
    let problems = mantissa_mr_aws::connect(&parse(&deployment("")), &config.build()).await.unwrap_err();
    assert!(problems.to_string().contains("no credentials provider"), "{problems}");
}

/// Protects secrets: neither the credentials nor what is stored is in any error's text.
#[tokio::test]
async fn no_error_tells_a_secret() {
    let emulator = or_skip!(Emulator::shared());
    let world = World::new(emulator);
    let connected = world.connect(&deployment("")).await;
    connected.init(false).await.unwrap();
    let garbage = Action::answer(200, "{ this is no JSON: the-content");
    for fault in [garbage, Action::answer(500, "the-content"), Action::answer(403, "<a>the-content</a>")] {
        let rule = world.proxy.when(Match::operation("PutItem"), fault);
        let outcome = connected.cells.store(&cell("x"), &Expected::Absent, b"the-content").await;
        world.proxy.remove(rule);
        let text = format!("{outcome:?}");
        assert!(!text.contains("the-content") && !text.contains(SECRET), "{text}");
    }
}
