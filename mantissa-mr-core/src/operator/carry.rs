//! Acting: a person's mandate carried out to its end, and controllers that run until they are told to stop.

use std::future::Future;

use super::Operator;
use crate::call::{Input, Machine};
use crate::controller::{Controller, ControllerSettings, Ending, Mandate, News};
use crate::drive::Driver;
use crate::error::Result;
use crate::name::{ActorId, GroupName, Region, VantageName};

/// Where a controller runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The vantage that it watches from; none watches nothing.
    pub vantage: Option<VantageName>,
    /// The region that it runs in; none for the witness's site or an operator's machine.
    pub local_region: Option<Region>,
}

impl Operator {
    /// Carries out a person's mandate to its end. `watch` is told what happens; when `stop` resolves (Ctrl-C), the
    /// execution is paused in good order. `None` if it resolved while somebody else still held the lease: nothing was
    /// begun.
    ///
    /// # Errors
    /// The controller cannot be started: see [`Controller::new`].
    pub async fn carry_out(
        &self,
        group: &GroupName,
        mandate: Mandate,
        mut watch: impl FnMut(&[News], &Controller),
        stop: impl Future<Output = ()>,
    ) -> Result<Option<Ending>> {
        let mut controller = Controller::new(self.settings(group, mandate, Place::default()))?;
        let mut driver = Driver::new(self.backend.clone(), self.clock.clone());
        let mut stop = std::pin::pin!(stop);
        let mut stopping = false;
        let mut input = Input::Wake;
        loop {
            let outputs = controller.step(self.clock.now(), input);
            driver.carry_out(outputs);
            let news = controller.take_news();
            watch(&news, &controller);
            if let Some(ending) = controller.ending() {
                return Ok(Some(ending.clone()));
            }
            input = tokio::select! {
                biased;
                () = &mut stop, if !stopping => {
                    stopping = true;
                    if !controller.can_pause() {
                        return Ok(None);
                    }
                    let outputs = controller.pause(self.clock.now(), "interrupted at the keyboard");
                    driver.carry_out(outputs);
                    Input::Wake
                }
                input = driver.next() => input,
            };
        }
    }

    /// Runs a controller until `stop` resolves: it watches from its place, and acts as far as the policy allows. What is
    /// under way then is finished by whoever takes the lease over after it.
    ///
    /// # Errors
    /// The controller cannot be started: see [`Controller::new`].
    pub async fn control(
        &self,
        group: &GroupName,
        place: Place,
        mut watch: impl FnMut(&[News], &Controller),
        stop: impl Future<Output = ()>,
    ) -> Result<()> {
        let mut controller = Controller::new(self.settings(group, Mandate::Watch, place))?;
        let mut driver = Driver::new(self.backend.clone(), self.clock.clone());
        let mut stop = std::pin::pin!(stop);
        let mut input = Input::Wake;
        loop {
            let outputs = controller.step(self.clock.now(), input);
            driver.carry_out(outputs);
            let news = controller.take_news();
            watch(&news, &controller);
            input = tokio::select! {
                biased;
                () = &mut stop => return Ok(()),
                input = driver.next() => input,
            };
        }
    }

    fn settings(&self, group: &GroupName, mandate: Mandate, place: Place) -> ControllerSettings {
        ControllerSettings {
            deployment: self.deployment.clone(),
            group: group.clone(),
            actor: self.actor.clone(),
            vantage: place.vantage,
            local_region: place.local_region,
            mandate,
            catalog: self.backend.catalog(),
            seed: seed_of(&self.actor),
        }
    }
}

/// A number that differs from process to process, for the jitter of retries.
fn seed_of(actor: &ActorId) -> u64 {
    actor
        .as_str()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}
