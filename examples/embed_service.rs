//! A service that embeds the library: it asks its gate before each write, and acknowledges only what the gate lets it.
//! The regions are simulated, so it runs without an account: `cargo run --example embed_service`.
use std::sync::Arc;
use std::time::Duration;

use mantissa_mr_core::clock::SystemClock;
use mantissa_mr_core::deployment::Strategy;
use mantissa_mr_core::gate::WriteError;
use mantissa_mr_core::multi_region::MultiRegion;
use mantissa_mr_core::name::{ActorId, Region, ResourceName};
use mantissa_mr_core::operator::Operator;
use mantissa_mr_core::sim::adapters::SharedWorld;
use mantissa_mr_core::sim::{Climate, World, deployment};
use mantissa_mr_core::store::{Key, Precondition, PutItem};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // In production: Deployment::load(["prod-multi-region.tfvars", "overlay.toml"])? and the cloud crate's connect.
    let deployment = deployment(2, Strategy::ActivePassive)?;
    let world = SharedWorld::new(World::new(&deployment, 1, Climate::CALM)?);
    let (backend, clock) = (world.backend(), Arc::new(SystemClock));
    let person = ActorId::new("operator")?;
    Operator::new(Arc::new(deployment.clone()), backend.clone(), clock, person)?.init(false).await?;

    let [east, west] = [Region::new("east")?, Region::new("west")?];
    let start = |region: &Region| {
        let service = MultiRegion::builder(deployment.clone()).backend(backend.clone());
        service.local_region(region.clone()).start()
    };
    let (serving, standing_by) = (start(&east).await?, start(&west).await?);
    let gate = serving.gate().ok_or("no gate")?;
    gate.opened().await?;
    println!("the gate of {east} is open, epoch {}", gate.permit()?.epoch());

    let store = &backend.stores[&ResourceName::new("logs-state")?];
    for number in 1..=3 {
        let key = Key::new(format!("order-{number}"));
        let item = |epoch| PutItem { key: key.clone(), value: b"paid".to_vec(), epoch: Some(epoch) };
        match gate.write(|epoch| store.put(&east, item(epoch), Precondition::None)).await {
            Ok(_) => println!("{key}: acknowledged"),
            Err(WriteError::Shut(shut)) => {
                println!("{key}: refused, served now by {:?}", shut.active_regions())
            }
            Err(WriteError::Failed(error)) => println!("{key}: {error}"),
            Err(WriteError::Unknown(why)) => println!("{key}: {why}"),
        }
    }
    let other = standing_by.gate().ok_or("no gate")?;
    while let Err(shut) = other.permit() {
        if let Some(active) = shut.active_regions().first() {
            println!("the gate of {west}: {}; served now by {active}", shut.reason());
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    serving.shutdown(Duration::from_secs(1)).await;
    standing_by.shutdown(Duration::from_secs(1)).await;
    Ok(())
}
