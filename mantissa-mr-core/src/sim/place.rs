//! The places of a simulated world.

use std::fmt;

use crate::name::Region;

/// Where something is. Messages travel between places; within one they hardly need time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// A region of the deployment.
    Region(Region),
    /// The third failure domain, which holds the cells.
    Witness,
    /// Where people are.
    Operator,
    /// The rest of the internet: the clients, and the name servers that answer them.
    Edge,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Region(region) => region.fmt(f),
            Self::Witness => f.pad("witness"),
            Self::Operator => f.pad("operator"),
            Self::Edge => f.pad("edge"),
        }
    }
}

/// The number of a place: regions first, in the deployment's order, then witness, operator, edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct At(pub(crate) usize);

/// All places of a world, by number.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    all: Vec<Place>,
}

impl Places {
    pub(crate) fn new<'a>(regions: impl Iterator<Item = &'a Region>) -> Self {
        let regions = regions.cloned().map(Place::Region);
        Self { all: regions.chain([Place::Witness, Place::Operator, Place::Edge]).collect() }
    }

    pub(crate) fn count(&self) -> usize {
        self.all.len()
    }

    /// How many regions there are; their numbers are below it.
    pub(crate) fn regions(&self) -> usize {
        self.all.len() - 3
    }

    pub(crate) fn witness(&self) -> At {
        At(self.regions())
    }

    pub(crate) fn operator(&self) -> At {
        At(self.regions() + 1)
    }

    pub(crate) fn edge(&self) -> At {
        At(self.regions() + 2)
    }

    /// The number of a place; a region that the world does not have is none.
    pub(crate) fn find(&self, place: &Place) -> Option<At> {
        self.all.iter().position(|other| other == place).map(At)
    }

    /// The number of a region.
    pub(crate) fn region(&self, region: &Region) -> Option<usize> {
        self.all.iter().position(|other| matches!(other, Place::Region(name) if name == region))
    }

    /// The name of a region.
    pub(crate) fn region_name(&self, number: usize) -> Option<&Region> {
        match self.all.get(number) {
            Some(Place::Region(region)) => Some(region),
            _ => None,
        }
    }
}
