use std::sync::Arc;

use aws_sdk_lambda::Client;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::{FunctionCode, Runtime};
use mantissa_mr_core::compute::{Capacity, ComputeScaler, Target};
use mantissa_mr_core::deployment::Share;
use mantissa_mr_core::error::{Effect, ErrorKind};
use mantissa_mr_core::ledger::Epoch;
use test_support::{Action, Emulator, Match, or_skip};

use crate::world::{WEST, World, deployment, region, resource};

const GROUP: &str = r#"
[[groups.scalers]]
name = "detection"
kind = "lambda"
settings = { functions = ["engine", { name = "router", full = 2 }], full = 10, memory = 1024, keep-unreserved = 20 }
"#;

/// The smallest archive: the end of an empty one.
const ZIP: [u8; 22] = [0x50, 0x4b, 5, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

async fn functions(world: &World) -> Client {
    create(world, WEST, &["engine", "router"]).await
}

/// Creates functions as the product's Terraform would.
pub(crate) async fn create(world: &World, region: &str, names: &[&str]) -> Client {
    let lambda = Client::new(&world.aside(region));
    for name in names {
        let role = format!("arn:aws:iam::{}:role/r", world.account);
        let request = lambda.create_function().function_name(*name).runtime(Runtime::Python312).role(role);
        let code = FunctionCode::builder().zip_file(Blob::new(ZIP)).build();
        request.handler("h.h").memory_size(256).code(code).send().await.unwrap();
    }
    lambda
}

fn changes() -> [Match; 2] {
    [Match::any().path("PUT /2017-10-31/functions/"), Match::any().path("PUT /2015-03-31/functions/")]
}

fn changed(world: &World) -> Vec<usize> {
    changes().iter().map(|matched| world.asked(matched)).collect()
}

/// What can be reserved together: the emulator's limit depends on the machine.
async fn limit(lambda: &Client) -> u64 {
    let limit = lambda.get_account_settings().send().await.unwrap().account_limit.unwrap();
    u64::try_from(limit.unreserved_concurrent_executions.unwrap()).unwrap() - 20
}

/// Waits until the functions are no longer being changed.
async fn settled(scaler: &Arc<dyn ComputeScaler>) -> Capacity {
    loop {
        let capacity = scaler.capacity(&region(WEST)).await.unwrap();
        if capacity.ready == capacity.requested {
            return capacity;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

fn capacity(amount: u64, limit: u64) -> Capacity {
    let unit = "reserved concurrent executions".to_owned();
    Capacity { ready: amount, requested: amount, full: 12, limit: Some(limit), unit }
}

/// Protects the move's capacity: what is asked for is there, in every function, and a second call changes nothing.
#[tokio::test]
async fn a_region_is_scaled_up_and_down_and_only_what_differs_is_changed() {
    let emulator = or_skip!(Emulator::shared());
    let world = World::new(emulator);
    let lambda = functions(&world).await;
    let scaler = world.connect(&deployment(GROUP)).await.scalers[&resource("detection")].clone();
    let west = region(WEST);
    let limit = limit(&lambda).await;
    assert_eq!(scaler.capacity(&west).await.unwrap(), capacity(0, limit));

    scaler.scale(&west, Target::Share(Share::FULL), Epoch(1)).await.unwrap();
    assert_eq!(settled(&scaler).await, capacity(12, limit));
    assert_eq!(changed(&world), [2, 2]);
    for (name, reserved) in [("engine", 10), ("router", 2)] {
        let now = lambda.get_function_concurrency().function_name(name).send().await.unwrap();
        assert_eq!(now.reserved_concurrent_executions, Some(reserved));
        let now = lambda.get_function_configuration().function_name(name).send().await.unwrap();
        assert_eq!(now.memory_size, Some(1024));
    }
    scaler.scale(&west, Target::Share(Share::FULL), Epoch(1)).await.unwrap();
    assert_eq!(changed(&world), [2, 2], "what is there is not asked for again");

    scaler.scale(&west, Target::Share(Share::TENTH), Epoch(2)).await.unwrap();
    assert_eq!(settled(&scaler).await, capacity(2, limit));
    assert_eq!(changed(&world), [4, 2], "memory is not lowered");
}

/// Protects the other functions of the account: what would leave less than the floor is refused whole.
#[tokio::test]
async fn a_target_beyond_the_quota_changes_nothing() {
    let emulator = or_skip!(Emulator::shared());
    let world = World::new(emulator);
    let limit = limit(&functions(&world).await).await;
    let scaler = world.connect(&deployment(GROUP)).await.scalers[&resource("detection")].clone();
    let error = scaler.scale(&region(WEST), Target::Units(limit + 1), Epoch(1)).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Quota, Effect::None));
    assert!(
        error.to_string().contains(&format!("the account can give {limit} (20 stay unreserved)")),
        "{error}"
    );
    assert_eq!(changed(&world), [0, 0]);
    scaler.scale(&region(WEST), Target::Units(limit), Epoch(1)).await.unwrap();
}

/// Protects against a quota that is met only at the call: the service's own refusal has the same kind.
#[tokio::test]
async fn the_services_own_refusal_is_a_quota_too() {
    let emulator = or_skip!(Emulator::shared());
    let world = World::new(emulator);
    functions(&world).await;
    let scaler = world.connect(&deployment(GROUP)).await.scalers[&resource("detection")].clone();
    let body = r#"{"__type":"InvalidParameterValueException","message":"Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of [100]."}"#;
    world
        .proxy
        .when(Match::any().path("PUT /2017-10-31/functions/router/concurrency"), Action::answer(400, body));
    let error = scaler.scale(&region(WEST), Target::Share(Share::FULL), Epoch(1)).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Quota, Effect::Unknown), "{error}");
    world.proxy.heal();
    settled(&scaler).await;
    scaler.scale(&region(WEST), Target::Share(Share::FULL), Epoch(1)).await.unwrap();
    assert_eq!(settled(&scaler).await.ready, 12);
}

/// Protects the resumed move: after a lost answer the same call finishes the rest and repeats nothing.
#[tokio::test]
async fn a_lost_answer_is_unknown_and_the_repeated_call_does_only_the_rest() {
    let emulator = or_skip!(Emulator::shared());
    let world = World::new(emulator);
    functions(&world).await;
    let scaler = world.connect(&deployment(GROUP)).await.scalers[&resource("detection")].clone();
    let engine = Match::any().path("PUT /2017-10-31/functions/engine/concurrency");
    world.proxy.when(engine.clone(), Action::DropAfter);
    let error = scaler.scale(&region(WEST), Target::Share(Share::FULL), Epoch(1)).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Unavailable, Effect::Unknown), "{error}");
    world.proxy.heal();
    settled(&scaler).await;
    scaler.scale(&region(WEST), Target::Share(Share::FULL), Epoch(1)).await.unwrap();
    assert_eq!(world.asked(&engine), 1, "it had landed, and is not sent again");
    assert_eq!(settled(&scaler).await.ready, 12);
}

/// Protects a plan against functions that are not there.
#[tokio::test]
async fn a_function_that_is_not_there_is_named() {
    let emulator = or_skip!(Emulator::shared());
    let world = World::new(emulator);
    let scaler = world.connect(&deployment(GROUP)).await.scalers[&resource("detection")].clone();
    let error = scaler.capacity(&region(WEST)).await.unwrap_err();
    assert_eq!((error.kind(), error.region()), (ErrorKind::NotFound, Some(&region(WEST))));
    assert!(["engine", "router"].contains(&error.resource().unwrap()), "{error}");
}
