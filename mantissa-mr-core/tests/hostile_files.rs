//! Files that are made to hurt: as deep as they can be, as long, with as much wrong as they can hold. Each is answered,
//! and soon: were anything compared with everything, this would take hours.

use mantissa_mr_core::config::{Format, MAX_FILE_BYTES, Source};
use mantissa_mr_core::deployment::Deployment;
use mantissa_mr_core::problem::Problem;

const TFVARS: &str = "primary_region = \"us-east-1\"\nsecondary_region = \"us-west-2\"\nproject = \"a\"\n\
                      environment = \"b\"\nfailover_strategy = \"active-passive\"\n";
const OVERLAY: &str =
    "[witness]\nkind = \"x\"\nregion = \"us-east-2\"\n[[groups]]\nname = \"a\"\ntier = \"critical\"\n";

/// What is said of a file of this text, beside a sound one of the other kind.
fn problems(format: Format, text: String) -> Vec<Problem> {
    let beside = match format {
        Format::Toml | Format::Json => Source::new("prod.tfvars", Format::Tfvars, TFVARS),
        Format::Tfvars | Format::TfvarsJson => Source::new("overlay.toml", Format::Toml, OVERLAY),
    };
    match Deployment::from_sources([beside, Source::new("it", format, text)]) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.into_vec(),
    }
}

/// So many copies as a file can hold.
fn full(part: &str) -> String {
    part.repeat(usize::try_from(MAX_FILE_BYTES).unwrap() / part.len())
}

/// Half a file of what opens, half a file of what closes.
fn nested(before: &str, open: &str, inside: &str, close: &str) -> String {
    let deep = usize::try_from(MAX_FILE_BYTES).unwrap() / (open.len() + close.len());
    format!("{before}{}{inside}{}", open.repeat(deep), close.repeat(deep))
}

#[test]
fn the_deepest_file_overflows_no_stack_and_is_refused_where_it_is_too_deep() {
    let too_deep = [
        (Format::Json, nested("{\"a\":", "[", "", "]") + "}"),
        (Format::Json, nested("", "{\"a\":", "1", "}")),
        (Format::TfvarsJson, nested("", "{\"a\":", "1", "}")),
        (Format::Toml, nested("a=", "[", "", "]")),
        (Format::Toml, nested("a=", "{a=", "1", "}")),
        (Format::Toml, full("a.") + "a=1"),
        (Format::Toml, format!("\n[{}a]", full("a."))),
        (Format::Tfvars, nested("a=", "[", "", "]")),
        (Format::Tfvars, nested("a=", "{a=", "1", "}")),
        (Format::Tfvars, nested("a=", "(", "1", ")")),
        (Format::Tfvars, nested("a=", "\"${", "1", "}\"")),
        (Format::Tfvars, nested("a=\"", "%{if true}", "1", "%{endif}") + "\""),
        (Format::Tfvars, nested("a=", "b[", "0", "]")),
        (Format::Tfvars, nested("a=", "b(", "0", ")")),
        (Format::Tfvars, nested("a=", "[for x in y: ", "0", "]")),
        (Format::Tfvars, nested("", "a {\n", "", "}\n")),
        (Format::Tfvars, format!("a={}1", full("-"))),
        (Format::Tfvars, format!("a=1{}", full("+1"))),
        (Format::Tfvars, format!("a={}1", full("true?1:"))),
    ];
    for (format, text) in too_deep {
        let shown: String = text.chars().take(40).collect();
        let problems = problems(format, text);
        let says = |problem: &Problem| {
            let deep = ["nest", "recurse", "too many parts", "chained"];
            let place =
                problem.location.as_ref().is_some_and(|place| place.file == "it" && place.position.is_some());
            place && deep.iter().any(|word| problem.message.contains(word))
        };
        assert!(problems.iter().any(says), "{format:?} {shown}: {:?}", problems.first());
    }
}

#[test]
fn a_key_of_too_many_parts_is_found_in_its_line() {
    let text = format!("name = \"a.b.c\"\n\n  {}x = 1\nstrategy = \"b\"\n", "a.".repeat(200));
    let said = problems(Format::Toml, text).first().map(ToString::to_string);
    assert_eq!(said.as_deref(), Some("it:3:1: syntax: a key of too many parts"));
}

#[test]
fn a_file_in_which_everything_is_wrong_is_told_of_up_to_a_number_and_says_that_there_is_more() {
    let rows = |row: fn(u32) -> String| {
        let mut text = String::new();
        for number in 0.. {
            let row = row(number);
            if text.len() + row.len() > usize::try_from(MAX_FILE_BYTES).unwrap() {
                return text;
            }
            text.push_str(&row);
        }
        text
    };
    fn letter(number: u32) -> char {
        char::from_u32(0x4e00 + number).unwrap()
    }
    let reference = |number: u32| format!("{{ variable = \"projec{number}\" }},");
    let cases = [
        (
            Format::Tfvars,
            rows(|number| format!("pro{}{}ct = 1\n", letter(number % 20_000), letter(number / 20_000))),
        ),
        (Format::Toml, rows(|number| format!("key{number} = 1\n"))),
        (Format::Toml, full("=\n")),
        (Format::Toml, rows(|number| format!("[[groups]]\nname = \"g{number}\"\ntier = \"critica\"\n"))),
        (
            Format::Toml,
            format!(
                "[[groups]]\nname = \"a\"\ntier = \"critical\"\n[[groups.stores]]\nname = \"a\"\nkind = \"b\"\n\
                 settings.x = [{}]\n",
                (0..20_000).map(reference).collect::<String>()
            ),
        ),
        (Format::Json, format!("{{{}\"b\":1}}", full("\"a\":1,"))),
    ];
    for (format, text) in cases {
        let shown: String = text.chars().take(40).collect();
        let problems = problems(format, text);
        assert_eq!(problems.len(), 1_001, "{shown}");
        assert_eq!(problems.last().unwrap().to_string(), "there are more problems than these");
        assert!(problems.iter().all(|problem| problem.to_string().len() < 1_000), "{shown}");
    }
}

#[test]
fn a_file_of_nothing_but_names_or_of_one_long_name_is_read() {
    let names: String = (0..80_000).map(|number| format!("name{number}=1\n")).collect();
    assert_eq!(problems(Format::Tfvars, names + TFVARS), []);
    assert_eq!(problems(Format::Tfvars, format!("{}=1\n{TFVARS}", full("a"))), []);
    for (format, text) in [
        (Format::Toml, format!("{}=1\n", full("a"))),
        (Format::Toml, format!("[policy]\n{}=1\n", full("a"))),
        (Format::Toml, format!("strategy='{}'\n", full("a"))),
        (Format::Json, format!("{{\"preferred\":\"{}\"}}", full("a"))),
    ] {
        let problems = problems(format, text);
        assert!((1..10).contains(&problems.len()), "{}", problems.len());
        assert!(problems.iter().all(|problem| problem.to_string().len() < 1_000));
    }
}

#[test]
fn as_many_groups_as_two_files_can_hold_are_laid_over_each_other() {
    let groups = |tier: &str| -> String {
        (0..20_000).map(|number| format!("[[groups]]\nname = \"g{number}\"\ntier = \"{tier}\"\n")).collect()
    };
    let sources = [
        Source::new("prod.tfvars", Format::Tfvars, TFVARS),
        Source::new("one.toml", Format::Toml, groups("critical")),
        Source::new(
            "two.toml",
            Format::Toml,
            groups("standard") + "[witness]\nkind = \"x\"\nregion = \"us-east-2\"\n",
        ),
    ];
    let deployment = Deployment::from_sources(sources).unwrap();
    assert_eq!(deployment.spec().groups.len(), 20_000);
}
