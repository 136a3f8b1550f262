//! The matrix as a text to be read.

use std::any::Any;
use std::collections::BTreeMap;

use super::command::Command;
use super::situation::Situation;

/// A text without what differs when anything else does: hashes, times, measurements.
pub(crate) fn timeless(text: &str) -> String {
    let words = text.split(' ').map(|word| {
        let core = word.trim_matches(|letter: char| "(),;:.`".contains(letter));
        let hash = |part: &str| part.len() >= 8 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
        let replaced = match core.rsplit_once('-') {
            _ if core.starts_with("2026-") => "<time>".to_owned(),
            _ if hash(core) => "<hash>".to_owned(),
            Some((name, end)) if hash(end) => name.to_owned(),
            _ if core.contains('.') && core.parse::<f64>().is_ok() => "<n>".to_owned(),
            _ => return word.to_owned(),
        };
        word.replace(core, &replaced)
    });
    words.collect::<Vec<_>>().join(" ")
}

/// What a panic said.
pub(crate) fn of_panic(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    text.unwrap_or("it panicked").to_owned()
}

/// Situation by situation: the commands with the same answer in one line.
pub(crate) fn table(found: &BTreeMap<(Situation, Command), String>) -> String {
    let mut table = String::from("What each command does in each state.\n");
    for situation in Situation::ALL {
        table.push_str(&format!("\n{situation} ({})\n", situation.state()));
        let mut answers: Vec<(&str, Vec<String>)> = Vec::new();
        for command in Command::ALL {
            let answer = found[&(*situation, command)].as_str();
            match answers.iter_mut().find(|(known, _)| *known == answer) {
                Some((_, commands)) => commands.push(command.to_string()),
                None => answers.push((answer, vec![command.to_string()])),
            }
        }
        for (answer, commands) in answers {
            table.push_str(&format!("  {}\n      {answer}\n", commands.join(", ")));
        }
    }
    table
}
