//! Secrets in configuration files: where they belong, where they do not, and in lines that cannot be read.

use mantissa_mr_core::config::{Format, Source};
use mantissa_mr_core::deployment::Deployment;

use super::log::{Log, clean};

const TFVARS: &str = r#"
primary_region    = "us-east-1"
secondary_region  = "us-west-2"
failover_strategy = "active-passive"
environment       = "prod"
project           = "mantissa-log"
"#;

const OVERLAY: &str = r#"
[witness]
kind = "dynamodb"
region = "us-east-2"

[[groups]]
name = "detection"
tier = "important"

[[groups.stores]]
name = "state"
kind = "dynamodb-global-table"
"#;

/// Loads the two files with these lines added, and sees that nothing that is said has a secret. Gives what was said.
fn said(tfvars: &str, format: Format, overlay: &str) -> String {
    let (log, _listening) = Log::listen();
    let sources = [
        Source::new("prod.tfvars", Format::Tfvars, format!("{TFVARS}{tfvars}")),
        Source::new("it", format, overlay),
    ];
    let (shown, debugged) = match Deployment::from_sources(&sources) {
        Ok(deployment) => (deployment.warnings().join("\n"), format!("{deployment:?}")),
        Err(problems) => (problems.to_string(), format!("{problems:?}{problems:#?}")),
    };
    clean("what is said", &shown);
    clean("what {:?} prints", &debugged);
    clean("the log", &log.text());
    shown
}

#[test]
fn variables_that_hold_secrets_are_let_alone_and_never_repeated() {
    let names =
        ["db_password", "slack_webhook_secret", "API_TOKEN", "aws_secret_access_key", "connection_string"];
    for name in names {
        for value in
            ["\"hunter2\"", "[\"hunter2\"]", "{ a = \"hunter2\" }", "\"${hunter2}\"", "<<E\nhunter2\nE"]
        {
            let overlay = OVERLAY.to_owned();
            assert!(
                said(&format!("{name} = {value}\n"), Format::Toml, &overlay).contains("vantages"),
                "it loads"
            );
            // An error elsewhere does not bring it out, nor does a reference to it.
            said(&format!("{name} = {value}\nsecondary_regoin = \"x\"\n"), Format::Toml, &overlay);
            let refers = format!("{overlay}settings.table = {{ variable = \"{name}\" }}\n");
            let told = said(&format!("{name} = {value}\n"), Format::Toml, &refers);
            assert!(told.contains(&format!("the variable `{name}` looks like a secret")), "{told}");
        }
    }
}

#[test]
fn lines_that_cannot_be_read_are_not_repeated() {
    for line in [
        "db_password = \"hunter2\n",
        "db_password = hunter2\"\n",
        "db_password \"hunter2\"\n",
        "= \"hunter2\"\n",
    ] {
        let told = said(line, Format::Toml, OVERLAY);
        assert!(told.contains("prod.tfvars:") && told.contains("syntax: "), "{line}: {told}");
        let told = said("", Format::Toml, &format!("{OVERLAY}{line}"));
        assert!(told.contains("it:") && told.contains("syntax: "), "{line}: {told}");
    }
    for text in [
        "{\"password\": \"hunter2}",
        "{\"password\": hunter2}",
        "{\"password\": \"hunter2\\x\"}",
        "{\"password\" \"hunter2\"}",
        "{\"password\": \"hunter2\" \"a\"}",
    ] {
        let told = said("", Format::Json, text);
        assert!(told.contains("syntax: "), "{text}: {told}");
    }
}

#[test]
fn a_secret_in_the_settings_is_refused_without_being_repeated() {
    let refused = [
        "settings.password = \"hunter2\"",
        "settings.api-key = \"hunter2\"",
        "settings.endpoint = \"https://me:hunter2@example.com/\"",
        "settings.list = [{ name = \"a\", token = \"hunter2\" }]",
        "regions.us-east-1.webhook-secret = \"hunter2\"",
    ];
    for line in refused {
        let told = said("", Format::Toml, &format!("{OVERLAY}{line}\n"));
        let place = told.lines().find(|said| said.starts_with("it:13:")).unwrap_or_default();
        assert!(place.contains("settings are shown"), "{line}: {told}");
        assert!(place.contains("let the backend read it from a secret store"), "{line}: {told}");
    }
    let told =
        said("", Format::Toml, &OVERLAY.replace("[[groups]]", "settings.token = \"hunter2\"\n[[groups]]"));
    assert!(told.contains("witness.settings.token: looks like a secret"), "{told}");
    // What only names a secret is none.
    let told = said("", Format::Toml, &format!("{OVERLAY}settings.secret-name = \"prod/db\"\n"));
    assert!(!told.contains("settings are shown"), "{told}");
}

#[test]
fn a_key_that_is_not_known_is_named_and_its_value_is_not() {
    for (line, key) in
        [("passwort = \"hunter2\"", "passwort"), ("[policy]\nsecret = \"hunter2\"", "policy.secret")]
    {
        let told = said("", Format::Toml, &format!("{line}\n{OVERLAY}"));
        assert!(told.contains(&format!("{key}: is not a known key")), "{told}");
    }
}
