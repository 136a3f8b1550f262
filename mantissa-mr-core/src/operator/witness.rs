//! What the loss of the witness costs, said before it happens.

use super::Operator;
use crate::cell::CellDurability;
use crate::deployment::{DeploymentSpec, Provider, RegionSpec, spoken};

impl Operator {
    /// What a person should know of a witness that may not survive the loss of its region: what that costs, and what to
    /// take instead. Nothing for one that is known to survive.
    ///
    /// Some witnesses know only after they were first used whether they survive: until then the warning says so. Ask after
    /// the ledger was read.
    pub fn witness_warning(&self) -> Option<String> {
        warning(&self.backend.cells.durability(), self.deployment.spec())
    }
}

fn warning(witness: &CellDurability, spec: &DeploymentSpec) -> Option<String> {
    let place = &witness.place;
    let begin = match witness.survives_region_loss {
        Some(true) => return None,
        Some(false) => {
            format!("the witness ({place}) does not survive the loss of the place it is in. Without it")
        }
        None => format!(
            "nobody has seen yet whether the witness ({place}) survives the loss of a region. Without a witness"
        ),
    };
    let trust = spoken(spec.policy.gate.trust);
    let mut better: Vec<&str> = Vec::new();
    for provider in [Provider::Aws, Provider::Gcp, Provider::Azure] {
        // Who only tries the library out hears of all.
        let named = |region: &RegionSpec| [provider, Provider::Simulated].contains(&region.provider);
        if spec.regions.iter().any(named) {
            better.extend(survives(provider));
        }
    }
    Some(format!(
        "{begin} every gate shuts within {trust}, and nothing is written and nothing moves until it is back. What \
         survives: {}",
        better.join("; ")
    ))
}

/// What survives the loss of a region on a cloud. Sources: [DynamoDB, multi-Region strong consistency][mrsc];
/// [Cloud Storage, locations][gcs]; [Cosmos DB, consistency levels][cosmos].
///
/// [mrsc]: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/V2globaltables_HowItWorks.html
/// [gcs]: https://cloud.google.com/storage/docs/locations
/// [cosmos]: https://learn.microsoft.com/azure/cosmos-db/consistency-levels
fn survives(provider: Provider) -> Option<&'static str> {
    match provider {
        Provider::Aws => Some("on AWS, a DynamoDB table with multi-Region strong consistency (MRSC)"),
        Provider::Gcp => Some("on Google Cloud, a multi-region or dual-region bucket"),
        Provider::Azure => Some("on Azure, Cosmos DB with strong consistency in three regions"),
        Provider::Simulated => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deployment::Strategy;
    use crate::fixture::Fixture;

    fn said(survives: Option<bool>, provider: Provider) -> Option<String> {
        let mut spec = Fixture::new(Strategy::ActivePassive).spec;
        spec.regions.iter_mut().for_each(|region| region.provider = provider);
        warning(&CellDurability { place: "a table in b".into(), survives_region_loss: survives }, &spec)
    }

    #[test]
    fn who_survives_is_not_warned_of() {
        assert_eq!(said(Some(true), Provider::Aws), None);
    }

    #[test]
    fn a_witness_that_does_not_survive_is_warned_of_with_what_does_on_that_cloud() {
        let words = said(Some(false), Provider::Aws).unwrap();
        assert!(words.contains("(a table in b) does not survive"), "{words}");
        assert!(words.contains("every gate shuts within 15s, and nothing is written"), "{words}");
        assert!(words.contains("(MRSC)") && !words.contains("bucket"), "{words}");
        assert!(said(Some(false), Provider::Gcp).unwrap().contains("dual-region bucket"));
        assert!(said(Some(false), Provider::Azure).unwrap().contains("strong consistency in three regions"));
        let all = said(Some(false), Provider::Simulated).unwrap();
        assert!(["MRSC", "bucket", "Cosmos"].iter().all(|word| all.contains(word)), "{all}");
    }

    #[test]
    fn unknown_is_not_yes() {
        let words = said(None, Provider::Aws).unwrap();
        assert!(words.contains("nobody has seen yet whether") && words.contains("(MRSC)"), "{words}");
    }
}
