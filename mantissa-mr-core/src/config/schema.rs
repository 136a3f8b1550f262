//! What may stand in an overlay: the keys, what each takes, and what must not be missing. One table, which a test
//! compares with what serde knows.

use crate::name::{DeploymentName, FailureDomain, GroupName, Region, ResourceName, VantageName};

use super::tree::{Node, Value};

/// A key of a table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    pub(super) key: &'static str,
    pub(super) shape: Shape,
    pub(super) need: Need,
}

/// Whether a key may be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    Optional,
    /// No; what to write to add it.
    Required(&'static str),
}

/// What stands at a key.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    Leaf(Leaf),
    Table(&'static [Field]),
    /// A word, or a table in its place.
    LeafOrTable(Leaf, &'static [Field]),
    /// A list of tables that lists know by their `name`.
    Named(&'static [Field]),
    /// A backend's own keys and values.
    Settings,
    /// Settings by region.
    RegionSettings,
}

/// One value.
#[derive(Clone, Copy, Debug)]
pub(super) enum Leaf {
    /// A text that this makes something of.
    Text { what: &'static str, accepts: fn(&str) -> Result<(), String> },
    /// One of these words.
    Word(&'static [&'static str]),
    /// A time such as `90s`.
    Duration,
    /// True or false.
    Flag,
    /// A whole number from zero.
    Whole { most: u32 },
    /// A share of full capacity.
    Share,
}

impl Leaf {
    /// What is wrong with a value, and how to mend it.
    pub(super) fn refuses(&self, node: &Node) -> Option<(String, Option<String>)> {
        let is_not = |what: &str| Some((format!("{} is not {what}", node.shown()), None));
        match (self, &node.value) {
            (Self::Text { accepts, .. }, Value::Text(text)) => accepts(text).err().map(|why| (why, None)),
            (Self::Text { what, .. }, _) => is_not(what),
            (Self::Word(words), value) => match value {
                Value::Text(text) if words.contains(&text.as_str()) => None,
                Value::Text(text) => {
                    let meant = super::nearest::nearest(text, words.iter().copied(), 3);
                    let advice = meant.map(|meant| format!("did you mean `{meant}`?"));
                    Some((format!("{} is none of {}", node.shown(), in_words(words)), advice))
                }
                _ => is_not(&format!("one of {}", in_words(words))),
            },
            (Self::Duration, Value::Text(text)) if reads_as_duration(text) => None,
            (Self::Duration, Value::Text(text)) if reads_as_duration(text.trim_start_matches(['-', ' '])) => {
                Some((format!("{} is less than nothing", node.shown()), None))
            }
            (Self::Duration, _) => {
                let advice = "write it in hours, minutes and seconds, such as `90s`, `15m` or `1h 30m`";
                Some((format!("{} is not a duration", node.shown()), Some(advice.into())))
            }
            (Self::Flag, Value::Flag(_)) => None,
            (Self::Flag, _) => is_not("`true` or `false`"),
            (Self::Whole { most }, Value::Integer(number)) if (0..=i64::from(*most)).contains(number) => None,
            (Self::Whole { most }, _) => is_not(&format!("a whole number from 0 to {most}")),
            (Self::Share, Value::Integer(0 | 1)) => None,
            (Self::Share, Value::Float(number)) if (0.0..=1.0).contains(number) => None,
            (Self::Share, _) => is_not("a share: it must lie between 0.0 and 1.0"),
        }
    }

    /// What the value must be, for a message that must not show the value itself.
    pub(super) fn what(&self) -> String {
        match self {
            Self::Text { what, .. } => (*what).into(),
            Self::Word(words) => format!("one of {}", in_words(words)),
            Self::Duration => "a duration".into(),
            Self::Flag => "`true` or `false`".into(),
            Self::Whole { most } => format!("a whole number from 0 to {most}"),
            Self::Share => "a share between 0.0 and 1.0".into(),
        }
    }
}

fn in_words(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

fn reads_as_duration(text: &str) -> bool {
    let text = serde::de::value::StrDeserializer::<serde::de::value::Error>::new(text);
    crate::deployment::friendly::deserialize(text).is_ok()
}

fn reads<T: for<'t> TryFrom<&'t str, Error = crate::name::InvalidName>>(text: &str) -> Result<(), String> {
    T::try_from(text).map(drop).map_err(|error| error.to_string())
}

const fn name<T: for<'t> TryFrom<&'t str, Error = crate::name::InvalidName>>() -> Shape {
    Shape::Leaf(Leaf::Text { what: "a name", accepts: reads::<T> })
}

const TEXT: Shape = Shape::Leaf(Leaf::Text { what: "a text", accepts: |_| Ok(()) });
const DURATION: Shape = Shape::Leaf(Leaf::Duration);
const FLAG: Shape = Shape::Leaf(Leaf::Flag);
const COUNT: Shape = Shape::Leaf(Leaf::Whole { most: u32::MAX });
pub(super) const STRATEGY: Leaf = Leaf::Word(&["active-passive", "active-active"]);
pub(super) const PROVIDER: Leaf = Leaf::Word(&["aws", "azure", "gcp", "simulated"]);
pub(super) const REGION_NAME: Leaf = Leaf::Text { what: "a region's name", accepts: reads::<Region> };

const fn required(key: &'static str, shape: Shape, example: &'static str) -> Field {
    Field { key, shape, need: Need::Required(example) }
}

const fn optional(key: &'static str, shape: Shape) -> Field {
    Field { key, shape, need: Need::Optional }
}

/// The overlay: a deployment, and the provider of the regions that do not name theirs.
pub(super) const DEPLOYMENT: &[Field] = &[
    required(
        "name",
        name::<DeploymentName>(),
        "name = \"mantissa-log-prod\", or to the tfvars: project and environment",
    ),
    required(
        "strategy",
        Shape::Leaf(STRATEGY),
        "strategy = \"active-passive\", or to the tfvars: failover_strategy",
    ),
    required("preferred", name::<Region>(), "preferred = \"us-east-1\", or to the tfvars: primary_region"),
    required(
        "regions",
        Shape::Named(REGION),
        "regions = [{ name = \"us-east-1\", provider = \"aws\" }, ...], or to the tfvars: primary_region and \
         secondary_region",
    ),
    required("witness", Shape::Table(WITNESS), "[witness] kind = \"dynamodb\", region = \"us-east-2\""),
    optional("vantages", Shape::Named(VANTAGE)),
    optional("policy", Shape::Table(POLICY)),
    required("groups", Shape::Named(GROUP), "[[groups]] name = \"detection\", tier = \"important\""),
    optional("provider", Shape::Leaf(PROVIDER)),
];

pub(super) const REGION: &[Field] = &[
    required("name", name::<Region>(), "name = \"us-east-1\""),
    required("provider", Shape::Leaf(PROVIDER), "provider = \"aws\", here or once at the top of the overlay"),
];

pub(super) const WITNESS: &[Field] = &[
    required("kind", TEXT, "kind = \"dynamodb\""),
    optional("region", name::<Region>()),
    optional("settings", Shape::Settings),
];

pub(super) const VANTAGE: &[Field] = &[
    required("name", name::<VantageName>(), "name = \"office\""),
    required("failure-domain", name::<FailureDomain>(), "failure-domain = \"office\""),
];

pub(super) const POLICY: &[Field] = &[
    optional("gate", Shape::Table(GATE)),
    optional("detection", Shape::Table(DETECTION)),
    optional("automatic", Shape::Leaf(AUTOMATIC)),
    optional("automatic-failback", FLAG),
    optional("timing", Shape::Table(TIMING)),
    optional("velocity", Shape::Table(VELOCITY)),
    optional("standby", Shape::Leaf(Leaf::Share)),
];

pub(super) const AUTOMATIC: Leaf = Leaf::Word(&["off", "propose", "on"]);

pub(super) const GATE: &[Field] = &[
    optional("trust", DURATION),
    optional("write-deadline", DURATION),
    optional("rate-margin", Shape::Table(RATE_MARGIN)),
];

pub(super) const RATE_MARGIN: &[Field] = &[required("ppm", COUNT, "ppm = 20000")];

pub(super) const DETECTION: &[Field] = &[
    optional("interval", DURATION),
    optional("probe-deadline", DURATION),
    optional("failures", COUNT),
    optional("recoveries", COUNT),
];

pub(super) const TIMING: &[Field] = &[
    optional("lease", DURATION),
    optional("beat", DURATION),
    optional("observe", DURATION),
    optional("reconcile", DURATION),
    optional("call-deadline", DURATION),
    optional("fence-deadline", DURATION),
    optional("cool-down", DURATION),
    optional("failback-after", DURATION),
    optional("approval", DURATION),
];

pub(super) const VELOCITY: &[Field] = &[optional("moves", COUNT), optional("window", DURATION)];

pub(super) const GROUP: &[Field] = &[
    required("name", name::<GroupName>(), "name = \"detection\""),
    required(
        "tier",
        Shape::LeafOrTable(TIER_NAME, TIER),
        "tier = \"critical\", \"important\" or \"standard\"",
    ),
    optional("writers", Shape::Leaf(WRITERS)),
    optional("stores", Shape::Named(RESOURCE)),
    optional("routers", Shape::Named(RESOURCE)),
    optional("scalers", Shape::Named(RESOURCE)),
    optional("checks", Shape::Named(RESOURCE)),
];

pub(super) const WRITERS: Leaf = Leaf::Word(&["gated", "ungated"]);

pub(super) const TIER_NAME: Leaf = Leaf::Word(&["critical", "important", "standard"]);

pub(super) const TIER: &[Field] = &[
    required("order", Shape::Leaf(Leaf::Whole { most: u8::MAX as u32 }), "order = 2"),
    required("rpo", DURATION, "rpo = \"15m\""),
    required("rto", DURATION, "rto = \"1h\""),
    required("strategy", Shape::Leaf(STRATEGY), "strategy = \"active-passive\""),
    required("hold", DURATION, "hold = \"1m\""),
];

pub(super) const RESOURCE: &[Field] = &[
    required("name", name::<ResourceName>(), "name = \"state\""),
    required("kind", TEXT, "kind = \"dynamodb-global-table\""),
    optional("failover-unit", TEXT),
    optional("settings", Shape::Settings),
    optional("regions", Shape::RegionSettings),
];
