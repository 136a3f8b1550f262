//! What can go wrong in a simulated world, and be mended again.

use jiff::SignedDuration;
use std::time::Duration;

use super::heap::ProcessId;
use super::network::Weather;
use super::place::Place;
use crate::check::Fitness;
use crate::name::{Region, ResourceName};
use crate::notify::HookPoint;
use crate::traffic::Weights;

/// How a region is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RegionState {
    /// It works.
    Up,
    /// It works, slowly.
    Degraded,
    /// It answers nobody: messages to it are swallowed. What had not left it stays in it.
    Dark,
    /// It answers every request with a failure, and does nothing.
    Failing,
    /// It is back, and brings its data up to date.
    Returning,
}

impl RegionState {
    /// Whether it does what it is asked.
    pub fn works(self) -> bool {
        !matches!(self, Self::Dark | Self::Failing)
    }
}

/// A change of the world that nobody asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are named after what they hold")]
pub enum Fault {
    /// A region dies, suffers or comes back. Processes in it are frozen while it does not work; see
    /// [`Crash`](Self::Crash) for those that lose their memory too.
    Region { region: Region, state: RegionState },
    /// Checks see a region as this, whatever it is; none ends it.
    Looks { region: Region, fitness: Option<Fitness> },
    /// Checks see a region as fit and unfit in turns of this length; zero ends it.
    Flap { region: Region, turn: Duration },
    /// The witness answers nobody, or does again.
    Witness { up: bool },
    /// No message passes from one place to another.
    Cut { from: Place, to: Place },
    /// One such cut is mended.
    Mend { from: Place, to: Place },
    /// Messages travel differently from now on.
    Weather { weather: Weather },
    /// A store's replication stands still, or goes on.
    Replication { store: ResourceName, runs: bool },
    /// Somebody else changes the routing.
    ForeignShift { router: ResourceName, weights: Weights },
    /// A router's control plane is down, or up again.
    ControlPlane { router: ResourceName, up: bool },
    /// A region's quota changes.
    Quota { scaler: ResourceName, region: Region, quota: u64 },
    /// A region has no more than this to give, whatever it accepts.
    Stock { scaler: ResourceName, region: Region, stock: u64 },
    /// Hooks veto at this point from now on; no reason ends it.
    Veto { point: HookPoint, reason: Option<String> },
    /// A process loses its memory and begins again after a while; never, without one.
    Crash { process: ProcessId, back_after: Option<Duration> },
    /// A process stands still; its clock runs on.
    Suspend { process: ProcessId },
    /// It goes on.
    Resume { process: ProcessId },
    /// A process's own clock runs at another rate from now on.
    ClockRate { process: ProcessId, ppm: i32 },
    /// A process's wall clock is set wrong by this much.
    WallClock { process: ProcessId, error: SignedDuration },
    /// Everything is mended: from here on the world must come to rest.
    Heal,
}
