use std::collections::BTreeSet;
use std::path::Path;

use proptest::prelude::*;
use proptest::strategy::Strategy as _;
use serde::de::DeserializeOwned;

use super::schema::{self, Field, Leaf, Need};
use super::tree::{At, Entry, Node, Table, Value, locate, merge};
use super::*;
use crate::deployment::{
    Automatic, DeploymentSpec, DetectionPolicy, GateTerms, GroupSpec, Policy, Provider, RegionSpec,
    ResourceSpec, Strategy, Tier, TierChoice, Timing, VantageSpec, Velocity, WitnessSpec, Writers,
};

/// The words between backquotes in serde's message about a word that it does not know, but for that word.
fn words_of_serde<T: DeserializeOwned>(text: &str) -> BTreeSet<String> {
    let error =
        toml::from_str::<T>(text).err().expect("serde takes what it cannot know").message().to_owned();
    assert!(error.starts_with("unknown "), "{error}");
    let quoted = error.split('`').skip(1).step_by(2);
    quoted.map(str::to_owned).filter(|word| word != "no-such-word").collect()
}

fn same_keys<T: DeserializeOwned>(fields: &[Field], only_here: &[&str]) {
    let known: BTreeSet<String> = fields
        .iter()
        .map(|field| field.key.to_owned())
        .filter(|key| !only_here.contains(&key.as_str()))
        .collect();
    let known_to_serde = words_of_serde::<T>("no-such-word = 1");
    assert_eq!(known, known_to_serde, "{}", std::any::type_name::<T>());
}

#[test]
fn the_schema_knows_the_keys_that_serde_knows_and_no_others() {
    same_keys::<DeploymentSpec>(schema::DEPLOYMENT, &["provider"]);
    same_keys::<RegionSpec>(schema::REGION, &[]);
    same_keys::<WitnessSpec>(schema::WITNESS, &[]);
    same_keys::<VantageSpec>(schema::VANTAGE, &[]);
    same_keys::<Policy>(schema::POLICY, &[]);
    same_keys::<GateTerms>(schema::GATE, &[]);
    same_keys::<DetectionPolicy>(schema::DETECTION, &[]);
    same_keys::<Timing>(schema::TIMING, &[]);
    same_keys::<Velocity>(schema::VELOCITY, &[]);
    same_keys::<GroupSpec>(schema::GROUP, &[]);
    same_keys::<ResourceSpec>(schema::RESOURCE, &[]);
    same_keys::<Tier>(schema::TIER, &[]);
}

#[test]
fn the_schema_knows_the_words_that_serde_knows_and_no_others() {
    #[derive(serde::Deserialize)]
    struct At<T> {
        #[serde(rename = "x")]
        _x: T,
    }
    fn same_words<T: DeserializeOwned>(leaf: Leaf) {
        let Leaf::Word(words) = leaf else { panic!("{leaf:?} is no choice of words") };
        let words: BTreeSet<String> = words.iter().map(|word| (*word).to_owned()).collect();
        assert_eq!(words, words_of_serde::<At<T>>("x = 'no-such-word'"), "{}", std::any::type_name::<T>());
    }
    same_words::<Strategy>(schema::STRATEGY);
    same_words::<Provider>(schema::PROVIDER);
    same_words::<Automatic>(schema::AUTOMATIC);
    same_words::<Writers>(schema::WRITERS);
    // Serde does not tell the words of a choice that may be a table instead.
    let Leaf::Word(tiers) = schema::TIER_NAME else { panic!("no choice of words") };
    for tier in tiers {
        assert!(!matches!(
            toml::Value::from(*tier).try_into::<TierChoice>(),
            Err(_) | Ok(TierChoice::Custom(_))
        ));
    }
    assert_eq!(tiers.len(), 3, "as many as TierChoice has, but for Custom");
}

/// A table with all keys that a table must have, and no others.
fn least(fields: &[Field], example: impl Fn(&str) -> toml::Value) -> toml::Value {
    let required = fields.iter().filter(|field| matches!(field.need, Need::Required(_)));
    toml::Value::Table(required.map(|field| (field.key.to_owned(), example(field.key))).collect())
}

#[test]
fn what_the_schema_requires_is_enough_for_serde_and_less_is_not() {
    fn exact<T: DeserializeOwned>(fields: &[Field], example: impl Fn(&str) -> toml::Value) {
        let toml::Value::Table(table) = least(fields, example) else { unreachable!() };
        toml::Value::Table(table.clone()).try_into::<T>().map(drop).unwrap();
        for key in table.keys() {
            let mut less = table.clone();
            less.remove(key);
            let read = toml::Value::Table(less).try_into::<T>().map(drop);
            assert!(read.is_err(), "{} without {key}", std::any::type_name::<T>());
        }
    }
    let text = |key: &str| match key {
        "provider" => "aws".into(),
        "tier" => "standard".into(),
        "strategy" => "active-active".into(),
        "rpo" | "rto" | "hold" => "1m".into(),
        "order" | "ppm" => 1.into(),
        _ => "x".into(),
    };
    exact::<RegionSpec>(schema::REGION, text);
    exact::<WitnessSpec>(schema::WITNESS, text);
    exact::<VantageSpec>(schema::VANTAGE, text);
    exact::<GroupSpec>(schema::GROUP, text);
    exact::<ResourceSpec>(schema::RESOURCE, text);
    exact::<Tier>(schema::TIER, text);
    exact::<crate::clock::RateMargin>(schema::RATE_MARGIN, text);
    exact::<DeploymentSpec>(schema::DEPLOYMENT, |key| match key {
        "regions" | "groups" => toml::Value::Array(Vec::new()),
        "witness" => least(schema::WITNESS, text),
        key => text(key),
    });
    for fields in [schema::POLICY, schema::GATE, schema::DETECTION, schema::TIMING, schema::VELOCITY] {
        assert!(fields.iter().all(|field| field.need == Need::Optional));
    }
}

#[test]
fn the_ending_of_a_name_tells_the_format() {
    for (name, format) in [
        ("a/prod.tfvars", Some(Format::Tfvars)),
        ("prod.auto.tfvars", Some(Format::Tfvars)),
        ("prod.tfvars.json", Some(Format::TfvarsJson)),
        ("overlay.json", Some(Format::Json)),
        ("OVERLAY.TOML", Some(Format::Toml)),
        ("main.tf", None),
        ("tfvars", None),
        ("", None),
    ] {
        assert_eq!(Format::of(Path::new(name)), format, "{name}");
    }
}

#[test]
fn a_file_that_is_too_large_is_refused_before_it_is_read_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.toml");
    std::fs::File::create(&path).unwrap().set_len(MAX_FILE_BYTES + 1).unwrap();
    let said = Deployment::load([&path]).unwrap_err().to_string();
    assert_eq!(said, format!("{}: is larger than 1048576 bytes", path.display()));
    std::fs::File::create(&path).unwrap().set_len(MAX_FILE_BYTES).unwrap();
    let said = Deployment::load([&path]).unwrap_err().to_string();
    assert!(!said.contains("larger"), "{said}");
}

#[test]
fn a_problem_is_found_by_its_path_even_where_names_hold_dots() {
    let mut findings = findings::Findings::default();
    let text =
        "[[groups]]\nname = 'a'\nx = 1\n[[groups]]\nname = 'a.b'\ny = [{ name = 'c', z = 1 }, { w = 2 }]\n";
    let table = read::read(0, text, Format::Toml, &mut findings).unwrap();
    let root = Node { at: At { source: 0, offset: 0 }, value: Value::Table(table) };
    let line_start = |path: &str| {
        let at = locate(&root, path)?;
        Some(text[at.offset..].split(['\n', ',']).next().unwrap().to_owned())
    };
    assert_eq!(line_start("groups.a.x").as_deref(), Some("1"));
    assert_eq!(line_start("groups.a.b.y.c.z").as_deref(), Some("1 }"));
    assert_eq!(line_start("groups.a.b.y.1.w").as_deref(), Some("2 }]"));
    assert_eq!(line_start("groups.a.b.gone").as_deref(), Some("[[groups]]"), "the nearest thing around it");
    assert_eq!(line_start("policy.gate"), None);
}

fn at(source: usize) -> At {
    At { source, offset: 0 }
}

/// Trees of a few levels with few keys, so that they meet.
fn trees(source: usize) -> impl proptest::strategy::Strategy<Value = Node> {
    let leaf =
        prop_oneof![any::<bool>().prop_map(Value::Flag), "[ab]".prop_map(Value::Text), Just(Value::Null),];
    let node = leaf.prop_map(move |value| Node { at: at(source), value });
    node.prop_recursive(3, 12, 3, move |inner| {
        let entry = inner.clone().prop_map(move |node| Entry { key: at(source), node });
        let table = prop::collection::btree_map("[xyz]", entry, 0..3);
        let named = ("[ab]", table.clone()).prop_map(move |(name, mut table)| {
            table.insert("name".into(), Entry { key: at(source), node: Node::text(at(source), name) });
            Node { at: at(source), value: Value::Table(table) }
        });
        prop_oneof![
            table.prop_map(Value::Table),
            prop::collection::vec(inner, 0..3).prop_map(Value::List),
            prop::collection::vec(named, 0..3).prop_map(Value::List),
        ]
        .prop_map(move |value| Node { at: at(source), value })
    })
}

fn shape(node: &Node) -> String {
    match &node.value {
        Value::Table(table) => {
            let pairs: Vec<_> =
                table.iter().map(|(key, entry)| format!("{key}:{}", shape(&entry.node))).collect();
            format!("{{{}}}", pairs.join(","))
        }
        Value::List(nodes) => format!("[{}]", nodes.iter().map(shape).collect::<Vec<_>>().join(",")),
        value => format!("{value:?}"),
    }
}

fn as_table(node: Node) -> Node {
    let entry = Entry { key: node.at, node: node.clone() };
    Node { at: node.at, value: Value::Table(Table::from([("root".to_owned(), entry)])) }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_file_laid_over_nothing_or_over_itself_is_that_file(tree in trees(0)) {
        let tree = as_table(tree);
        let mut empty = Node { at: at(0), value: Value::Table(Table::new()) };
        merge(&mut empty, tree.clone());
        prop_assert_eq!(shape(&empty), shape(&tree));
        let mut twice = tree.clone();
        merge(&mut twice, tree.clone());
        prop_assert_eq!(shape(&twice), shape(&tree));
    }

    #[test]
    fn the_last_file_has_the_last_word_on_every_leaf_that_is_in_no_list(first in trees(0), second in trees(1)) {
        let (first, second) = (as_table(first), as_table(second));
        let mut merged = first;
        merge(&mut merged, second.clone());
        let mut left = vec![(&second, &merged)];
        while let Some((said, got)) = left.pop() {
            match &said.value {
                Value::Table(table) => {
                    for (key, entry) in table {
                        left.push((&entry.node, got.get(key).expect("a key of the last file is there")));
                    }
                }
                Value::List(_) => prop_assert!(matches!(got.value, Value::List(_))),
                _ => prop_assert_eq!(shape(said), shape(got)),
            }
        }
    }

    #[test]
    fn no_text_in_any_format_makes_the_loader_panic_or_put_a_problem_outside_it(
        text in prop_oneof![
            "\\PC{0,60}",
            r#"[a-c_ ="'\[\]{}:,.\n0-9$#<-]{0,60}"#,
            r#"(\{"(name|groups|regions|policy)": ?([0-9]|"[a-z]"|null|\[|\{|\]|\}|,){0,8}){0,4}"#,
        ],
    ) {
        for format in [Format::Tfvars, Format::TfvarsJson, Format::Toml, Format::Json] {
            let Err(problems) = Deployment::from_sources([Source::new("x", format, &text)]) else { continue };
            for problem in problems.as_slice() {
                let Some((line, column)) = problem.location.as_ref().and_then(|place| place.position) else {
                    continue;
                };
                let lines: Vec<&str> = text.split('\n').collect();
                prop_assert!((1..=lines.len()).contains(&line), "{problem}");
                prop_assert!((1..=lines[line - 1].chars().count() + 1).contains(&column), "{problem}");
            }
        }
    }
}
